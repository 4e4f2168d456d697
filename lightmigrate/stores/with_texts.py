"""A collection whose texts somebody keeps elsewhere, and has by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Address, Collection, Page


@dataclass(frozen=True)
class WithTexts:
    """A `Collection` that is read with these texts; they are never written to it.

    Attributes:
        collection: it, open.
        texts: by id, for records that store none; a text that is stored is what the application wrote last.
    """

    collection: Collection
    texts: Mapping[str, str]

    @property
    def address(self) -> Address:
        """See `Collection`, here and below."""
        return self.collection.address

    def count(self) -> int:
        """Number of records."""
        return self.collection.count()

    def pages(self, size: int, start: int = 0, *, vectors: bool = True) -> Iterator[Page]:
        """All records, with these texts."""
        return (self._told(page) for page in self.collection.pages(size, start, vectors=vectors))

    def ids(self) -> list[str]:
        """All ids."""
        return self.collection.ids()

    def records(self, ids: Sequence[str]) -> Page:
        """Some records, with these texts."""
        return self._told(self.collection.records(ids))

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

    def rename(self, name: str) -> None:
        """Give it another name."""
        self.collection.rename(name)

    def delete(self) -> None:
        """Remove it."""
        self.collection.delete()

    def _told(self, page: Page) -> Page:
        return replace(page, documents=documents_of(page, self.texts))


def documents_of(page: Page, texts: Mapping[str, str]) -> Sequence[str | None]:
    """The text of each record of a page: the one it stores, or the one given by its id, or none."""
    if not texts:
        return page.documents
    held = zip(page.ids, page.documents, strict=True)
    return [stored if stored and stored.strip() else texts.get(one, stored) for one, stored in held]
