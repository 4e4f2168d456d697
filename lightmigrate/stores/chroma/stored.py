"""All records of a collection from the files of its folder: the vectors from the index, the rest from the tables.

Chroma's interface makes a Python float of every number, which takes most of the time of reading a collection. The files
are Chroma's own, so they are read only where their version is a known one and no process writes to them. A vector that
only Chroma's log holds is not read here: Chroma computes with it before it gives it back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.contents import decoded
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.labelled import LabelledVectors
from lightmigrate.stores.chroma.layout import LABELS_FILE, Layout
from lightmigrate.stores.ids import IdTable, Numbers

# Whether the tables hold all writes of the log; Chroma brings them up to date when it is first asked for a record.
_UP_TO_DATE = """
    SELECT coalesce((SELECT seq_id FROM max_seq_id WHERE segment_id = ?), 0)
        >= coalesce((SELECT max(seq_id) FROM embeddings_queue WHERE topic = ?), 0)
"""

# The records whose last write the index's files may lack.
_PENDING = "SELECT DISTINCT id FROM embeddings_queue WHERE topic = ? AND seq_id > ?"

_NUMBERS = "SELECT id FROM embeddings WHERE segment_id = ?"

# One after the other, the records with some numbers, their values, and their lists. The plus keeps sqlite from going
# through all records of the segment for each page.
_IDS = "SELECT id, embedding_id, seq_id FROM embeddings WHERE {} AND +segment_id = ? ORDER BY id"
_VALUES = """
    SELECT embeddings.id, key, string_value, int_value, float_value, bool_value
    FROM embeddings CROSS JOIN embedding_metadata ON embedding_metadata.id = embeddings.id
    WHERE {} AND +segment_id = ? ORDER BY embeddings.id, key
"""
_LISTS = """
    SELECT embeddings.id, key, string_value, int_value, float_value, bool_value
    FROM embeddings CROSS JOIN embedding_metadata_array ON embedding_metadata_array.id = embeddings.id
    WHERE {} AND +segment_id = ? ORDER BY embeddings.id, key, embedding_metadata_array.rowid
