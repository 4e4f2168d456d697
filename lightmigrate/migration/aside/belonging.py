"""Which of the backups in a folder belong to which of the databases in it.

A database's record names its backups, and the record of a backup says what its database was called. Both can mislead.
A folder that was copied has the record of the original, whose backups it must not delete; one that was renamed has its
old name in it; and another database may have that name by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import RECORD_FILE, Record
from lightmigrate.stores.timestamp import order


def backup_folders(location: Location) -> list[Path]:
    """All folders in the location's home that look like backups, of any database, oldest first. Only reads."""
    folders = [path for path in location.home.glob(f"{location.backup_prefix}*") if path.is_dir()]
    return sorted(folders, key=lambda path: order(path.name.removeprefix(location.backup_prefix)))


def own_backups(location: Location) -> list[tuple[Path, Record | None]]:
    """The folders of the backups that belong to this database, with their records, oldest name first. Only reads.

    A folder belongs to it when the database's record names it, unless the database was copied from one beside it to
    which the folder belongs; or when the folder's own record says it is this database (left there by a rollback), or
    the record of such a folder names it, and no other database beside this one does; or when it stands inside the
    database. Backups of other databases beside this one are not listed.
    """
    candidates, records = _candidates(location)
    belonging = set(candidates) if location.inside else set(own_names(location))
    claimed = set[str]()
    for name, record in records.items():
        if record is not None and record.database_name == location.database.name:
            claimed |= {name, *record.backups}
    if claimed - belonging:
        belonging |= claimed - _of_neighbours(location, records)
    return [(path, records[name]) for name, path in candidates.items() if name in belonging]


def own_names(location: Location) -> tuple[str, ...]:
    """The backups that the database's record names, oldest first, deleted ones too; none of another one. Only reads."""
    record = Record.read(location.database)
    if record is None:
        return ()
    others = names_of_original(location, record)
    return tuple(name for name in record.backups if name not in others)


def names_of_original(location: Location, record: Record | None) -> set[str]:
    """Of the backups that a record of the database names, those of the one beside it that it is a copy of. Only reads.

    Args:
        location: of the database.
        record: its own, or that of one of its backups.
    """
    if record is None or location.inside:
        return set()
    return _of_original(location, location.database, record, _candidates(location)[1])


def _candidates(location: Location) -> tuple[dict[str, Path], dict[str, Record | None]]:
    folders = {path.name: path for path in backup_folders(location) if location.files.at(path).exists()}
    return folders, {name: Record.read(path) for name, path in folders.items()}


def _of_original(location: Location, database: Path, record: Record, backups: Mapping[str, Record | None]) -> set[str]:
    """Of the backups that the record of a database names, those of the one beside it that it is a copy of.

    If a database of the name in the record is beside it, either that is the original, or a new one. The original's
    record names them, too. It may have none, after a rollback; but then a backup has a record as new as the copy's.
    """
    original = location.home / record.database_name
    if original.name != record.database_name or original == database or not location.files.at(original).exists():
        return set()
    try:
        of_original = Record.read(original)
    except DatabaseError:
        return set(record.backups)  # it may well name them
    names = set(of_original.backups) if of_original is not None else set()
    for name, left in backups.items():
        if left is not None and left.database_name == original.name and left.migrated_at >= record.migrated_at:
            names |= {name, *left.backups}
    return names & set(record.backups)


def _of_neighbours(location: Location, backups: Mapping[str, Record | None]) -> set[str]:
    """The backups that the records of the other databases beside this one name as theirs."""
    names = set[str]()
    for folder in location.home.iterdir():
        if folder == location.database or folder.name in backups:
            continue
        try:
            record = Record.read(folder) if (folder / RECORD_FILE).is_file() else None
        except (DatabaseError, OSError):  # damaged, or of another user
            continue
        if record is not None:
            names |= set(record.backups) - _of_original(location, folder, record, backups)
    return names
