"""What was written to a collection since it replaced its backup: by the log of its store, and compared with it."""

from __future__ import annotations

from collections.abc import Sequence

from lightmigrate.migration.changes import Changes, OwnVectors, without_own
from lightmigrate.migration.digest import Digest, digest_of, settings_sha256
from lightmigrate.migration.results import CollectionCheck
from lightmigrate.migration.verify import VECTOR_TOLERANCE
from lightmigrate.stores.base import Collection, Store, Version
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.page import batches
from lightmigrate.stores.scaled import differing_scaled, with_scaled
from lightmigrate.vectors import meaningful


def logged_since_replaced(
    store: Store, version: Version, live: Collection, old: Collection, own: OwnVectors, page_size: int
) -> Changes | None:
    """What others have written to a collection since it replaced a backup; `None` where there is no log. Only reads.

    Args:
        store: the open database.
        version: the backup.
        live: the collection.
        old: the backup, opened.
        own: tells the vectors that this package wrote since.
        page_size: records held in memory at once.
    """
    written = store.written_since(version)
    if written is None:
        return None
    ids = list(dict.fromkeys([*written.written, *written.deleted]))
    in_live, in_old = (present(collection, ids, page_size) for collection in (live, old))
    changes = Changes(
        version.own,
        added=[record for record in ids if record in in_live - in_old],
        changed=[record for record in ids if record in in_live & in_old],
        deleted=[record for record in ids if record in in_old - in_live],
        touched=written.touched,
        gone=written.gone,
    )
    return by_others(changes, live, old, own, page_size)


def by_others(changes: Changes, source: Collection, old: Collection, own: OwnVectors, page_size: int) -> Changes:
    """The changes that others than this package have made to `source`; only reads. See `without_own`."""
    return without_own(changes, source, old, own, page_size) if own.knows(changes.address) else changes


def present(collection: Collection, ids: Sequence[str], page_size: int) -> set[str]:
    """Those of some records that a collection holds; only reads."""
    return {record for some in batches(ids, page_size) for record in collection.records(some).ids}


def compared(store: Store, backup: Version, own: OwnVectors, page_size: int) -> CollectionCheck:
    """A whole collection beside the backup that it replaced; only reads. See `logged_since_replaced`."""
    live, old = store.collection(backup.own), store.collection(backup.address)
    since = logged_since_replaced(store, backup, live, old, own, page_size)
    written = None if since is None else since.counted_all()
    shared = store.capabilities.shared_records and not store.capabilities.whole_backups
    invalid, digest, dimensions, equal = 0, Digest(), set[int](), True
    for page in live.scan(page_size):
        digest.add(page)
        if beside := with_scaled(page):
            equal = equal and not differing_scaled(page, old.records(beside), VECTOR_TOLERANCE)
        invalid += int((~meaningful(page.vectors)).sum())
        dimensions.add(page.vectors.shape[1])
    return CollectionCheck(
        collection_name=str(backup.own),
        records=live.count(),
        records_migrated=old.count() + (written.gone if written else 0),
        # what both share is the same at any time, whatever was written to it
        contents_equal=equal and digest.content == digest_of(old, page_size).content and not (shared and written),
        vectors_equal=invalid == 0 and len(dimensions) <= 1,
        settings_equal=settings_sha256(live) in (settings_sha256(old), settings_sha256(old, space_of(live))),
        invalid_vectors=invalid,
        written=written,
    )
