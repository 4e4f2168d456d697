"""All records of a collection from the files of its folder: the vectors from the index, the rest from the tables.

Chroma's interface makes a Python float of every number, which takes most of the time of reading a collection. The files
are Chroma's own, so they are read only where their version is a known one and no process writes to them. A vector that
only Chroma's log holds is not read here: Chroma computes with it before it gives it back.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.contents import decoded
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.labelled import LabelledVectors
from lightmigrate.stores.chroma.layout import LABELS_FILE, Layout

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
_IDS = "SELECT id, embedding_id, seq_id FROM embeddings WHERE id BETWEEN ? AND ? AND +segment_id = ? ORDER BY id"
_VALUES = """
    SELECT embeddings.id, key, string_value, int_value, float_value, bool_value
    FROM embeddings CROSS JOIN embedding_metadata ON embedding_metadata.id = embeddings.id
    WHERE embeddings.id BETWEEN ? AND ? AND +segment_id = ? ORDER BY embeddings.id, key
"""
_LISTS = """
    SELECT embeddings.id, key, string_value, int_value, float_value, bool_value
    FROM embeddings CROSS JOIN embedding_metadata_array ON embedding_metadata_array.id = embeddings.id
    WHERE embeddings.id BETWEEN ? AND ? AND +segment_id = ?
    ORDER BY embeddings.id, key, embedding_metadata_array.rowid
"""

# Records whose rows are hashed at once: part of what the digest is.
_HASHED_AT_ONCE = 1000

# Version of `marshal` that writes equal rows as equal bytes, whether or not their objects are shared or interned.
_MARSHAL = 2


@dataclass(frozen=True)
class StoredRecords:
    """The records of one collection.

    Attributes:
        layout: where they are.
        numbers: those that the tables give the records, in the order in which they were added, int64 `(n,)`.
        labels: of the records in the index, by id.
        pending: ids of records whose last write may be in the log alone.
        vectors: of the index; `None` while it has no files.
    """

    layout: Layout
    numbers: npt.NDArray[np.int64]
    labels: dict[str, int]
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
            numbers = np.fromiter((number for (number,) in connection.execute(_NUMBERS, (layout.records,))), np.int64)
        numbers.sort()
        if not layout.indexed:
            return cls(layout, numbers, {}, ids, None)
        index = HnswFiles.open(layout.index)
        if index.dimension != layout.dimension:
            return None
        labels = {record: label for label, record in index.labels().items()}
        return cls(layout, numbers, labels, ids, LabelledVectors(index, normalised=layout.space == "cosine"))

    def pages(self, size: int, *, contents: bool, vectors: bool) -> Iterator[tuple[Page, list[int]]]:
        """All records, in the order in which they were added, `size` at a time. Only reads.

        Args:
            size: records held in memory at once.
            contents: whether with texts and payloads.
            vectors: whether with vectors.

        Yields:
            Records, and the rows of those whose vectors must be asked of Chroma; zero here.

        Raises:
            ValueError, OSError, sqlite3.Error: the files are damaged.
        """
        for start in range(0, len(self.numbers), size):
            with self._reading() as connection:  # one for each page: the next may be read in another thread, or never
                page = self._page(connection, self.numbers[start : start + size], contents=contents, vectors=vectors)
            yield page

    def rows(self, rows: Sequence[int]) -> tuple[Page, list[int]]:
        """Some records by their place among all, in ascending order. See `pages`."""
        with self._reading() as connection:
            single = [self.numbers[row : row + 1] for row in rows]
            pages = [self._page(connection, number, contents=True, vectors=False)[0] for number in single]
        whole = Page.joined(pages)
        vectors, missing = self._vectors(whole.ids)
        return whole.with_vectors(vectors), missing

    def contents_sha256(self) -> str:
        """Digest of the rows of all records, in order, as the tables hold them: equal while nobody writes to one."""
        digest = hashlib.sha256()
        for start in range(0, len(self.numbers), _HASHED_AT_ONCE):
            numbers = self.numbers[start : start + _HASHED_AT_ONCE]
            bounds = int(numbers[0]), int(numbers[-1]), self.layout.records
            with self._reading() as connection:
                for query in (_IDS, _VALUES, _LISTS):
                    digest.update(marshal.dumps(connection.execute(query, bounds).fetchall(), _MARSHAL))
        return digest.hexdigest()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with reading(self.layout.folder / DATABASE_FILE) as connection:
            connection.row_factory = None
            yield connection

    def _page(
        self, connection: sqlite3.Connection, numbers: npt.NDArray[np.int64], *, contents: bool, vectors: bool
    ) -> tuple[Page, list[int]]:
        bounds = int(numbers[0]), int(numbers[-1]), self.layout.records
        rows = connection.execute(_IDS, bounds).fetchall()
        if len(rows) != len(numbers):
            raise ValueError("its tables were written to meanwhile")
        ids = [row[1] for row in rows]
        known = decoded(connection.execute(_VALUES, bounds), connection.execute(_LISTS, bounds)) if contents else {}
        nothing = (None, None)
        held = [known.get(row[0], nothing) for row in rows]
        read, missing = self._vectors(ids) if vectors else (np.zeros((len(ids), 0), np.float32), [])
        return Page(ids, read, [text for text, _ in held], [payload for _, payload in held]), missing

    def _vectors(self, ids: Sequence[str]) -> tuple[npt.NDArray[np.float32], list[int]]:
        labels = np.array([-1 if record in self.pending else self.labels.get(record, -1) for record in ids], np.int64)
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
