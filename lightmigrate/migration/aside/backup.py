"""Backups: the old databases that migrations leave beside the new one, and which database each belongs to."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import BackupError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.results import Backup
from lightmigrate.stores.timestamp import next_timestamp, order


def backup_folders(location: Location) -> list[Path]:
    """All folders in the location's home that look like backups, of any database, oldest first. Only reads."""
    folders = [path for path in location.home.glob(f"{location.backup_prefix}*") if path.is_dir()]
    return sorted(folders, key=lambda path: order(path.name.removeprefix(location.backup_prefix)))


def new_backup_path(location: Location) -> Path:
    """A free name such as `chroma_backup_YYYYMMDD_HHMMSS` in the location's home, later than all backups."""
    taken = (path.name.removeprefix(location.backup_prefix) for path in backup_folders(location))
    return location.home / f"{location.backup_prefix}{next_timestamp(taken)}"


def name_for_displaced(location: Location, incoming: Path) -> Path:
    """A free folder name under which a database that `incoming` replaces is listed as a backup of this one."""
    if Record.read(location.database) is None:  # without one of its own, it is found only by a name in the other record
        record = Record.read(incoming)
        for name in record.backups if record else ():
            if not (location.home / name).exists():
                return location.home / name
    return new_backup_path(location)


def backups_of(location: Location) -> list[Backup]:
    """The backups that belong to this database, oldest name first. Only reads."""
    return [
        Backup(path.name, path, tree_bytes(path), record.migrated_at if record else None)
        for path, record in own_backups(location)
    ]


def own_backups(location: Location) -> list[tuple[Path, Record | None]]:
    """The folders of the backups that belong to this database, with their records, oldest name first. Only reads.

    A folder belongs to it when the database's record names it, or the record of another of its backups
    does, or when the folder's own record says it is this database (left there by a rollback), or when it stands
    inside the database. Backups of other databases beside this one are not listed.
    """
    candidates = {path.name: path for path in backup_folders(location) if location.files.at(path).exists()}
    records = {name: Record.read(path) for name, path in candidates.items()}
    own = Record.read(location.database)
    belonging = set(candidates) if location.inside else set(own.backups) if own else set()
    for name, record in records.items():
        if record is not None and record.database_name == location.database.name:
            belonging |= {name, *record.backups}
    return [(path, records[name]) for name, path in candidates.items() if name in belonging]


def find_backup(location: Location, name: str | None) -> Backup:
    """The backup to go back to: the newest, or the one named.

    Raises:
        BackupError: there is none, or none of that name; the message lists the names.
    """
    database, backups = location.database, backups_of(location)
    if not backups:
        raise BackupError(f"{database} has no backup: nothing was migrated, or the backups were cleaned")
    if name is None:
        return backups[-1]
    for backup in backups:
        if backup.name == Path(name).name:
            return backup
    known = ", ".join(backup.name for backup in backups)
    raise BackupError(f"{database} has no backup {name}; there are: {known}")
