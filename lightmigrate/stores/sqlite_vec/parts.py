"""Reads records from the tables that sqlite-vec keeps: a vector alone takes as long as the thousand of its chunk.

sqlite-vec finds each vector by following the pages of its chunk from the first one. Here a chunk is read once for all
its vectors. Before that is done with a table, some records of it are read in both ways and compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.sqlite_vec.driver import Row
from lightmigrate.stores.sqlite_vec.layout import Layout
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import quoted

# Records that are read in both ways.
_COMPARED = 3


def read(session: Session, layout: Layout, tail: str, values: Sequence[object], *, vectors: bool) -> list[Row]:
    """Whole records, as rows of `Layout.select`. Only reads.

    Args:
        session: the open file.
        layout: of the collection.
        tail: condition, order and limit.
        values: the parameters of `tail`.
        vectors: whether to read vectors.
    """
    with session.snapshot():
        rows = session.rows(layout.select_parts(tail), values)
        blobs: list[bytes | None] = [None] * len(rows)
        if vectors:
            _read_vectors(session, layout, rows, blobs)
    return [(row[0], blob, *row[2:-2]) for row, blob in zip(rows, blobs, strict=True)]


def can_read(session: Session, layout: Layout) -> bool | None:
    """Whether `read` gives what sqlite-vec gives; `None` for a table without records. Only reads."""
    first, last = (f"ORDER BY {layout.key} {order} LIMIT {_COMPARED}" for order in ("ASC", "DESC"))
    with session.snapshot():
        for tail in (first, last):
            expected = session.rows(layout.select(tail, vectors=True))
            if not expected:
                return None
            try:
                if read(session, layout, tail, (), vectors=True) != expected:
                    return False
            except (LightmigrateError, ValueError, IndexError, TypeError):
                return False
    return True


def _read_vectors(session: Session, layout: Layout, rows: Sequence[Row], blobs: list[bytes | None]) -> None:
    """Fill `blobs` with the vector of each row."""
    chunks: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        chunks.setdefault(row[-2], []).append(number)
    query = f"SELECT vectors FROM {quoted(layout.table.name + '_vector_chunks00')} WHERE rowid = ?"  # noqa: S608
    for chunk, numbers in chunks.items():
        content = session.rows(query, [chunk])[0][0]
        vectors = np.frombuffer(content, "<f4").reshape(-1, layout.table.declaration.dimension)
        for number in numbers:
            blobs[number] = vectors[rows[number][-1]].tobytes()
