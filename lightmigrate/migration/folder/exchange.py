"""Two databases change places: what that takes, and how it goes for two folders beside each other.

Folders change names, in one step where the operating system has such a step. The newcomer carries a marker, which
goes with it: after a crash it tells which side of the exchange we are on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lightmigrate.files import sync_folder

MARKER = ".lightmigrate-incoming"

_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_AT_FDCWD = -100
_NOT_POSSIBLE_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


class Exchange(Protocol):
    """A way for another database to take a database's place, which a crash at any instant leaves whole."""

    def announce(self, incoming: Path) -> None:
        """Mark the newcomer, a whole database: from here on a crash is undone, until the exchange has happened."""

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """The announced newcomer becomes the database, what was the database becomes `outgoing`, a free name."""

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted, by what lies on the disk.

        Args:
            incoming: where the newcomer stood, as far as is known.
            outgoing: where the old database was to go.
            others: where else a newcomer could have stood.

        Returns:
            Whether it was finished rather than undone; `None` when there was nothing to do.
        """


class BesideExchange:
    """Of two folders beside each other. See `Exchange`."""

    def __init__(self, live: Path) -> None:
        self.live = live

    def announce(self, incoming: Path) -> None:
        """Mark the newcomer."""
        (incoming / MARKER).touch()
        sync_folder(incoming)

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """The announced newcomer becomes the database, what was the database becomes `outgoing`."""
        put_in_place(incoming, self.live, outgoing)
        self._unmark(self.live)

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted."""
        marked = [folder for folder in (self.live, incoming, *others) if (folder / MARKER).exists()]
        if not marked:
            return None
        finish = self.live in marked or not self.live.exists()
        if not self.live.exists():  # between the two renames of a system without an exchange
            marked[0].rename(self.live)
        elif finish and incoming.exists():  # exchanged, but the old folder has not got its new name yet
            incoming.rename(outgoing)
        for folder in {*marked, self.live}:
            self._unmark(folder)
        sync_folder(self.live.parent)
        return finish

    def _unmark(self, folder: Path) -> None:
        if folder.exists():
            (folder / MARKER).unlink(missing_ok=True)
            sync_folder(folder)


def put_in_place(incoming: Path, live: Path, outgoing: Path) -> None:
    """`incoming` becomes `live`, what was `live` becomes `outgoing`. All on one file system.

    Atomic where the system can exchange two names: then `live` is at every instant one whole folder or
    the other. Elsewhere two renames, between which `live` is missing for an instant; both whole folders
    exist all the time, and `cutover.recover` finishes the second rename after a crash.
    """
    if exchange_names(incoming, live):
        incoming.rename(outgoing)
    else:
        live.rename(outgoing)
        incoming.rename(live)
    for parent in {incoming.parent, live.parent, outgoing.parent}:
        sync_folder(parent)


def exchange_names(one: Path, other: Path) -> bool:
    """Exchange two names atomically; `False`, and nothing done, where the system has no such call."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(os.fsencode(one), os.fsencode(other), _EXCHANGE)
    elif library is not None and hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NOT_POSSIBLE_HERE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
