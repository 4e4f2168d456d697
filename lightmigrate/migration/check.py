"""Is a migrated collection still what its migration left? Compared by digest with the record."""

from __future__ import annotations

from lightmigrate.migration.digest import Digest, settings_sha256
from lightmigrate.migration.folder.record import CollectionRecord
from lightmigrate.migration.results import Check
from lightmigrate.projection.vectors import meaningful
from lightmigrate.stores.base import Address, Store


def check_collection(store: Store, record: CollectionRecord, page_size: int) -> Check:
    """Read a whole collection and compare it with its record. Only reads.

    Raises:
        CollectionNotFoundError: it is gone.
    """
    collection = store.collection(Address(record.name, record.tenant, record.database))
    digest, invalid = Digest(), 0
    for page in collection.pages(page_size):
        digest.add(page)
        invalid += int((~meaningful(page.vectors)).sum())
    return Check(
        collection_name=str(collection.address),
        records=collection.count(),
        records_migrated=record.records,
        contents_equal=digest.content == record.content_sha256,
        vectors_equal=digest.vectors == record.vectors_sha256,
        settings_equal=settings_sha256(collection) == record.settings_sha256,
        invalid_vectors=invalid,
    )
