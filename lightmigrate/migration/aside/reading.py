"""Reads records of a database that is files without changing it: opening one writes, so a copy is opened."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lightmigrate.errors import DiskSpaceError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.build import copy_database
from lightmigrate.migration.aside.location import Location
from lightmigrate.progress import OnProgress
from lightmigrate.stores.base import Store
from lightmigrate.stores.files import FileDatabase, require_unused

# An opened copy grows, because the store completes its pending writes.
GROWTH = 1.5
SPARE_BYTES = 16 * 2**20


@contextlib.contextmanager
def open_copy(files: FileDatabase, on_progress: OnProgress) -> Iterator[Store]:
    """Open a temporary copy of a database that nobody has open, and delete it at the end. Writes only the copy.

    The copy is in the system's folder for temporary files, or beside the database when that folder lacks space.

    Raises:
        DatabaseInUseError: some process has the database open.
        DatabaseChangedError: some process wrote to it while it was copied.
        DiskSpaceError: there is not enough disk space for the copy.
    """
    require_unused(files)
    location = Location.of(files)
    with tempfile.TemporaryDirectory(prefix=".lightmigrate-read-", dir=_folder_with_room(location)) as folder:
        copy = files.at(Path(folder) / files.folder.name)
        copy_database(location, copy.folder, on_progress)
        copy.set_aside(files.damaged(), Path(folder) / "unreadable")
        copy.prepare()
        with copy.open() as store:
            yield store


def _folder_with_room(location: Location) -> Path:
    needed = int(GROWTH * tree_bytes(location.database, location.belongs)) + SPARE_BYTES
    folders = [Path(tempfile.gettempdir()), location.home]
    free = [shutil.disk_usage(folder).free for folder in folders]
    for folder, room in zip(folders, free, strict=True):
        if room >= needed:
            return folder
    raise DiskSpaceError(
        f"reading {location.database} takes a temporary copy: {needed / 2**20:,.0f} MiB are needed, "
        f"{max(free) / 2**20:,.0f} MiB are free; make room, or set TMPDIR to a folder with more",
        needed_bytes=needed,
        free_bytes=max(free),
    )