"""

# Which records: those between two numbers, or those of a JSON list of numbers.
_BETWEEN, _AMONG = "embeddings.id BETWEEN ? AND ?", "embeddings.id IN (SELECT value FROM json_each(?))"

# Records whose rows are hashed at once, where they are not read for something else.
_HASHED_AT_ONCE = 1000

# Version of `marshal` that writes equal rows as equal bytes, whether or not their objects are shared or interned.
_MARSHAL = 2
_BEFORE_ROWS = 5


class Rows(NamedTuple):
    """The rows of some records in the order of their numbers, as the tables hold them.

    Attributes:
        records: number, id and last write of each.
        values: of their metadata, see `contents.ValueRow`.
        lists: of their metadata, one row for each item.
    """

    records: list[Any]
    values: list[Any]
    lists: list[Any]


class RowDigest:
    """A digest of the rows of records, in order, however many are added at once."""

    def __init__(self) -> None:
        self._of_tables = [hashlib.sha256() for _ in Rows._fields]

    def add(self, rows: Rows) -> None:
        """Add the rows of the records that follow."""
        for digest, table in zip(self._of_tables, rows, strict=True):
            # of a list: its mark and its length, then what each row would be by itself
            digest.update(memoryview(marshal.dumps(table, _MARSHAL))[_BEFORE_ROWS:])

    @property
    def sha256(self) -> str:
        """The digest."""
        return hashlib.sha256(b"".join(digest.digest() for digest in self._of_tables)).hexdigest()


@dataclass(frozen=True)
class StoredRecords:
    """The records of one collection.

    Attributes:
        layout: where they are.
        numbers: those that the tables give the records, in the order in which they were added, int64 `(n,)`.
        labels: of the records in the index.
        pending: ids of records whose last write may be in the log alone.
        vectors: of the index; `None` while it has no files.
    """

    layout: Layout
    numbers: Numbers
    labels: IdTable
    pending: frozenset[str]
    vectors: LabelledVectors | None

    @classmethod
    def of(cls, folder: Path, address: Address) -> StoredRecords | None:
        """Those of a collection; `None` where the files are of an unknown version, or behind the log. Only reads.

        Raises:
            ValueError, OSError, sqlite3.Error: the files are damaged.
        """
        layout = Layout.of(folder, address)
        if layout is None:
            return None
        with reading(folder / DATABASE_FILE) as connection:
            if not connection.execute(_UP_TO_DATE, (layout.records, layout.topic)).fetchone()[0]:
                return None
            pending = connection.execute(_PENDING, (layout.topic, layout.last_indexed or 0))
            ids = frozenset(record for (record,) in pending)
            numbers = numbers_of(connection, layout)
        if not layout.indexed:
            return cls(layout, numbers, IdTable(np.zeros(0, np.int64)), ids, None)
        index = HnswFiles.open(layout.index)
        if index.dimension != layout.dimension:
            return None
        vectors = LabelledVectors(index, normalised=layout.space == "cosine")
        return cls(layout, numbers, index.labels().by_id(), ids, vectors)

    def pages(
        self, size: int, *, contents: bool, vectors: bool, digest: RowDigest | None = None
    ) -> Iterator[tuple[Page, list[int]]]:
        """All records, in the order in which they were added, `size` at a time. Only reads.

        Args:
            size: records held in memory at once.
            contents: whether with texts and payloads.
            vectors: whether with vectors.
            digest: of the rows of all records, which are added to it.

        Yields:
            Records, and the rows of those whose vectors must be asked of Chroma; zero here.

        Raises:
            ValueError, OSError, sqlite3.Error: the files are damaged.
        """
        for start in range(0, len(self.numbers), size):
            with self._reading() as connection:  # one for each page: the next may be read in another thread, or never
                numbers = self.numbers[start : start + size]
                rows = self._rows(connection, numbers, contents=contents or digest is not None)
            if digest is not None:
                digest.add(rows)
            yield self._page(rows, contents=contents, vectors=vectors)

    def rows(self, rows: Sequence[int]) -> tuple[Page, list[int]]:
        """Some records by their place among all, in ascending order. See `pages`."""
        with self._reading() as connection:
            read = self._rows(connection, self.numbers[list(rows)], contents=True, together=False)
        return self._page(read, contents=True, vectors=True)

    def contents_sha256(self) -> str:
        """Digest of the rows of all records, in order, as the tables hold them: equal while nobody writes to one."""
        digest = RowDigest()
        for start in range(0, len(self.numbers), _HASHED_AT_ONCE):
            with self._reading() as connection:
                digest.add(self._rows(connection, self.numbers[start : start + _HASHED_AT_ONCE], contents=True))
        return digest.sha256

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with reading(self.layout.folder / DATABASE_FILE) as connection:
            connection.row_factory = None
            yield connection

    def _rows(self, connection: sqlite3.Connection, numbers: Numbers, *, contents: bool, together: bool = True) -> Rows:
        """The rows of some records; `together` says that these are all between the first and the last."""
        chosen = (int(numbers[0]), int(numbers[-1])) if together else (json.dumps(numbers.tolist()),)
        which = _BETWEEN if together else _AMONG

        def read(query: str) -> list[Any]:
            return connection.execute(query.format(which), (*chosen, self.layout.records)).fetchall()

        rows = read(_IDS)
        if len(rows) != len(numbers):
            raise ValueError("its tables were written to meanwhile")
        return Rows(rows, read(_VALUES), read(_LISTS)) if contents else Rows(rows, [], [])

    def _page(self, rows: Rows, *, contents: bool, vectors: bool) -> tuple[Page, list[int]]:
        ids = [row[1] for row in rows.records]
        known = decoded(rows.values, rows.lists) if contents else {}
        nothing = (None, None)
        held = [known.get(row[0], nothing) for row in rows.records]
        read, missing = self._vectors(ids) if vectors else (np.zeros((len(ids), 0), np.float32), [])
        return Page(ids, read, [text for text, _ in held], [payload for _, payload in held]), missing

    def _vectors(self, ids: Sequence[str]) -> tuple[npt.NDArray[np.float32], list[int]]:
        labels = self.labels.of(ids)
        if self.pending:
            labels[[record in self.pending for record in ids]] = -1
        if self.vectors is not None and (labels >= 0).all():
            return self.vectors.of(labels), []
        read = np.zeros((len(ids), self.layout.dimension), np.float32)
        if self.vectors is not None and (labels >= 0).any():
            read[labels >= 0] = self.vectors.of(labels[labels >= 0])
        return read, np.flatnonzero(labels < 0).tolist()

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """What shows whether somebody wrote to the index's files meanwhile; only reads."""
        files = [self.layout.index / name for name in ("header.bin", "data_level0.bin", LABELS_FILE)]
        return tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in (f.stat() for f in files if f.exists()))


def ids_at(folder: Path, address: Address, rows: Callable[[int], Sequence[int]]) -> list[str] | None:
    """The ids of some records by their place among all; `None` in tables of an unknown version. Only reads.

    Args:
        folder: of the database.
        address: of the collection.
        rows: the places, in ascending order, for a number of records.
    """
    layout = Layout.of(folder, address)
    if layout is None:
        return None
    with reading(folder / DATABASE_FILE) as connection:
        numbers = numbers_of(connection, layout)
        chosen = json.dumps(numbers[list(rows(len(numbers)))].tolist())
        return [row["embedding_id"] for row in connection.execute(_IDS.format(_AMONG), (chosen, layout.records))]


def numbers_of(connection: sqlite3.Connection, layout: Layout) -> Numbers:
    """The numbers of all records of a collection, in the order in which they were added, int64 `(n,)`."""
    cursor = connection.cursor()
    cursor.row_factory = None
    numbers = np.fromiter(chain.from_iterable(cursor.execute(_NUMBERS, (layout.records,))), np.int64)
    numbers.sort()
    return numbers
