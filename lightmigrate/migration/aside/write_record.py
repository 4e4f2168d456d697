"""Writes the record of a new database: its migrated collections, its name, its backups, and its last writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightmigrate.migration.aside.belonging import names_of_original
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import CollectionRecord, Record, listed
from lightmigrate.migration.distance import keeps_vectors
from lightmigrate.migration.history import now
from lightmigrate.migration.request import Request
from lightmigrate.migration.verify import Verification
from lightmigrate.stores.files import FileDatabase


def sign_new(
    new: FileDatabase,
    live: FileDatabase,
    migrated: Iterable[tuple[Request, Verification | None]],
    backups: Sequence[str],
) -> None:
    """Write the record of a new database that will replace `live`. Writes to `new`.

    Args:
        new: the new database.
        live: what it will replace.
        migrated: what was asked for, and what was found in the new database.
        backups: the names of its backups, the oldest first.
    """
    earlier = Record.read(live.folder)
    collections = {record.address: record for record in earlier.collections} if earlier else {}
    for request, checked in migrated:
        address, info = request.address, request.projection.info
        source: Mapping[str, Any] = info.source.to_json()
        target: Mapping[str, Any] = info.target.to_json()
        if keeps_vectors(request.projection):
            known = collections.get(address)
            source, target = (known.source, known.target) if known else ({}, {})
        if checked is not None:
            collections[address] = CollectionRecord(
                name=address.name,
                tenant=address.tenant,
                database=address.database,
                source=source,
                target=target,
                records=checked.records,
                content_sha256=checked.content_sha256,
                vectors_sha256=checked.vectors_sha256,
                settings_sha256=checked.settings_sha256,
                vector=address.vector,
                part=address.part,
            )
    Record(
        database_name=live.folder.name,
        migrated_at=now(),
        collections=tuple(collections.values()),
        backups=tuple(backups),
        last_writes=listed(new.last_writes()),
        source_writes=listed(live.last_writes()),
    ).write(new.folder)


def sign_copy(copy: FileDatabase, live: FileDatabase, copied: str, displaced: str) -> None:
    """Write the record of a copy of a backup that will replace `live`. Writes to `copy`.

    Args:
        copy: the copy.
        live: the database that it will replace.
        copied: name of the backup.
        displaced: name that `live` will have as a backup; the last one, since `source_writes` are those of `live`.
    """
    location, names = Location.of(live), list[str]()
    earlier = Record.read(copy.folder)
    for record in (earlier, Record.read(live.folder)):
        others = names_of_original(location, record)
        names += [name for name in (record.backups if record else ()) if name not in others]
    Record(
        database_name=live.folder.name,
        migrated_at=now(),
        collections=earlier.collections if earlier else (),
        backups=(*dict.fromkeys(name for name in (*names, copied) if name != displaced), displaced),
        last_writes=listed(copy.last_writes()),
        source_writes=listed(live.last_writes()),
    ).write(copy.folder)
