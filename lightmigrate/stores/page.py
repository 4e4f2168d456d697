"""The pages in which records travel between a store and everything above it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from lightmigrate.vectors import Vectors

# A payload holds only what JSON can represent, so that a file can keep it while a database is built.
Payload = Mapping[str, Any]

# Where a scan resumes. Opaque: only the store that returned it can interpret it. It is text that a journal can keep.
Cursor = str

_Item = TypeVar("_Item")

# Largest number of ranges that a sample is read from: skipping to an offset may cost as much as reading a page.
_MOST_RANGES = 50


def sample_ranges(total: int, n: int, seed: int = 0) -> tuple[list[int], int]:
    """The ranges of rows of a sample of about `n` of `total` records, from all over them.

    Returns:
        Where each begins, and how many rows each has.
    """
    if total <= n:
        return ([0], n) if total else ([], 0)
    ranges = min(_MOST_RANGES, n)
    each = -(-n // ranges)
    shift = int(np.random.default_rng(seed).integers(max(0, total // ranges - each) + 1))
    return sorted({total * number // ranges + shift for number in range(ranges)}), each


def spread_rows(total: int, n: int, seed: int = 0) -> list[int]:
    """The rows of a sample of `n` of `total` records, each by itself, from all over them, in ascending order."""
    shift = seed % max(1, total // n)
    return [total * number // n + shift for number in range(n)] if total > n else list(range(total))


def batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Slices of at most so many items, in order."""
    return (items[start : start + size] for start in range(0, len(items), size))


def in_batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Lists of at most so many items, in order; the items are fetched while they are passed over."""
    rest = iter(items)
    while some := list(itertools.islice(rest, size)):
        yield some


def requests(items: Sequence[_Item], most: int, size_of: Callable[[_Item], int], largest: int) -> Iterator[list[_Item]]:
    """Slices of at most so many items that are together not larger than a request may be; one item may be, by itself.

    Args:
        items: what is sent.
        most: number of items in a request.
        size_of: the bytes that an item takes.
        largest: number of bytes in a request.
    """
    some: list[_Item] = []
    size = 0
    for item in items:
        needed = size_of(item)
        if some and (len(some) == most or size + needed > largest):
            yield some
            some, size = [], 0
        some.append(item)
        size += needed
    if some:
        yield some


@dataclass(frozen=True)
class Page:
    """Some records of a collection; all columns are n long.

    Attributes:
        ids: unique within the collection; opaque: the store encodes its own kind of key as text, losing nothing.
        vectors: float32 `(n, d)`; `(n, 0)` where they were not requested.
        texts: what was embedded, as far as it is stored; `None` where there is none.
        payloads: everything else that a record holds; opaque, JSON; `None` where empty (never an empty mapping).
        cursor: where a scan resumes after these records; `None` for a page that did not come from a scan.
    """

    ids: Sequence[str]
    vectors: Vectors
    texts: Sequence[str | None]
    payloads: Sequence[Payload | None]
    cursor: Cursor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def joined(cls, pages: Sequence[Page]) -> Page:
        """The records of all pages, in order; vectors are `(0, 0)` when there are no records."""
        full = [page for page in pages if len(page)]
        return cls(
            ids=[record for page in full for record in page.ids],
            vectors=np.concatenate([page.vectors for page in full]) if full else np.zeros((0, 0), np.float32),
            texts=[text for page in full for text in page.texts],
            payloads=[payload for page in full for payload in page.payloads],
        )

    def part(self, start: int, end: int) -> Page:
        """The records from `start` to before `end`."""
        rows = slice(start, end)
        return Page(self.ids[rows], self.vectors[rows], self.texts[rows], self.payloads[rows])

    def rows(self, rows: Sequence[int]) -> Page:
        """Some of the records, in the order given."""
        return Page(
            ids=[self.ids[row] for row in rows],
            vectors=self.vectors[list(rows)],
            texts=[self.texts[row] for row in rows],
            payloads=[self.payloads[row] for row in rows],
        )

    def in_order_of(self, ids: Sequence[str]) -> Page:
        """The same records in the order in which some ids name them; every one of them is named."""
        place = {record: number for number, record in enumerate(ids)}
        return self.rows(sorted(range(len(self)), key=lambda row: place[self.ids[row]]))

    def with_vectors(self, vectors: Vectors) -> Page:
        """The same records with other vectors `(n, d_out)`."""
        return Page(self.ids, vectors, self.texts, self.payloads, self.cursor)


@dataclass(frozen=True)
class WrittenRecords:
    """What was written to a collection since an earlier point in time.

    Attributes:
        written: ids of records that were added or changed, each once; some may have been deleted again.
        deleted: ids of records that were deleted; the caller may never have read some of them.
        mark: the point in time up to which this is complete; pass it to the next `changes`.
        touched: number of other records of which something else was written, where versions share it: since a backup
            was replaced, and only as `Store.written_since` counts.
        gone: number of records that the backup has lost, too, because versions share their records; likewise.
    """

    written: Sequence[str]
    deleted: Sequence[str]
    mark: str
    touched: int = 0
    gone: int = 0
