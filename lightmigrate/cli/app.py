"""The command line: a table of commands, of which only the chosen one is imported.

Results go to stdout (`--json`: one JSON document), progress, questions and errors to stderr. Exit codes: 0 fine, 1
error, 2 refused because going on would not be safe.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from lightmigrate.cli.help import GroupedCommands, GroupedOptions
from lightmigrate.errors import InvalidVectorsError, LightmigrateError, RefusedError
from lightmigrate.version import __version__

# Name and help line, by what they are for and in the order in which they are needed. Each is in the module
# `lightmigrate.cli.NAME`: a function or a `Typer` of that name. A test compares the lines with the docstrings.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Change the model": {
        "doctor": "Show collections, dimensions, mismatches, and who has the database open. Only reads.",
        "plan": "Show what `migrate` would do, or what each budget buys. Changes nothing.",
        "migrate": "Build a new database aside, verify it, put it in place at once.",
    },
    "Afterwards": {
        "verify": "Compare a database with what its migration left. Only reads.",
        "status": "Show how much is exact and what quality to expect. Only reads.",
        "refine": "Embed more rows of a migrated collection with the new model.",
        "rollback": "Put a backup back in place, exactly.",
        "resume": "Continue or discard an interrupted migration or exchange.",
        "clean": "List the backups of a database; with `--yes` delete them.",
    },
    "Projections": {
        "train": "Train a projection on your own documents and judge it.",
        "inspect": "Show a projection's models, training and measured quality. Only reads.",
        "registry": "List, add, remove, check and find projections.",
        "bridge": "Search a collection that is not migrated with the new model.",
    },
    "In a browser": {
        "ui": "Look at databases, plan, migrate and search in a browser.",
        "report": "Write what the page shows as one offline HTML file. Only reads.",
    },
    "See it work": {
        "demo": "Do the whole job on a small real database.",
    },
}

COMMANDS: Mapping[str, str] = {name: line for section in SECTIONS.values() for name, line in section.items()}

HELP = (
    "Change the embedding model behind a vector database without embedding everything again.\n\n"
    "The usual order is  doctor → plan → migrate → verify → clean.  Each command prints the next one; alone, "
    "lightmigrate looks for databases here."
)


class Commands(GroupedCommands):
    """All commands."""

    sections = SECTIONS


def application(chosen: str | None = None) -> typer.Typer:
    """All commands; only the module of the chosen one is imported, of the others only the help line is there."""
    app = typer.Typer(
        cls=Commands,
        add_completion=False,
        rich_markup_mode=None,  # rich would take longer to import than the help may take
        pretty_exceptions_enable=False,
        help=HELP,
    )
    app.callback(invoke_without_command=True)(_version)
    for name, line in COMMANDS.items():
        if name != chosen:
            app.command(name, help=line)(_not_chosen)
            continue
        command: Callable[..., None] | typer.Typer = getattr(importlib.import_module(f"lightmigrate.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, cls=GroupedOptions)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; whatever goes wrong is one line, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _never_fail_to_print()
    chosen = next((word for word in words if not word.startswith("-")), None)
    try:
        if not words:
            from lightmigrate.cli.nearby import nearby

            nearby()
            raise SystemExit(0)
        app = application(chosen)
        if chosen is not None and chosen in COMMANDS and words == [chosen, "--help"]:
            typer.echo(_help(app, chosen))
            raise SystemExit(0)
        code = app(words, standalone_mode=False)
    except Exception as error:  # the outermost place: nothing may pass as a traceback
        if os.environ.get("LIGHTMIGRATE_TRACEBACK"):
            raise
        code = _report(error, chosen, as_json="--json" in words, show_ids="--show-ids" in words)
    except KeyboardInterrupt:
        from lightmigrate.cli.show.terminal import messages

        messages.print("[bold red]interrupted[/]: the database is whole, the old one or the new one")
        code = 1
    raise SystemExit(code if isinstance(code, int) else 0)


def _never_fail_to_print() -> None:
    """Print escapes of what an output cannot hold, such as a file in a code page: when it is told, it was done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", show_default=False)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _help(app: typer.Typer, chosen: str) -> str:
    """The help of a command, without parsing its arguments, for which typer would load a validation library first."""
    group = typer.main.get_command(app)
    outer = typer.Context(group, info_name="lightmigrate")
    command = group.get_command(outer, chosen)  # type: ignore[attr-defined]  # an application is a group
    return str(command.get_help(typer.Context(command, info_name=chosen, parent=outer)))


def _not_chosen() -> None:
    """Stands in the overview for a command that was not chosen; never called."""


def _report(error: Exception, chosen: str | None, *, as_json: bool, show_ids: bool) -> int:
    from rich.markup import escape

    from lightmigrate.cli.output import write_json
    from lightmigrate.cli.show.terminal import messages
    from lightmigrate.results import plain

    if isinstance(error, LightmigrateError):
        text, code = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # typer's own: an unknown option, a missing argument
        command = f"lightmigrate {chosen}" if chosen in COMMANDS else "lightmigrate"
        text, code = f"{error.format_message()}; see  {command} --help", 1
    elif type(error).__name__ == "Abort":  # Ctrl-C or Ctrl-D at a question
        text, code = "not confirmed: nothing was changed", RefusedError.exit_code
    else:
        text, code = f"{type(error).__name__}: {error} (LIGHTMIGRATE_TRACEBACK=1 shows where)", 1
    line = " ".join(part.strip() for part in text.splitlines())
    if as_json:
        attributes = error.__dict__ if isinstance(error, LightmigrateError) else {}  # typer adds a note to its own
        hidden = {"texts"} if show_ids else {"texts", "ids"}
        shown = {name: value for name, value in attributes.items() if name not in hidden}
        numbers = {name: plain(value) for name, value in shown.items() if isinstance(value, (int, str, tuple))}
        write_json({"error": type(error).__name__, "message": line, **numbers})
    word = "refused" if code == RefusedError.exit_code else "error"
    messages.print(f"[bold red]{word}:[/] {escape(line)}")
    if isinstance(error, InvalidVectorsError):
        ids = f"{', '.join(error.ids[:10])}{' …' if len(error.ids) > 10 else ''}"
        messages.print(f"  ids: {escape(ids) if show_ids else 'add --show-ids'}")
    return code
