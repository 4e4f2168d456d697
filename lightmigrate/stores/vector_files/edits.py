"""Rows with some changes: what a file will hold after a write, read from what it holds now and from what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lightmigrate.stores.base import Page
from lightmigrate.stores.checks import require_dimension, require_unused
from lightmigrate.stores.vector_files.table import Rows
from lightmigrate.vectors import Vectors

_NO_RECORDS = Page([], np.zeros((0, 0), np.float32), [], [])


@dataclass(frozen=True)
class Edited:
    """Rows of a base, and new ones. See `table.Rows`.

    Attributes:
        base: what is changed.
        order: where each row comes from: a row of the base from 0 on, or -1 for the first new record, -2 for the next.
        new: the new records.
        vectors: other vectors of rows of the base, by row of the base.
        width: length of all vectors.
    """

    base: Rows
    order: Sequence[int]
    new: Page = _NO_RECORDS
    vectors: Mapping[int, Vectors] = field(default_factory=dict)
    width: int | None = None

    @property
    def dimension(self) -> int | None:
        """Length of the vectors."""
        return self.width

    @cached_property
    def ids(self) -> Sequence[str]:
        """The id of every row."""
        known = list(self.base.ids)  # at once: of a draft each by itself is read from its file
        return [known[row] if row >= 0 else self.new.ids[-row - 1] for row in self.order]

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""
        sources = [self.order[row] for row in rows]
        stored = self.base.page([source for source in sources if source >= 0], vectors=vectors)
        numbers = stored.vectors
        for place, source in enumerate(source for source in sources if source >= 0):
            if vectors and source in self.vectors:
                numbers[place] = self.vectors[source]
        written = self.new.rows([-source - 1 for source in sources if source < 0])
        if not len(written):
            return stored
        written = written if vectors else written.with_vectors(np.zeros((len(written), 0), np.float32))
        if not len(stored):
            return written
        both = Page.joined([stored.with_vectors(numbers), written])
        old, new = iter(range(len(stored))), iter(range(len(stored), len(both)))
        return both.rows([next(old) if source >= 0 else next(new) for source in sources])

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given; only reads."""
        return self.page(rows).vectors

    @property
    def same_records(self) -> bool:
        """Whether only vectors are changed."""
        return len(self.order) == len(self.base.ids) and all(source == row for row, source in enumerate(self.order))


def added(base: Rows, page: Page) -> Edited:
    """The rows with new ones after them.

    Raises:
        LightmigrateError: an id exists already, or is given twice.
        DimensionError: the vectors have another length.
    """
    require_dimension(page.vectors, base.dimension)
    require_unused(page.ids, len(set(base.ids) & set(page.ids)))
    order = [*range(len(base.ids)), *(-number - 1 for number in range(len(page)))]
    return Edited(base, order, page, width=_width(base, page.vectors))


def put(base: Rows, page: Page, row_of: Mapping[str, int]) -> Edited:
    """The rows with those of a page in the place of those of the same ids, and the others after them."""
    require_dimension(page.vectors, base.dimension)
    last = {record: number for number, record in enumerate(page.ids)}
    order = list(range(len(base.ids)))
    for record, number in last.items():
        if record in row_of:
            order[row_of[record]] = -number - 1
        else:
            order.append(-number - 1)
    return Edited(base, order, page, width=_width(base, page.vectors))


def with_vectors(base: Rows, ids: Sequence[str], vectors: Vectors, row_of: Mapping[str, int]) -> Edited:
    """The rows with other vectors of some records; ids without a record are ignored."""
    require_dimension(vectors, base.dimension)
    changed = {row_of[record]: vector for record, vector in zip(ids, vectors, strict=True) if record in row_of}
    return Edited(base, range(len(base.ids)), vectors=changed, width=base.dimension)


def without(base: Rows, ids: Sequence[str]) -> Edited:
    """The rows without some records; ids without a record are ignored."""
    gone = set(ids)
    order = [row for row, record in enumerate(base.ids) if record not in gone]
    return Edited(base, order, width=base.dimension)


def _width(base: Rows, vectors: Vectors) -> int | None:
    return base.dimension if base.dimension is not None else int(vectors.shape[1]) if len(vectors) else None
