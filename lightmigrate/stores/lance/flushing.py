"""Flushes to the disk what Lance writes, which leaves that to the system: after a power failure files may be empty."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightmigrate.system import sync_file, sync_folder

# Folders of a table: of its branches, and of all that describes it. What its columns hold is flushed file by file.
BRANCHES = ("_refs", "tree")
_DESCRIBING = (*BRANCHES, "_versions", "_transactions", "_indices")


class Descriptions:
    """The files that describe a table: its manifests, transactions, branches and indexes.

    Args:
        path: of the table.
        known: whether those that are there already need not be flushed.
    """

    def __init__(self, path: Path, *, known: bool = True) -> None:
        self._path = path
        self._flushed = set(self._files(_DESCRIBING)) if known else set()

    def flush(self, folders: Sequence[str] = _DESCRIBING) -> None:
        """Flush those in some folders that were written since, by whomever, and their names."""
        written = set(self._files(folders)) - self._flushed
        holding = {folder for file, *_ in written for folder in file.parents if folder.is_relative_to(self._path)}
        for file, *_ in written:
            with contextlib.suppress(FileNotFoundError):  # another writer's, which has deleted it again
                sync_file(file)
        for folder in holding:
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)
        self._flushed |= written

    def _files(self, folders: Sequence[str]) -> Iterator[tuple[Path, int, int]]:
        """Each with what changes when it is written again."""
        for top in folders:
            for name, _, files in os.walk(self._path / top):
                for file in files:
                    with contextlib.suppress(FileNotFoundError):
                        state = (path := Path(name, file)).stat()
                        yield path, state.st_ino, state.st_mtime_ns
