"""The new vectors of a table until they are put in place: a file beside it, so that no application sees them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.stores.checks import require_dimension
from lightmigrate.stores.page import batches
from lightmigrate.system import delete, rename
from lightmigrate.vectors import Vectors

_SCHEMA = """
    CREATE TABLE settings (content TEXT NOT NULL);
    CREATE TABLE vectors (id TEXT PRIMARY KEY, vector BLOB NOT NULL, written INTEGER NOT NULL);
    CREATE INDEX by_time ON vectors (written);
"""

# SQLite's smallest limit of parameters in a statement.
_MOST = 900


class Staged:
    """Vectors by id. Several threads and processes may use it at once. Durable after every call that writes.

    Args:
        path: of the file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        (content,) = self._connection.execute("SELECT content FROM settings").fetchone()
        self.settings: Mapping[str, Any] = json.loads(content)
        self.dimension = int(self.settings["dimension"])

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, Any]) -> Staged:
        """Create the file, whole. Writes.

        Args:
            path: an unused one.
            settings: JSON, with the `dimension` of the vectors.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_suffix(".begun")
        delete(begun)
        connection = sqlite3.connect(begun)
        with connection:
            connection.executescript(_SCHEMA)
            connection.execute("INSERT INTO settings VALUES (?)", [json.dumps(settings)])
        connection.close()
        rename(begun, path)
        return cls(path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def discard(self) -> None:
        """Close and delete the file. Writes."""
        self.close()
        delete(self.path)

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Write the vectors `(n, d)` of some records; earlier ones are replaced. Writes."""
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", ids, vectors)

    def replace(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace the vectors `(n, d)` of those records that have one. Writes."""
        self._write("UPDATE vectors SET vector = ?2, written = ?3 WHERE id = ?1", ids, vectors)

    def _write(self, statement: str, ids: Sequence[str], vectors: Vectors) -> None:
        if not len(ids):
            return
        require_dimension(vectors, self.dimension, "a version")
        with self._lock, self._connection:
            number = self.newest() + 1
            rows = zip(ids, np.ascontiguousarray(vectors, np.float32), strict=True)
            self._connection.executemany(statement, ((record, row.tobytes(), number) for record, row in rows))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the vectors of some records. Writes."""
        with self._lock, self._connection:
            self._connection.executemany("DELETE FROM vectors WHERE id = ?", ([record] for record in ids))

    def get(self, ids: Sequence[str]) -> tuple[list[int], Vectors]:
        """Which of some records have a vector, by number, and these vectors `(m, d)`; only reads."""
        stored: dict[str, bytes] = dict(self._of("id, vector", ids))
        found = [number for number, record in enumerate(ids) if record in stored]
        return found, self._vectors([stored[ids[number]] for number in found])

    def among(self, ids: Sequence[str]) -> set[str]:
        """Those of some records that have a vector; only reads."""
        return {record for (record,) in self._of("id", ids)}

    def _of(self, columns: str, ids: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for some in batches(ids, _MOST):
            places = ", ".join("?" * len(some))
            query = f"SELECT {columns} FROM vectors WHERE id IN ({places})"  # noqa: S608  # only question marks
            with self._lock:
                rows = self._connection.execute(query, list(some)).fetchall()
            yield from rows

    def newest(self) -> int:
        """A number that grows with every write; only reads."""
        with self._lock:
            return int(self._connection.execute("SELECT coalesce(max(written), 0) FROM vectors").fetchone()[0])

    def since(self, number: int) -> list[str]:
        """The records whose vectors were written after `newest` was this number; only reads."""
        with self._lock:
            rows = self._connection.execute("SELECT id FROM vectors WHERE written > ?", [number])
            return [record for (record,) in rows]

    def _vectors(self, stored: Sequence[bytes]) -> Vectors:
        numbers: Vectors = np.array(np.frombuffer(b"".join(stored), np.float32))
        return numbers.reshape(len(stored), self.dimension)
