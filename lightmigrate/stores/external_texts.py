"""A collection whose texts are stored outside the database and looked up by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightmigrate.stores.base import Address, Collection, CollectionFacts, Cursor, Page, WrittenRecords
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class WithTexts:
    """A `Collection` whose pages are completed with external texts, which are never written to it.

    Attributes:
        collection: the open collection.
        external: texts by id, for records that store none; a stored text is newer and wins.
    """

    collection: Collection
    external: Mapping[str, str]

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
        """All records, with these texts."""
        return (self._with_texts(page) for page in self.collection.scan(size, after, vectors=vectors))

    def sample(self, n: int, seed: int = 0) -> Page:
        """Some records from all over, with these texts."""
        return self._with_texts(self.collection.sample(n, seed))

    def ids(self) -> list[str]:
        """All ids."""
        return self.collection.ids()

    def records(self, ids: Sequence[str]) -> Page:
        """Some records, with these texts."""
        return self._with_texts(self.collection.records(ids))

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

    def settings(self) -> Mapping[str, Any]:
        """All that configures it."""
        return self.collection.settings()

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written."""
        return self.collection.changes(since)

    def _with_texts(self, page: Page) -> Page:
        return replace(page, texts=texts_of(page, self.external))


def texts_of(page: Page, external: Mapping[str, str]) -> Sequence[str | None]:
    """The text of each record of a page: the one it stores, or the external one of its id, or none."""
    if not external:
        return page.texts
    stored_texts = zip(page.ids, page.texts, strict=True)
    return [stored if stored and stored.strip() else external.get(record, stored) for record, stored in stored_texts]
