"""Opens a listed file after checking it against its entry."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lightmigrate.errors import ListedFileError, ProjectionFileError
from lightmigrate.files import file_sha256
from lightmigrate.projection.projection import Projection
from lightmigrate.registry.entry import Entry


def open_listed(path: Path, entry: Entry) -> Projection:
    """The projection at `path`, after checking it against its entry. Only reads.

    Raises:
        ListedFileError: the file is missing, a link, altered, unreadable, or contradicts its entry.
        MissingExtraError: an `.onnx` file, but onnxruntime is not installed.
    """
    before = require_file(path)
    try:
        sha256 = file_sha256(path)
        if sha256 != entry.sha256:
            raise ListedFileError(
                f"{path} is not the file that was listed: its SHA-256 is {sha256[:12]}…, the manifest says "
                f"{entry.sha256[:12]}…; if you trust the file, add it again",
                kind="altered",
            )
        projection = Projection.load(path)
        consistent = entry.describes(projection.info)
    except ListedFileError:
        raise
    except (ProjectionFileError, OSError, RecursionError) as error:
        raise ListedFileError(f"{path} cannot be used: {error}", kind="unreadable") from None
    if not _same(before, require_file(path)):
        raise ListedFileError(f"{path} changed while it was read; try again", kind="altered")
    if not consistent:
        raise ListedFileError(f"the header of {path} contradicts the manifest; add it again", kind="contradicting")
    return projection


def require_file(path: Path) -> os.stat_result:
    """The `lstat` of the file at `path`; opens nothing.

    Raises:
        ListedFileError: it is missing, a link, or not a regular file.
    """
    status = status_of(path)
    if status is None:
        raise ListedFileError(f"{path} is listed and missing; add it again, or remove it", kind="missing")
    if not stat.S_ISREG(status.st_mode):  # a link may lead anywhere, a pipe never ends
        raise ListedFileError(f"{path} is a link or not a regular file; put the file itself there", kind="outside")
    return status


def status_of(path: Path) -> os.stat_result | None:
    """The `lstat` of `path`; `None` when nothing is there."""
    try:
        return path.lstat()
    except (OSError, ValueError):
        return None


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return all(getattr(before, part) == getattr(after, part) for part in ("st_ino", "st_dev", "st_size", "st_mtime_ns"))
