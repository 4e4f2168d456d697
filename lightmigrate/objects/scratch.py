"""Folders for copies of objects on this machine, which are deleted, also after their process was killed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lightmigrate.files import try_lock
from lightmigrate.objects.path import ObjectPath
from lightmigrate.system import delete_folder

_PREFIX = "lightmigrate-objects-"
_LOCK = "lock"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of this process, as long as the block lasts. `TMPDIR` says on which disk. Writes."""
    # what is mapped cannot be deleted on some systems; `sweep` does it later
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        held = try_lock(Path(name, _LOCK))
        try:
            place = Path(name, "files")
            place.mkdir()
            yield place
        finally:
            if held is not None:
                held.close()  # before it is deleted, which some systems refuse for an open file


def sweep() -> None:
    """Delete the folders whose processes were killed: nobody holds their locks any more. Writes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's
            held = try_lock(folder / _LOCK) if (folder / _LOCK).exists() else None
            if held is not None:
                held.close()
                delete_folder(folder)


@contextlib.contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """A file of this machine with the content of a path: itself, or a copy of an object. Writes the copy.

    Raises:
        FileNotFoundError: there is no such object.
    """
    if not isinstance(path, ObjectPath):
        yield path
        return
    with scratch() as folder:
        copy = folder / path.name
        path.fetch(copy)
        yield copy
