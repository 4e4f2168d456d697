"""A database that comes to a new model by embedding every text, in a process that may kill itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from lightmigrate import auto_migrate
from lightmigrate.cli.app import main
from lightmigrate.cli.progress import ProgressBars
from lightmigrate.progress import LogProgress, Progress

# The new model, which costs money; a server on this machine answers for it.
MODEL = "text-embedding-3-small"


def command(words: Sequence[str], environment: Mapping[str, str], fatal: str) -> None:
    """Run a command.

    Args:
        words: of the command line.
        environment: variables that it needs.
        fatal: the step whose first report kills the process; empty for none.
    """
    os.environ.update(environment)
    _die_at(fatal, ProgressBars)
    main([*words])


def begin(database: str, environment: Mapping[str, str], fatal: str) -> None:
    """Start an application: see `command`; the database is a folder, or the port of a server."""
    os.environ.update(environment)
    _die_at(fatal, LogProgress)
    function = OpenAIEmbeddingFunction(model_name=MODEL, api_base=environment["OPENAI_BASE_URL"])
    settings = Settings(anonymized_telemetry=False)
    opened: Any = Path(database)
    if database.isdecimal():
        opened = chromadb.HttpClient("127.0.0.1", int(database), settings=settings)
    report = auto_migrate(opened, function, max_cost=1.0, refine="off", on_failure="raise")
    assert report.action == "migrated", report


def _die_at(fatal: str, listener: type[ProgressBars | LogProgress]) -> None:
    """Kill this process as soon as a step reports something that is done."""
    hear = listener.__call__

    def heard(self: Any, progress: Progress) -> None:
        if progress.step == fatal and progress.done:
            os.kill(os.getpid(), signal.SIGKILL)
        hear(self, progress)

    if fatal:
        listener.__call__ = heard  # type: ignore[method-assign]
