"""The old databases that migrations leave beside the new one: their names, and whose they are."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import BackupError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.record import Record
from lightmigrate.results import Result
from lightmigrate.stores.chroma_folder import is_chroma_folder

PREFIX = "chroma_backup_"


@dataclass(frozen=True)
class Backup(Result):
    """A whole database folder that once stood where the database stands now.

    Attributes:
        name: of the folder.
        path: of the folder.
        bytes: what it takes on disk.
        migrated_at: when the database in it was itself last migrated; `None` for one never migrated.
    """

    name: str
    path: Path
    bytes: int
    migrated_at: str | None


def new_backup_path(database: Path) -> Path:
    """A free name `chroma_backup_YYYYMMDD_HHMMSS` (local time) beside the database, `_2`, `_3`, ... if taken."""
    name = PREFIX + datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
    path, number = database.parent / name, 1
    while path.exists():
        number += 1
        path = database.parent / f"{name}_{number}"
    return path


def backups_of(database: Path) -> list[Backup]:
    """The backups that belong to this database, oldest name first. Only reads.

    A folder belongs to it when the database's record names it, or the record of another of its backups
    does, or when the folder's own record says it is this database (left there by a rollback). Backups
    of other databases beside this one are not listed.
    """
    candidates = {path.name: path for path in database.parent.glob(f"{PREFIX}*") if is_chroma_folder(path)}
    records = {name: Record.read(path) for name, path in candidates.items()}
    own = Record.read(database)
    belonging = set(own.backups) if own else set()
    for name, record in records.items():
        if record is not None and record.database_name == database.name:
            belonging |= {name, *record.backups}
    return [
        Backup(name, path, tree_bytes(path), record.migrated_at if (record := records[name]) else None)
        for name, path in sorted(candidates.items())
        if name in belonging
    ]


def find_backup(database: Path, name: str | None) -> Backup:
    """The backup to go back to: the newest, or the one named.

    Raises:
        BackupError: there is none, or none of that name; the message lists those there are.
    """
    backups = backups_of(database)
    if not backups:
        raise BackupError(f"{database} has no backup beside it: nothing was migrated, or the backups were cleaned")
    if name is None:
        return backups[-1]
    for backup in backups:
        if backup.name == Path(name).name:
            return backup
    known = ", ".join(backup.name for backup in backups)
    raise BackupError(f"{database} has no backup {name}; there are: {known}")
