"""The file of a cache of embeddings, as an SQLite database: its tables, statements, and errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from lightmigrate.errors import ProviderError

SECONDS_TO_WAIT = 60.0

# SQLite's name for a database that is in no file.
IN_MEMORY = Path(":memory:")

_TABLES = (
    "embeddings (model TEXT, text BLOB, vector BLOB NOT NULL, PRIMARY KEY (model, text))",
    "speeds (model TEXT PRIMARY KEY, tokens INTEGER NOT NULL, seconds REAL NOT NULL)",
    "probes (model TEXT PRIMARY KEY, vector BLOB NOT NULL)",
    "cuts (model TEXT, text BLOB, characters INTEGER NOT NULL, PRIMARY KEY (model, text))",
)


class CacheFile:
    """The file; it is opened, or created with its folder, when it is first needed.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def execute(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        """Execute a statement that only reads.

        Raises:
            ProviderError: the file cannot be used.
        """
        try:
            return self._open().execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def change(self, *changes: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """Execute statements, each for some rows of values, in one transaction. Raises as `execute`."""
        try:
            with self._open() as connection:
                for statement, rows in changes:
                    connection.executemany(statement, rows)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def close(self) -> None:
        """Release the file; it is opened again when it is needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._path != IN_MEMORY:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self._path, timeout=SECONDS_TO_WAIT, check_same_thread=False)
            for table in _TABLES:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            self._connection = connection
        return self._connection

    def _unusable(self, error: Exception) -> ProviderError:
        damaged = type(error) is sqlite3.DatabaseError  # what is locked, full or read-only is a subclass of it
        reason = error.strerror if isinstance(error, OSError) else error
        way_out = "delete it, or name another" if damaged else "make it writable and free, or name another"
        return ProviderError(f"the cache of embeddings at {self._path} cannot be used ({reason}); {way_out}")
