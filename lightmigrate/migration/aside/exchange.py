"""The exchange of two databases: the protocol, and the implementation for two folders beside each other.

The folders swap names, atomically where the operating system can. The incoming folder holds a marker file. After a
crash the place of the marker shows whether the exchange had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lightmigrate.system import delete, exchange_names, rename, sync_folder

MARKER = ".lightmigrate-incoming"


class Exchange(Protocol):
    """Puts another database in the place of the live one. A crash at any instant leaves both complete."""

    def announce(self, incoming: Path) -> None:
        """Mark the complete incoming database. A crash after this is undone, until the exchange has happened."""

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """Make the marked incoming database the live one, and the live one `outgoing`, a free name."""

    def interrupted(self, candidates: Sequence[Path]) -> bool:
        """Whether the live database or one of these folders is marked, so that `recover` has work. Only reads."""

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted, judging by the files on the disk.

        Args:
            incoming: the path of the incoming database, if the journal names it, or its usual path.
            outgoing: the path the old database was to be moved to.
            others: other paths that an incoming database may have.

        Returns:
            Whether it was finished rather than undone; `None` when there was nothing to do.
        """


class BesideExchange:
    """The exchange of two folders beside each other. See `Exchange`."""

    def __init__(self, live: Path) -> None:
        self.live = live

    def announce(self, incoming: Path) -> None:
        """Mark the incoming database."""
        (incoming / MARKER).touch()
        sync_folder(incoming)

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """Make the marked incoming database the live one, and the live one `outgoing`."""
        put_in_place(incoming, self.live, outgoing)
        self._unmark(self.live)

    def interrupted(self, candidates: Sequence[Path]) -> bool:
        """Whether a folder carries the marker."""
        return any((folder / MARKER).exists() for folder in (self.live, *candidates))

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted."""
        marked = [folder for folder in (self.live, incoming, *others) if (folder / MARKER).exists()]
        if not marked:
            return None
        finish = self.live in marked or not self.live.exists()
        if not self.live.exists():  # the crash came between the two renames
            rename(marked[0], self.live)
        elif finish and incoming.exists():  # exchanged, but the old folder is not renamed yet
            rename(incoming, outgoing)
        for folder in {*marked, self.live}:
            self._unmark(folder)
        sync_folder(self.live.parent)
        return finish

    def _unmark(self, folder: Path) -> None:
        if folder.exists():
            delete(folder / MARKER)
            sync_folder(folder)


def put_in_place(incoming: Path, live: Path, outgoing: Path) -> None:
    """`incoming` becomes `live`, what was `live` becomes `outgoing`. All on one file system.

    Atomic where the system can exchange two names: then `live` is at every instant one whole folder or
    the other. Elsewhere two renames, between which `live` is missing for an instant; both whole folders
    exist all the time, and `cutover.recover` finishes the second rename after a crash.
    """
    if exchange_names(incoming, live):
        rename(incoming, outgoing)
    else:
        rename(live, outgoing)
        rename(incoming, live)
    for parent in {incoming.parent, live.parent, outgoing.parent}:
        sync_folder(parent)
