"""Some records of a collection that takes too long to be read whole, as a collection in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np

from lightmigrate.errors import RefusedError
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.defaults import CollectionDefaults
from lightmigrate.stores.distance import all_distances
from lightmigrate.stores.joined import Collections
from lightmigrate.stores.page import spread_rows
from lightmigrate.vectors import Vectors, as_vectors

# Records that stand for all: words and quality are estimated of them as of all.
_RECORDS = 40_000


@runtime_checkable
class ReadInParts(Protocol):
    """A collection whose `sample` reads a few parts of it, where a scan reads terabytes."""

    reads_parts: bool


class Excerpt(CollectionDefaults):
    """Records of another collection, which are all of this one. Reads nothing; cannot be written.

    Args:
        page: the records.
        facts: of the other collection.
    """

    def __init__(self, page: Page, facts: CollectionFacts) -> None:
        self._page, self._facts = page, facts

    @property
    def address(self) -> Address:
        """Of the other collection."""
        return self._facts.address

    def facts(self) -> CollectionFacts:
        """Those of the other collection, with the number of records that there are here."""
        return replace(self._facts, count=len(self._page))

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """See `Collection`."""
        start = 0 if after is None else int(after)
        for first in range(start, len(self._page), size):
            page = self._page.part(first, first + size)
            kept = page.vectors if vectors else np.zeros((len(page), 0), np.float32)
            yield Page(page.ids, kept, page.texts, page.payloads, str(first + len(page)))

    def sample(self, n: int, seed: int = 0) -> Page:
        """See `Collection`."""
        return self._page.rows(spread_rows(len(self._page), n, seed))

    def records(self, ids: Sequence[str]) -> Page:
        """See `Collection`."""
        place = {record: row for row, record in enumerate(self._page.ids)}
        return self._page.rows([place[record] for record in ids if record in place])

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """See `Collection`."""
        metric: Metric = "cosine"
        measured = all_distances(as_vectors(vectors).astype(np.float64), self._page.vectors.astype(np.float64), metric)
        rows = np.argsort(measured, axis=1, kind="stable")[:, :k]
        return [[self._page.ids[row] for row in each] for each in rows], np.take_along_axis(measured, rows, 1).tolist()

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """None."""
        return {}

    def put(self, page: Page) -> NoReturn:
        """Refuse."""
        raise RefusedError(f"{self.address} was only read in part, and cannot be written")

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> NoReturn:
        """Refuse."""
        self.put(Page([], vectors, [], []))

    def remove(self, ids: Sequence[str]) -> NoReturn:
        """Refuse."""
        self.put(Page([], np.zeros((0, 0), np.float32), [], []))


class Excerpts:
    """Opens collections; of those that are read in parts, an excerpt.

    Args:
        store: that they are in.
    """

    def __init__(self, store: Collections) -> None:
        self._store = store
        self._known: dict[Address, Collection] = {}
        self._all = self._read = 0

    def collection(self, address: Address) -> Collection:
        """See `Store`."""
        if address not in self._known:
            collection = self._store.collection(address)
            if isinstance(collection, ReadInParts) and (facts := collection.facts()).count > _RECORDS:
                page = collection.sample(_RECORDS)
                self._all, self._read = self._all + facts.count, self._read + len(page)
                collection = Excerpt(page, facts)
            self._known[address] = collection
        return self._known[address]

    def of_all(self, records: int) -> int:
        """How many records of the whole collections correspond to so many of what was read."""
        return round(records * self._all / self._read) if self._read else records
