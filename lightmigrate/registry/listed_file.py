"""A file that a registry lists: is it just what its entry says?"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from lightmigrate.errors import ListedFileError, ProjectionFileError
from lightmigrate.projection.projection import Projection
from lightmigrate.registry.entry import Entry


def open_listed(path: Path, entry: Entry) -> Projection:
    """The projection at `path`, if it is just what the entry says; only reads.

    Raises:
        ListedFileError: the file is missing, a link, altered, not readable, or says other things than its entry.
        MissingExtraError: an `.onnx` file and no onnxruntime.
    """
    before = require_file(path)
    try:
        found = sha256(path)
        if found != entry.sha256:
            raise ListedFileError(
                f"{path} is not the file that was listed: its SHA-256 is {found[:12]}…, the list says "
                f"{entry.sha256[:12]}…; if you trust the file, add it again",
                kind="altered",
            )
        projection = Projection.load(path)
        told = entry.describes(projection.info)
    except ListedFileError:
        raise
    except (ProjectionFileError, OSError, RecursionError) as error:
        raise ListedFileError(f"{path} cannot be used: {error}", kind="unreadable") from None
    if not _same(before, require_file(path)):
        raise ListedFileError(f"{path} changed while it was read; try again", kind="altered")
    if not told:
        raise ListedFileError(f"{path} says other things of itself than its list; add it again", kind="contradicting")
    return projection


def require_file(path: Path) -> os.stat_result:
    """What the system knows of the file at `path`; opens nothing.

    Raises:
        ListedFileError: it is missing, or a link, or no file.
    """
    status = status_of(path)
    if status is None:
        raise ListedFileError(f"{path} is listed and missing; add it again, or remove it", kind="missing")
    if not stat.S_ISREG(status.st_mode):  # a link may lead anywhere, a pipe never ends
        raise ListedFileError(f"{path} is a link or no file; put the file itself there", kind="outside")
    return status


def status_of(path: Path) -> os.stat_result | None:
    """What the system knows of `path` itself, links not followed; `None` when nothing is there."""
    try:
        return path.lstat()
    except (OSError, ValueError):
        return None


def sha256(path: Path) -> str:
    """SHA-256 over a file, as text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return all(getattr(one, part) == getattr(other, part) for part in ("st_ino", "st_dev", "st_size", "st_mtime_ns"))
