"""A version of a collection that is being built: the rows of the table, with the vectors that are staged for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.lance.collection import LanceCollection
from lightmigrate.stores.lance.exhaustive import search
from lightmigrate.stores.lance.staged import Staged
from lightmigrate.stores.page import in_batches
from lightmigrate.vectors import Vectors

# Vectors that a search reads at once.
_BLOCK = 4000


class BuildingCollection(CollectionDefaults):
    """See `stores.base.Collection`. It shares ids, texts and payloads with the live collection.

    Args:
        live: the collection of the table.
        address: of the version.
        staged: its vectors.
    """

    def __init__(self, live: LanceCollection, address: Address, staged: Staged) -> None:
        self.live, self.staged = live, staged
        self._address = address

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def metric(self) -> Metric:
        """The distance that it is to get."""
        return self.staged.settings["distance"] or self.live.metric

    @property
    def model(self) -> Mapping[str, Any] | None:
        """The embedding function to record; `None` keeps the record."""
        model: Mapping[str, Any] | None = self.staged.settings["model"]
        return model

    def facts(self) -> CollectionFacts:
        """What is known about it; only reads."""
        model, token = self.model or self.live.facts().embedding_function, str(self.staged.settings["token"])
        return facts_at(self._address, self.count(), self.staged.dimension, self.metric, model, token)

    def count(self) -> int:
        """Number of records."""
        return sum(1 for _ in self.ids())

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order of the table; only reads."""
        for page in self.live.scan(size, after, vectors=False):
            joined = self._with_vectors(page)
            if len(joined):
                stored = joined.vectors if vectors else np.zeros((len(joined), 0), np.float32)
                yield Page(joined.ids, stored, joined.texts, joined.payloads, page.cursor)

    def sample(self, n: int, seed: int = 0) -> Page:
        """Records from all over the table; only reads."""
        return self._with_vectors(self.live.sample(n, seed))

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads."""
        for ids in in_batches(self.live.ids(), _BLOCK):
            staged = self.staged.among(ids)
            yield from (record for record in ids if record in staged)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        return self._with_vectors(self.live.records_of(ids, vectors=False))

    def add(self, page: Page) -> None:
        """Stage the vectors of existing records."""
        self.staged.put(page.ids, page.vectors)

    def put(self, page: Page) -> None:
        """Stage the vectors of existing records."""
        self.staged.put(page.ids, page.vectors)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace staged vectors `(n, d)`."""
        self.staged.replace(ids, vectors)

    def remove(self, ids: Sequence[str]) -> None:
        """Remove staged vectors; the table keeps its rows."""
        self.staged.remove(ids)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, by exhaustive search."""
        return search(vectors, self._blocks(), k, self.metric)

    def _blocks(self) -> Iterator[tuple[list[str], Vectors]]:
        """The staged vectors of the rows that the table has."""
        for ids in in_batches(self.live.ids(), _BLOCK):
            rows, stored = self.staged.get(ids)
            yield [ids[row] for row in rows], stored

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """The settings that it gets: those of the live collection, for its distance."""
        return self.live.settings(distance or self.staged.settings["distance"])

    def require_same(self) -> None:
        """Raise `DatabaseChangedError` when the live collection was replaced since it was opened."""
        DatabaseChangedError.require_same(self.live.address, self.live.opened_id, self.live.id)

    def _with_vectors(self, page: Page) -> Page:
        rows, vectors = self.staged.get(page.ids)
        return page.rows(rows).with_vectors(vectors)
