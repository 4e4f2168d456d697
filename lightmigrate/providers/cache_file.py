"""The file of a cache of embeddings, as an SQLite database: its tables, statements, and errors in words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from lightmigrate.errors import ProviderError

SECONDS_TO_WAIT = 60.0

# SQLite's name for a database that is in no file.
IN_MEMORY = Path(":memory:")

# Texts looked up by one statement: SQLite takes at least 999 values.
SELECTED_AT_ONCE = 500

_TABLES = (
    "embeddings (model TEXT, text BLOB, vector BLOB NOT NULL, PRIMARY KEY (model, text))",
    "speeds (model TEXT PRIMARY KEY, tokens INTEGER NOT NULL, seconds REAL NOT NULL)",
    "probes (model TEXT PRIMARY KEY, vector BLOB NOT NULL)",
    "cuts (model TEXT, text BLOB, characters INTEGER NOT NULL, PRIMARY KEY (model, text))",
)

# What workers of one run need beside.
_OF_WORKERS = (
    "claims (model TEXT, text BLOB, owner TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (model, text))",
    "purses (purse TEXT PRIMARY KEY, tokens INTEGER NOT NULL)",
    "calls (purse TEXT, call TEXT, tokens INTEGER NOT NULL, PRIMARY KEY (purse, call))",
)

# A statement, and the values of each time that it is executed.
Change = tuple[str, Sequence[tuple[object, ...]]]


class VectorFile(Protocol):
    """The file, wherever it is: on this machine, or on another one of a cluster. Can be pickled."""

    def rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """The rows of a statement that only reads.

        Raises:
            ProviderError: the file cannot be used.
        """

    def change(self, *changes: Change) -> None:
        """Execute statements, each for some rows of values, in one transaction. Raises as `rows`."""

    def close(self) -> None:
        """Release the file; it is opened again when it is needed."""


class CacheFile:
    """The file on this machine; it is opened, or created with its folder, when it is first needed.

    Several processes, and several threads of each, may use it.

    Args:
        path: of the file.
        shared: whether workers of one run share it, with `Claims` and a `SharedPurse`.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path, self._shared = path, shared
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Callable[[], CacheFile], tuple[()]]:
        return partial(CacheFile, self._path, shared=self._shared), ()

    def rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """See `VectorFile`."""
        try:
            with self._lock:
                return self._open().execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def change(self, *changes: Change) -> None:
        """See `VectorFile`."""
        try:
            with self._lock, self._open() as connection:
                for statement, rows in changes:
                    connection.executemany(statement, rows)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """See `VectorFile`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path != IN_MEMORY:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self._path, timeout=SECONDS_TO_WAIT, check_same_thread=False)
            for table in (*_TABLES, *(_OF_WORKERS if self._shared else ())):
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            self._connection = connection
        return self._connection

    def _unusable(self, error: Exception) -> ProviderError:
        damaged = type(error) is sqlite3.DatabaseError  # what is locked, full or read-only is a subclass of it
        reason = error.strerror if isinstance(error, OSError) else error
        way_out = "delete it, or name another" if damaged else "make it writable and free, or name another"
        return ProviderError(f"the cache of embeddings at {self._path} cannot be used ({reason}); {way_out}")


def selected(file: VectorFile, table: str, column: str, model: str, digests: Iterable[bytes]) -> dict[bytes, Any]:
    """A column of the rows of some texts of a model, by their digests. Only reads."""
    found: dict[bytes, Any] = {}
    wanted = list(digests)
    for start in range(0, len(wanted), SELECTED_AT_ONCE):
        part = wanted[start : start + SELECTED_AT_ONCE]
        places = ",".join("?" * len(part))
        query = f"SELECT text, {column} FROM {table} WHERE model = ? AND text IN ({places})"  # noqa: S608
        found.update(file.rows(query, (model, *part)))
    return found
