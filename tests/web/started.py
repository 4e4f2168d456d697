"""The page in a process of its own, as a user starts it, with the encoders of the tests at hand."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# wordllama's first 128 numbers are the new model; what a user would name with --target-model.
NEW_MODEL = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})

_MAIN = "import sys; import tests.encoders; from lightmigrate.cli.app import main; main(sys.argv[1:])"

# Before it: the first migration kills its process when all new vectors are on the disk and none is in its place.
_DIES = """
import os, signal
from lightmigrate.migration.aside import build
build.sync_tree = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
"""

# Before it: a migration whose new vectors are all on the disk works on only when it is stopped.
_WAITS = """
from lightmigrate.web.runs import Run
report = Run._report
def waiting(run, progress):
    report(run, progress)
    if progress.step == "write":
        with run._changing:
            run._changing.wait_for(lambda: run.stopping)
Run._report = waiting
"""


@dataclass(frozen=True)
class Started:
    """A running page.

    Attributes:
        process: that serves it.
        address: to open, with the token.
    """

    process: subprocess.Popen[str]
    address: str

    @property
    def base(self) -> str:
        """The address without the token."""
        return self.address.partition("/?")[0]


@contextlib.contextmanager
def started(place: Path, *folders: Path, port: int = 0, dies: bool = False, waits: bool = False) -> Iterator[Started]:
    """Start the page for some folders; its files about them are in `place`, and it is killed at the end.

    With `dies` it kills itself in the middle of its first migration, with `waits` its migrations wait to be stopped.
    """
    words = ["ui", *map(str, folders), "--listen-port", str(port), "--cache", str(place / "cache.sqlite3")]
    words += ["--target-provider", "chroma", "--target-model", NEW_MODEL]
    variables = {**os.environ, "XDG_CACHE_HOME": str(place / "user"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", f"{_DIES if dies else ''}{_WAITS if waits else ''}{_MAIN}", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=variables,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        yield Started(process, address)
    finally:
        process.kill()
        process.wait()
