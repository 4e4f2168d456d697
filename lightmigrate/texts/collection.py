"""A collection with the texts that were embedded in place of the documents that are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.stores.joined import Collections
from lightmigrate.stores.reshaped import Reshaped
from lightmigrate.texts.source import STORED, TextSource


@dataclass(frozen=True)
class WithTexts(Reshaped):
    """A `Collection` whose pages hold the embedded texts, which are never written to it.

    Attributes:
        source: where the texts come from.
    """

    source: TextSource

    def reshaped(self, page: Page) -> Page:
        """The same records with these texts."""
        return self.source.applied(page)


@dataclass(frozen=True)
class CollectionsWithTexts:
    """Opens collections with their embedded texts in place of the documents that are stored.

    Attributes:
        store: opens them without.
        sources: where the texts of each come from; a collection that is not listed has its documents.
    """

    store: Collections
    sources: Mapping[Address, TextSource]

    def collection(self, address: Address) -> Collection:
        """The collection, with its texts; only to be read."""
        return WithTexts(self.store.collection(address), self.sources.get(address, STORED))
