"""The old databases that migrations leave beside the new one: their names, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import BackupError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.folder.location import BACKUP_PREFIX, Location
from lightmigrate.migration.folder.record import Record
from lightmigrate.migration.moment import next_moment, order
from lightmigrate.results import Result
from lightmigrate.stores.chroma_folder import is_chroma_folder


@dataclass(frozen=True)
class Backup(Result):
    """What once stood where the database stands now: a whole folder, or a collection of a database that is open.

    Attributes:
        name: of the folder or the collection.
        path: of the folder; a collection's is its name below the server's address.
        bytes: what it takes on disk; `None` for a collection.
        migrated_at: when the database in it was itself last migrated; `None` for one never migrated.
    """

    name: str
    path: Path
    bytes: int | None
    migrated_at: str | None


def backup_folders(location: Location) -> list[Path]:
    """All folders in the location's home that look like backups, of whatever database, the oldest first."""
    found = [path for path in location.home.glob(f"{BACKUP_PREFIX}*") if path.is_dir()]
    return sorted(found, key=lambda path: order(path.name.removeprefix(BACKUP_PREFIX)))


def new_backup_path(location: Location) -> Path:
    """A free name `chroma_backup_YYYYMMDD_HHMMSS` in the location's home, after those of all backups there are."""
    taken = (path.name.removeprefix(BACKUP_PREFIX) for path in backup_folders(location))
    return location.home / f"{BACKUP_PREFIX}{next_moment(taken)}"


def backups_of(location: Location) -> list[Backup]:
    """The backups that belong to this database, oldest name first. Only reads.

    A folder belongs to it when the database's record names it, or the record of another of its backups
    does, or when the folder's own record says it is this database (left there by a rollback), or when it stands
    inside the database. Backups of other databases beside this one are not listed.
    """
    candidates = {path.name: path for path in backup_folders(location) if is_chroma_folder(path)}
    records = {name: Record.read(path) for name, path in candidates.items()}
    own = Record.read(location.database)
    belonging = set(candidates) if location.inside else set(own.backups) if own else set()
    for name, record in records.items():
        if record is not None and record.database_name == location.database.name:
            belonging |= {name, *record.backups}
    return [
        Backup(name, path, tree_bytes(path), record.migrated_at if (record := records[name]) else None)
        for name, path in candidates.items()
        if name in belonging
    ]


def find_backup(location: Location, name: str | None) -> Backup:
    """The backup to go back to: the newest, or the one named.

    Raises:
        BackupError: there is none, or none of that name; the message lists those there are.
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


def choose_backups(backups: Sequence[Backup], names: Sequence[str] | None, database: Path) -> list[Backup]:
    """Those named, or all.

    Raises:
        BackupError: a name that is none of them.
    """
    known = {backup.name: backup for backup in backups}
    for name in names or ():
        if name not in known:
            raise BackupError(f"{database} has no backup {name}; there are: {', '.join(known) or 'none'}")
    return [known[name] for name in (known if names is None else names)]
