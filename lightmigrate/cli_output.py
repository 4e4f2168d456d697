"""What every command says and asks, the same way: results on stdout, questions on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import typer
from rich.console import RenderableType

from lightmigrate.console import terminal
from lightmigrate.errors import RefusedError
from lightmigrate.results import plain


def print_result(result: Any, render: Callable[[Any], RenderableType], as_json: bool) -> None:
    """A result on stdout, as `render` shows it or as one JSON document."""
    if as_json:
        write_json(plain(result))
    else:
        terminal.output.print(render(result))


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # half a surrogate, which anybody can write into a file, has no UTF-8; its escape is what JSON calls it
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")


def confirm(question: str, as_json: bool) -> None:
    """Ask on stderr; "no" aborts.

    Raises:
        RefusedError: there is nobody to ask.
    """
    if as_json or not sys.stdin.isatty():
        raise RefusedError("not confirmed: add --yes to go ahead without being asked")
    typer.confirm(question, abort=True, err=True)
