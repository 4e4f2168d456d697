"""The history of a database that is files: kept in its folder, and exchanged with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.aside.belonging import own_backups
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import CollectionRecord, Record
from lightmigrate.migration.history import (
    HistoryEntry,
    entry_of,
    read_history,
    readable_history,
    write_history,
)
from lightmigrate.migration.request import Request
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address


def history_of(location: Location) -> list[HistoryEntry]:
    """What was migrated, the oldest first. Only reads.

    A rollback puts a folder back as it was, which knows nothing of later migrations: what only backups know was undone.

    Raises:
        LightmigrateError: the file of the database is damaged.
    """
    return _joined(location, read_history(location.database))


def note_migrations(
    location: Location, new: Path, requests: Sequence[Request], counts: Sequence[int], backup: Path | None
) -> None:
    """Note the migrations of a new database, in its folder, behind what the live one knows. Writes to `new`.

    Args:
        location: of the live database.
        new: folder of the one that will replace it.
        requests: of the migration.
        counts: of the records of each collection.
        backup: folder that the live one will have; `None` if it is not kept.
    """
    name = "" if backup is None else backup.name
    entries = [
        entry_of(request.address, request.projection, records=count, distance=request.distance, backup=name)
        for request, count in zip(requests, counts, strict=True)
    ]
    write_history(new, [*_known(location), *entries])


def keep_of_backups(location: Location) -> None:
    """Keep what only backups know, before they are deleted. Writes to the folder of the database, if there is some."""
    known = _known(location)
    if known and known != readable_history(location.database):
        write_history(location.database, known)


def _known(location: Location) -> list[HistoryEntry]:
    """`history_of` for a run that a damaged file does not fail: what cannot be read is left out."""
    own = readable_history(location.database)
    try:
        return _joined(location, own)
    except LightmigrateError as error:  # the record of some backup
        logger.warning("%s", error)
        return own or []


def _joined(location: Location, own: list[HistoryEntry] | None) -> list[HistoryEntry]:
    """What the database and its backups keep, the oldest first."""
    backups = own_backups(location)
    kept = [(record, readable_history(path)) for path, record in backups]
    if own is None:
        older = [record for record, entries in kept if entries is None]
        own = _from_records([*older, Record.read(location.database)])
    known = {_identity(entry): replace(entry, undone=True) for _, entries in kept for entry in entries or ()}
    known |= {_identity(entry): entry for entry in own}
    return sorted(known.values(), key=lambda entry: entry.at)


def _identity(entry: HistoryEntry) -> tuple[str, Address]:
    return entry.at, entry.address


def _from_records(records: Iterable[Record | None]) -> list[HistoryEntry]:
    """What the records of an older lightmigrate tell, the oldest first: nothing of what was expected."""
    seen, entries = set[tuple[object, ...]](), []
    for record in records:
        for made in record.collections if record is not None else ():
            # a record repeats what earlier migrations made of other collections
            identity = (made.address, made.content_sha256, made.vectors_sha256, made.settings_sha256)
            if record is not None and identity not in seen:
                seen.add(identity)
                entries.append(_from_record(record, made))
    return sorted(entries, key=lambda entry: entry.at)


def _from_record(record: Record, made: CollectionRecord) -> HistoryEntry:
    return HistoryEntry(
        at=record.migrated_at,
        event="migrated",
        collection_name=made.name,
        tenant=made.tenant,
        database=made.database,
        records=made.records,
        source=made.source,
        target=made.target,
        backup=record.backups[-1] if record.backups else "",
        vector=made.vector,
        part=made.part,
    )
