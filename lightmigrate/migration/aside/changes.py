"""Writes made to a database that is files since its migration: finds them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.pairing import Pair, paired
from lightmigrate.migration.aside.put_aside import known_by_records
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.record import Record, by_address
from lightmigrate.migration.changes import Changes, OnWritten, OwnVectors, without_own
from lightmigrate.progress import OnProgress
from lightmigrate.stores.base import Address
from lightmigrate.stores.files import FileDatabase


def changes_since(live: FileDatabase, backup: FileDatabase) -> list[Changes]:
    """The changes in each collection of `live` since one of the two databases was made from the other. Only reads.

    What the backup alone has was deleted, unless it was written there after the one was made from the other.

    A backup from before several migrations is compared with the state after the last one: earlier
    changes are not listed.
    """
    live_record, backup_record = Record.read(live.folder), Record.read(backup.folder)
    last_live: Mapping[Address, int]
    last_backup: Mapping[Address, int]
    forward = backup_record is not None and (not live_record or live_record.migrated_at < backup_record.migrated_at)
    if backup_record is not None and forward:
        # rolling forward after a rollback: the backup was made from this database, and may have been written to since
        last_live, last_backup = by_address(backup_record.source_writes), by_address(backup_record.last_writes)
    else:
        last_live = by_address(live_record.last_writes if live_record else ())
        # what is newer in the backup was never in this database, so it was not deleted there
        known = known_by_records(Location.of(live), backup.folder)
        last_backup = backup.last_writes() if known is None else known.writes
    changes, noted, noted_then = [], live.metadata(), backup.metadata()
    for pair in paired(live, backup):
        written_after, known_until = (pair.known(last, as_live=forward) for last in (last_live, last_backup))
        added, changed, deleted = list[str](), list[str](), list[str]()
        for record, in_live, in_backup in _both(live, backup, pair):
            if in_live is None:
                if in_backup is not None and in_backup <= known_until:
                    deleted.append(record)
            elif in_live > written_after:
                (added if in_backup is None else changed).append(record)
        was = pair.old if pair.live is not None and pair.old != pair.live else None
        # of a collection that was deleted nothing is left to tell them
        other = pair.live is not None and noted.get(pair.live, {}) != (noted_then.get(pair.old, {}) if pair.old else {})
        found = Changes(pair.address, added=added, changed=changed, deleted=deleted, was=was, metadata=other)
        if found:
            changes.append(found)
    return changes


def missing_in(other: FileDatabase, database: FileDatabase) -> int:
    """The number of records of a database that another one does not have. Only reads."""
    return sum(
        in_database is not None and in_other is None
        for pair in paired(database, other)
        for _, in_database, in_other in _both(database, other, pair)
    )


def _both(live: FileDatabase, backup: FileDatabase, pair: Pair) -> Iterator[tuple[str, int | None, int | None]]:
    """Every record of a collection in two databases; see `_side_by_side`. Only reads."""
    return _side_by_side(
        live.writes(pair.live) if pair.live is not None else (), backup.writes(pair.old) if pair.old is not None else ()
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
            without_own(
                changed, new.collection(changed.address), old.collection(changed.was or changed.address), own, page_size
            )
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
