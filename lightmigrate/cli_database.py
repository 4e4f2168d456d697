"""Which database a command is about: a folder, or a server with `--host`. One place for all commands."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lightmigrate
from lightmigrate import cli_rooms as rooms
from lightmigrate.cli_choices import DEFAULT_DATABASE, DEFAULT_TENANT
from lightmigrate.console import terminal
from lightmigrate.errors import LightmigrateError, RefusedError

if TYPE_CHECKING:
    from lightmigrate.migration.doctor import Diagnosis
    from lightmigrate.migration.progress import OnProgress

_PANEL = "A server instead of a folder"


def _option(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_PANEL, show_default=False)


# What every command about a database takes, by the name of its parameter: type and default.
_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "path": (
        Annotated[Path | None, typer.Argument(help="The folder that holds chroma.sqlite3.", show_default=False)],
        None,
    ),
    "host": (Annotated[str | None, _option("Name or address of a Chroma server.")], None),
    "port": (Annotated[int, _option("Its port; 8000 when left out.")], 8000),
    "ssl": (Annotated[bool, _option("Whether it speaks https.", "--ssl")], False),
    "header": (
        Annotated[
            list[str] | None,
            _option(
                "A header it wants, by name alone, such as X-Chroma-Token; may be repeated. Its value is taken from "
                "the environment (LIGHTMIGRATE_HEADER_X_CHROMA_TOKEN) or asked for."
            ),
        ],
        None,
    ),
    "tenant": (Annotated[str, _option("Tenant of the server's database.")], DEFAULT_TENANT),
    "database": (Annotated[str, _option("The server's database.")], DEFAULT_DATABASE),
}


@dataclass(frozen=True)
class Place:
    """A database to work on.

    Attributes:
        folder: it, unless it is a server's.
        words: what names it on the command line.
        client: connects to the server.
    """

    folder: Path | None
    words: tuple[object, ...]
    client: Callable[[], Any]

    def open(self, on_progress: OnProgress | None = None) -> lightmigrate.ChromaMigrator:
        """A migrator, having said what it found of an interrupted run."""
        migrator = lightmigrate.ChromaMigrator(self.folder or self.client(), on_progress=on_progress)
        if migrator.recovered:
            terminal.messages.print(f"[yellow]{migrator.recovered}[/]")
        return migrator

    def database(self) -> Any:
        """The folder, or a client of the server."""
        return self.folder or self.client()

    def diagnose(self, expected_dim: int | None) -> Diagnosis:
        """What `doctor` shows; a folder is not even opened."""
        if self.folder:
            return rooms.diagnose(self.folder, expected_dim)
        return rooms.diagnose_open(self.open(), self.client(), expected_dim)


def on_database(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose first parameter is a `Place` the parameters that name one."""
    own = inspect.signature(command, eval_str=True)
    rest = [parameter for name, parameter in own.parameters.items() if name != "place"]
    kind = inspect.Parameter.KEYWORD_ONLY
    named = [
        inspect.Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in _PARAMETERS.items()
    ]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        said = {name: given.pop(name) for name in _PARAMETERS}
        command(_place(**said), **given)

    signature = inspect.Signature([named[0], *(p.replace(kind=kind) for p in rest), *named[1:]])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]  # what typer reads
    wrapped.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    return wrapped


def _place(
    path: Path | None, host: str | None, port: int, ssl: bool, header: list[str] | None, tenant: str, database: str
) -> Place:
    if (path is None) == (host is None):
        raise LightmigrateError("name one database: a folder, or a server with --host")
    if path is not None:
        return Place(path, (path,), lambda: None)
    words: list[object] = ["--host", host, "--port", port, *(["--ssl"] if ssl else [])]
    for name, value, usual in (("tenant", tenant, DEFAULT_TENANT), ("database", database, DEFAULT_DATABASE)):
        words += [f"--{name}", value] if value != usual else []
    for name in header or ():
        words += ["--header", name]
    headers = {name: _secret(name) for name in header or ()}

    def connect() -> Any:
        return rooms.connect(str(host), port, ssl=ssl, headers=headers, tenant=tenant, database=database)

    return Place(None, tuple(words), connect)


def _secret(header: str) -> str:
    """A header's value: never on the command line, where every process can read it."""
    variable = "LIGHTMIGRATE_HEADER_" + header.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise RefusedError(f"header {header} has no value: put it into the environment as {variable}")
    return str(typer.prompt(header, hide_input=True, err=True))
