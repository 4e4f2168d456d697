"""What was written to a collection since it replaced its backup, by the log of its store."""

from __future__ import annotations

from collections.abc import Sequence

from lightmigrate.migration.changes import Changes, OwnVectors, without_own
from lightmigrate.stores.base import Collection, Store, Version
from lightmigrate.stores.page import batches


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
