"""A collection as it is and as it was: the live one, and those in backups of its database, to be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from lightmigrate.errors import BackupError
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.results import Backup
from lightmigrate.progress import OnProgress
from lightmigrate.stores.base import Address, Collection, Page, Role
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import Database


def backups_with(database: Database, backups: Sequence[Backup], address: Address) -> list[Backup]:
    """The backups that hold a version of a collection with records, the newest first. Only reads."""
    if isinstance(database, FileDatabase):
        return [
            backup
            for backup in reversed(backups)
            if any(facts.address == address and facts.count for facts in database.at(backup.path).catalog())
        ]
    own = {str(version.address) for version in database.versions() if version.own == address}
    return [backup for backup in reversed(backups) if backup.name in own]


def chosen_backup(backups: Sequence[Backup], name: str | None) -> Backup | None:
    """The backup with a name, or the first without one; `None` for none.

    Raises:
        BackupError: there is none of that name.
    """
    if name is None:
        return backups[0] if backups else None
    for backup in backups:
        if backup.name == name:
            return backup
    known = ", ".join(backup.name for backup in backups) or "none"
    raise BackupError(f"no backup {name} holds this collection; there are: {known}")


def sample_version(
    database: Database, address: Address, most: int, backup: Backup | None, on_progress: OnProgress
) -> Page:
    """About `most` records of a version of a collection, with their vectors. Only reads, also while others write.

    Args:
        database: the database.
        address: of the collection.
        most: number of records.
        backup: that holds the version; `None` for the live one.
        on_progress: receives the progress of a copy, where the files cannot be read as they are.
    """
    if isinstance(database, FileDatabase):
        files = database if backup is None else database.at(backup.path)
        page = files.sample_records(most, (address,)).get(address)
        if page is not None:
            return page
    with open_version(database, address, backup, on_progress) as collection:
        return collection.sample(most)


@contextlib.contextmanager
def open_version(
    database: Database, address: Address, backup: Backup | None, on_progress: OnProgress
) -> Iterator[Collection]:
    """A version of a collection, opened; of a database that is files in a temporary copy. Only reads.

    Raises:
        BackupError: the backup holds no such collection.
        DatabaseInUseError: some process has the files open.
    """
    if isinstance(database, FileDatabase):
        with open_copy(database if backup is None else database.at(backup.path), on_progress) as store:
            yield store.collection(address)
        return
    if backup is None:
        yield database.collection(address)
        return
    for version in database.versions():
        if version.role is Role.BACKUP and version.own == address and str(version.address) == backup.name:
            yield database.collection(version.address)
            return
    raise BackupError(f"the backup {backup.name} holds no version of {address}")
