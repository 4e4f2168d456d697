"""The arguments that name a database: a folder, a URL, or a server with `--host`."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lightmigrate.cli.groups import Group
from lightmigrate.cli.options import DEFAULT_DATABASE, DEFAULT_TENANT, option
from lightmigrate.commands.database import DatabaseChoice, Server, without_password
from lightmigrate.errors import LightmigrateError, RefusedError

_PANEL = "A Chroma server"


def database_of(path: str) -> DatabaseChoice:
    """The database at a path or a URL; its password is asked for in a terminal if the server wants one."""
    if "://" in path:
        return DatabaseChoice(path, (without_password(path),), _asked_once() if sys.stdin.isatty() else None)
    return DatabaseChoice(path, (path,))


def _asked_once() -> Callable[[], str]:
    """Asks for a password in a terminal, and remembers it while the process lives."""
    return functools.cache(lambda: str(typer.prompt("Password", hide_input=True, err=True)))


def _database(path: str | None, host: str | None, **server: Any) -> DatabaseChoice:
    if (path is None) == (host is None):
        raise LightmigrateError("name one database: a folder, a URL, or a Chroma server with --host")
    return database_of(path) if path is not None else _served(str(host), **server)


def _served(host: str, port: int, ssl: bool, header: list[str] | None, tenant: str, database: str) -> DatabaseChoice:
    words = ["--host", host, "--port", str(port), *(["--ssl"] if ssl else [])]
    for name, value, default in (("tenant", tenant, DEFAULT_TENANT), ("database", database, DEFAULT_DATABASE)):
        words += [f"--{name}", value] if value != default else []
    for name in header or ():
        words += ["--header", name]
    headers = {name: _secret(name) for name in header or ()}
    return DatabaseChoice(Server(host, port, ssl, headers, tenant, database), tuple(words))


def _secret(header: str) -> str:
    """A header's value: never on the command line, where every process can read it."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header):  # what a name may be, RFC 9110
        name = re.split(r"[:=\s]", header, maxsplit=1)[0]
        raise RefusedError(
            f"--header takes a name alone, --header {name or 'NAME'}: other processes can read a value on a command "
            f"line; it is read from the environment variable {_variable(name or 'NAME')} or asked for"
        )
    variable = _variable(header)
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise RefusedError(f"header {header} has no value: set the environment variable {variable}")
    return str(typer.prompt(header, hide_input=True, err=True))


def _variable(header: str) -> str:
    return "LIGHTMIGRATE_HEADER_" + header.upper().replace("-", "_")


def _server(help: str, *names: str) -> Any:
    return option(help, *names, panel=_PANEL)


SERVER: dict[str, tuple[Any, Any]] = {
    "host": (Annotated[str | None, _server("Name or address of a Chroma server.")], None),
    "port": (Annotated[int, _server("Port of the server; 8000 by default.")], 8000),
    "ssl": (Annotated[bool, _server("Connect by https.", "--ssl")], False),
    "header": (
        Annotated[
            list[str] | None,
            _server(
                "Name of a header that the server requires, such as X-Chroma-Token; may be repeated. Its value is read "
                "from the environment (LIGHTMIGRATE_HEADER_X_CHROMA_TOKEN) or asked for."
            ),
        ],
        None,
    ),
    "tenant": (Annotated[str, _server("Tenant of the server's database.")], DEFAULT_TENANT),
    "database": (Annotated[str, _server("The server's database.")], DEFAULT_DATABASE),
}

DATABASE = Group(
    {
        "path": (
            Annotated[
                str | None,
                typer.Argument(
                    help="The database: a folder, a file or folder of vectors, or a URL such as postgresql://user@host/name.",
                    show_default=False,
                ),
            ],
            None,
        ),
        **SERVER,
    },
    _database,
)

# The same without a path, for a command that takes several.
SERVER_DATABASE = Group(SERVER, lambda host, **server: None if host is None else _served(host, **server))
