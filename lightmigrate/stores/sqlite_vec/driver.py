"""An SQLite that loads extensions: Python's own where it can, else apsw."""

from __future__ import annotations

import sqlite3
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from lightmigrate.errors import MissingExtraError

Row = tuple[Any, ...]

_MEMORY = ":memory:"


class Connection(Protocol):
    """What both kinds of connections have in common. Statements outside a transaction are committed at once."""

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Run a statement; the result has `fetchall`."""

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> Any:
        """Run a statement for each row of values."""

    def close(self) -> None:
        """Close it."""


def python_loads_extensions() -> bool:
    """Whether Python's own SQLite can load an extension."""
    return hasattr(sqlite3.Connection, "enable_load_extension")


def apsw() -> ModuleType | None:
    """The package apsw, when Python's own SQLite loads no extensions and it is installed."""
    if python_loads_extensions():
        return None
    try:
        import apsw
    except ImportError:
        return None
    return apsw


def error_types() -> tuple[type[Exception], ...]:
    """The errors of both."""
    package = apsw()
    return (sqlite3.Error,) if package is None else (sqlite3.Error, package.Error)


def connect(path: Path | None, *, writable: bool = True) -> Connection:
    """Open a file that exists; `None` for an empty database in memory. Only reads.

    Two copies of SQLite in one process would undo each other's locks on a file. An application of this process had the
    same choice: its own `sqlite3` where that loads extensions, and else the apsw that is installed.
    """
    package = apsw()
    if package is not None:
        flag = package.SQLITE_OPEN_READWRITE if writable else package.SQLITE_OPEN_READONLY
        opened: Connection = package.Connection(_MEMORY if path is None else str(path), flags=flag)
        return opened
    mode = "rw" if writable else "ro"
    address = f"file:{_MEMORY if path is None else urllib.parse.quote(str(path))}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)


def load_sqlite_vec(connection: Any) -> str:
    """Load sqlite-vec, and no extension afterwards; returns its version.

    Raises:
        MissingExtraError: sqlite-vec or apsw is not installed.
    """
    try:
        import sqlite_vec
    except ImportError:
        raise MissingExtraError("sqlite-vec", "sqlite-vec") from None
    if not python_loads_extensions() and apsw() is None:
        raise MissingExtraError("apsw, which this Python needs to load sqlite-vec,", "sqlite-vec")
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    return str(connection.execute("SELECT vec_version()").fetchall()[0][0])
