"""Backups: the old databases that migrations leave beside the new one, their names, and how one is found."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import BackupError, RefusedError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.belonging import backup_folders, names_of_original, own_backups
from lightmigrate.migration.aside.location import WORKSPACE_SUFFIX, Location
from lightmigrate.migration.aside.nowhere_else import reason_to_keep
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.history import readable_history, write_history
from lightmigrate.migration.results import Backup, choose_backups
from lightmigrate.stores.files import require_unused
from lightmigrate.stores.timestamp import next_timestamp

# How many numbers there are to choose from at random.
_NUMBERS = 10**9


def new_backup_path(location: Location) -> Path:
    """A free name such as `chroma_backup_YYYYMMDD_HHMMSS` in the location's home, later than all backups.

    Runs on other databases beside this one have chosen names that are not taken yet: while there may be one, a random
    number makes it none of theirs. The lock of this database is held, so that they see that there is this run, too.
    """
    taken = (path.name.removeprefix(location.backup_prefix) for path in backup_folders(location))
    number = 1 if _is_alone(location) else secrets.randbelow(_NUMBERS) + 2
    return location.home / f"{location.backup_prefix}{next_timestamp(taken, number)}"


def _is_alone(location: Location) -> bool:
    """Whether no other database of the location's home has a workspace."""
    other = location.home.glob(f".*{WORKSPACE_SUFFIX}")
    return location.inside or all(path == location.workspace for path in other)


def under_free_name(location: Location, taken: Path) -> Path:
    """A free name in place of that of a backup, which somebody took meanwhile. Writes it where the database names it.

    After a crash in here it chooses the same one again.
    """
    folder = location.database
    record = Record.read(folder)
    named = location.home / record.backups[-1] if record is not None and record.backups else taken
    free = new_backup_path(location) if named.exists() else named
    if record is not None and taken.name in record.backups:
        names = tuple(free.name if name == taken.name else name for name in record.backups)
        history = readable_history(folder)
        if history is not None:
            renamed = (replace(each, backup=free.name) if each.backup == taken.name else each for each in history)
            write_history(folder, renamed)
        replace(record, backups=names).write(folder)
    return free


def name_one_more(folder: Path, backup: str) -> None:
    """Add a backup to those that the record of a database names, if it has one. Writes."""
    record = Record.read(folder)
    if record is not None and backup not in record.backups:
        replace(record, backups=(*record.backups, backup)).write(folder)


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
        Backup(
            path.name,
            path,
            tree_bytes(path),
            record.migrated_at if record else None,
            reason_to_keep(location, path),
        )
        for path, record in own_backups(location)
    ]


def deletable(location: Location, names: Sequence[str] | None) -> list[Backup]:
    """The backups with these names, or all, of which nobody may have one open. Only reads.

    Raises:
        BackupError: there is no backup of one of the names.
        DatabaseInUseError: a process has one open.
        RefusedError: without names, where one has what may be nowhere else.
    """
    chosen = choose_backups(backups_of(location), names, location.database)
    for backup in chosen:
        require_unused(location.files.at(backup.path))
        if names is None and (reason := backup.reason_to_keep):
            raise RefusedError(
                f"{backup.name} {reason}; nothing was deleted:  lightmigrate rollback DATABASE --backup {backup.name}  "
                f"goes back to it,  lightmigrate clean DATABASE --backup {backup.name} --yes  deletes it all the same"
            )
    return chosen


def find_backup(location: Location, name: str | None) -> Backup:
    """The backup to go back to: the newest, or the one named.

    Raises:
        BackupError: there is none, or none of that name; the message lists the names.
    """
    database, backups = location.database, backups_of(location)
    if not backups:
        if others := names_of_original(location, Record.read(database)):
            raise BackupError(
                f"{database} has no backup of its own: it was copied from a database beside it, to which "
                f"{', '.join(sorted(others))} belongs"
            )
        raise BackupError(f"{database} has no backup: nothing was migrated, or the backups were cleaned")
    if name is None:
        return backups[-1]
    for backup in backups:
        if backup.name == Path(name).name:
            return backup
    known = ", ".join(backup.name for backup in backups)
    raise BackupError(f"{database} has no backup {name}; there are: {known}")
