"""The record that a new database carries: what was migrated in it, whose it is, and what was written until when."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

from lightmigrate.migration.folder.record import CollectionRecord, Record
from lightmigrate.migration.request import Request
from lightmigrate.migration.verify import Verification
from lightmigrate.stores.chroma_changes import last_writes


def sign_new(
    new: Path, live: Path, migrated: Iterable[tuple[Request, Verification | None]], backup: Path | None
) -> None:
    """Write the record of a new database that is to replace `live`, which will be known as `backup` then."""
    earlier = Record.read(live)
    collections = {(c.tenant, c.database, c.name): c for c in earlier.collections} if earlier else {}
    for request, checked in migrated:
        address, info = request.address, request.projection.info
        if checked is not None:
            collections[address.tenant, address.database, address.name] = CollectionRecord(
                name=address.name,
                tenant=address.tenant,
                database=address.database,
                source=info.source.to_json(),
                target=info.target.to_json(),
                records=checked.records,
                content_sha256=checked.content_sha256,
                vectors_sha256=checked.vectors_sha256,
                settings_sha256=checked.settings_sha256,
            )
    Record(
        database_name=live.name,
        migrated_at=_now(),
        collections=tuple(collections.values()),
        backups=((*earlier.backups,) if earlier else ()) + ((backup.name,) if backup else ()),
        last_writes=_writes(new),
        source_writes=_writes(live),
    ).write(new)


def sign_copy(copy: Path, live: Path, backup: str) -> None:
    """Write the record of a copy of a backup that is to replace `live`: whose it is, and what was written when."""
    earlier, replaced = Record.read(copy), Record.read(live)
    names = [*(earlier.backups if earlier else ()), *(replaced.backups if replaced else ()), backup]
    Record(
        database_name=live.name,
        migrated_at=_now(),
        collections=earlier.collections if earlier else (),
        backups=tuple(dict.fromkeys(names)),
        last_writes=_writes(copy),
        source_writes=_writes(live),
    ).write(copy)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def _writes(folder: Path) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((a.tenant, a.database, a.name, last) for a, last in last_writes(folder).items())
