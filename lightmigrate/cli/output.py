"""How every command talks: results on stdout; progress, notices and questions on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from lightmigrate.cli.progress import ProgressBars
from lightmigrate.commands.conversation import Conversation, Question
from lightmigrate.errors import RefusedError
from lightmigrate.results import Result, plain

if TYPE_CHECKING:  # what draws is imported when there is something to draw, not for `--help`
    from rich.console import RenderableType


@contextlib.contextmanager
def conversation(
    as_json: bool, yes: bool = False, show: Callable[[Result], None] | None = None
) -> Iterator[Conversation]:
    """The conversation of a command with whoever runs it in a terminal.

    Args:
        as_json: whether the result is printed as JSON; then nobody is asked.
        yes: whether every question is answered with yes.
        show: prints intermediate results in another way than on stderr.
    """
    with ProgressBars() as bars:

        def confirm(question: Question) -> bool:
            bars.stop()
            if yes:
                return True
            if as_json or not sys.stdin.isatty():
                raise RefusedError("not confirmed: add --yes to go ahead without being asked")
            return typer.confirm(question.text, err=True)

        def print_intermediate(result: Result) -> None:
            bars.stop()
            (show or _print_intermediate)(result)

        yield Conversation(confirm, print_intermediate, bars)


def print_result(result: Any, render: Callable[[Any], RenderableType], as_json: bool) -> None:
    """A result on stdout, as `render` shows it or as one JSON document."""
    from lightmigrate.cli.show import terminal

    if as_json:
        write_json(plain(result))
    else:
        terminal.output.print(render(result))


def print_next(*words: object, why: str = "next") -> None:
    """The next command, on stdout: the line that every result ends with."""
    from lightmigrate.cli.show import terminal

    terminal.output.print(terminal.next_command(*words, why=why))


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        # half a surrogate, which a text or file name can hold, has no UTF-8, and a code page lacks most letters; JSON
        # has escapes for them
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")


def _print_intermediate(result: Result) -> None:
    from lightmigrate.cli.show import terminal
    from lightmigrate.cli.show.intermediate import intermediate

    if (rendered := intermediate(result)) is not None:
        terminal.messages.print(rendered)
