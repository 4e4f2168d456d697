"""Writes made to a database that is files since its migration: finds them, and carries them over to a backup."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.put_aside import known_by_records
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.record import Record, by_address
from lightmigrate.migration.changes import Changes, OnWritten, OwnVectors, carry, without_own
from lightmigrate.progress import OnProgress
from lightmigrate.stores.base import Address, Collection, Store
from lightmigrate.stores.files import FileDatabase


def changes_since(live: FileDatabase, backup: FileDatabase) -> list[Changes]:
    """The changes in each collection of `live` since one of the two databases was made from the other. Only reads.

    What the backup alone has was deleted, unless it was written there after the one was made from the other.

    A backup from before several migrations is compared with the state after the last one: earlier
    changes are not listed.
    """
    live_writes, backup_writes = live.last_writes(), backup.last_writes()
    live_record, backup_record = Record.read(live.folder), Record.read(backup.folder)
    last_live: Mapping[Address, int]
    last_backup: Mapping[Address, int]
    if backup_record and (not live_record or live_record.migrated_at < backup_record.migrated_at):
        # rolling forward after a rollback: the backup was made from this database, and may have been written to since
        last_live, last_backup = by_address(backup_record.source_writes), by_address(backup_record.last_writes)
    else:
        last_live = by_address(live_record.last_writes if live_record else ())
        # what is newer in the backup was never in this database, so it was not deleted there
        known = known_by_records(Location.of(live), backup.folder)
        last_backup = backup_writes if known is None else known.writes
    changes = []
    for address in sorted(live_writes.keys() | backup_writes.keys(), key=str):
        written_after, known_until = last_live.get(address, 0), last_backup.get(address, 0)
        added, changed, deleted = list[str](), list[str](), list[str]()
        for record, in_live, in_backup in _side_by_side(live.writes(address), backup.writes(address)):
            if in_live is None:
                if in_backup is not None and in_backup <= known_until:
                    deleted.append(record)
            elif in_live > written_after:
                (added if in_backup is None else changed).append(record)
        if added or changed or deleted:
            changes.append(Changes(address, added=added, changed=changed, deleted=deleted))
    return changes


def missing_in(other: FileDatabase, database: FileDatabase) -> int:
    """The number of records of a database that another one does not have. Only reads."""
    return sum(
        in_database is not None and in_other is None
        for address in database.last_writes()
        for _, in_database, in_other in _side_by_side(database.writes(address), other.writes(address))
    )


def _side_by_side(
    live: Iterable[tuple[str, int]], backup: Iterable[tuple[str, int]]
) -> Iterator[tuple[str, int | None, int | None]]:
    """Every record of two lists in the order of the ids, with its number in each; `None` where it is not there."""
    both = heapq.merge(((record, 0, number) for record, number in live), ((r, 1, number) for r, number in backup))
    for record, found in itertools.groupby(both, key=lambda each: each[0]):
        numbers: list[int | None] = [None, None]
        for _, which, number in found:
            numbers[which] = number
        yield record, numbers[0], numbers[1]


def changes_by_others(
    live: FileDatabase,
    backup: FileDatabase,
    written: OnWritten,
    own: OwnVectors,
    page_size: int,
    on_progress: OnProgress,
) -> list[Changes]:
    """`changes_since`, without the records to which this package alone has given another vector.

    To tell them, the live database is opened and a temporary copy of the backup is read, which is to stay as it is.
    Neither is done when there can be no such records, nor when all changes are discarded: going back is then possible
    on a full disk.

    Raises:
        DiskSpaceError: there is not enough disk space for the copy.
    """
    changes = changes_since(live, backup)
    concerned = {changed.address for changed in changes if changed.changed and own.knows(changed.address)}
    if written == "discard" or not concerned:
        return changes
    with open_copy(backup, on_progress) as old, live.open() as new:
        kept = [
            without_own(changed, new.collection(changed.address), old.collection(changed.address), own, page_size)
            if changed.address in concerned
            else changed
            for changed in changes
        ]
    return [changed for changed in kept if changed]


def written_state(live: FileDatabase) -> object:
    """What differs after anybody has written records to a database. Only reads."""
    return live.last_writes(), {facts.address: facts.count for facts in live.catalog()}


def require_state(live: FileDatabase, state: object) -> None:
    """Raise `DatabaseChangedError` where records were written to a database since its `written_state`. Only reads."""
    if written_state(live) != state:
        raise DatabaseChangedError(
            f"{live.folder} was written to while it was compared with its backup: nothing was changed; run this again"
        )


def carry_over(live: FileDatabase, copy: FileDatabase, changes: Sequence[Changes], page_size: int, seed: int) -> None:
    """Apply the changes of the live database to a copy of the backup. Writes to the copy.

    Texts and payloads are carried exactly. Vectors of a collection in the new model's space are projected
    back, with a projection fitted on the records that both databases have: approximate, not exact.

    Raises:
        VerificationError: the copy lacks a record that was carried over, or has one that was deleted.
        WrittenSinceError: both databases have too few records in common to fit that projection.
    """
    live_addresses, copy_addresses = ({facts.address for facts in database.catalog()} for database in (live, copy))
    copy.prepare()
    with live.open() as live_store, copy.open() as copy_store:
        for changed in changes:
            source = live_store.collection(changed.address) if changed.address in live_addresses else None
            target = _counterpart(copy_store, source, changed.address, changed.address in copy_addresses)
            carry(source, target, changed, page_size, seed)
    for changed in changes:
        expected, deleted = {*changed.added, *changed.changed}, set(changed.deleted)
        concerned = {record for record, _ in copy.writes(changed.address) if record in expected or record in deleted}
        if concerned != expected:
            raise VerificationError(
                f"collection {changed.address}: not all records were carried over; nothing was changed"
            )
    copy.tidy()


def _counterpart(store: Store, source: Collection | None, address: Address, exists: bool) -> Collection:
    if exists or source is None:
        return store.collection(address)
    return store.create(address, source, source.facts().dimension or 0, None)
