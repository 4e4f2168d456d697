"""A collection whose records are changed while they are read."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightmigrate.stores.base import Address, Collection, CollectionFacts, Cursor, Page, WrittenRecords
from lightmigrate.vectors import Metric, Vectors


@dataclass(frozen=True)
class Reshaped(abc.ABC):
    """A `Collection` whose pages are changed when they are read. What is written goes through as it is.

    Attributes:
        collection: the open collection.
    """

    collection: Collection

    @abc.abstractmethod
    def reshaped(self, page: Page) -> Page:
        """The same records as they are to be read."""

    @property
    def address(self) -> Address:
        """See `Collection`, here and below."""
        return self.collection.address

    def facts(self) -> CollectionFacts:
        """What the database says about it."""
        return self.collection.facts()

    def count(self) -> int:
        """Number of records."""
        return self.collection.count()

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records."""
        return (self.reshaped(page) for page in self.collection.scan(size, after, vectors=vectors))

    def sample(self, n: int, seed: int = 0) -> Page:
        """Some records from all over."""
        return self.reshaped(self.collection.sample(n, seed))

    def ids(self) -> Iterator[str]:
        """All ids."""
        return self.collection.ids()

    def records(self, ids: Sequence[str]) -> Page:
        """Some records."""
        return self.reshaped(self.collection.records(ids))

    def put(self, page: Page) -> None:
        """Write records as they are given."""
        self.collection.put(page)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Write vectors only."""
        self.collection.replace_vectors(ids, vectors)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete records."""
        self.collection.remove(ids)

    def add(self, page: Page) -> None:
        """Write new records as they are given."""
        self.collection.add(page)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Search."""
        return self.collection.nearest(vectors, k)

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """All that configures it."""
        return self.collection.settings(distance)

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written."""
        return self.collection.changes(since)
