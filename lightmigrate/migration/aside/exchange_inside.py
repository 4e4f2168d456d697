"""The exchange of two databases inside one folder, for a folder that cannot be renamed.

Such a database is its main file and the entries that this file names; what its store may leave beside the main file is
written into it first (`FileDatabase.settle`). When no two entries have the same name, the
entries of both databases can be in the folder together. The exchange is then one rename of the main file, which POSIX
file systems do atomically. Before it the main file of the incoming database is called `.incoming-<main file>`.
After it the companion files that are still to be moved have such names, the record `.incoming-lightmigrate.json` last.
So the file names that a crash leaves show whether to undo or to finish.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.migration.aside.location import COMPANIONS, Location
from lightmigrate.migration.aside.record import RECORD_FILE
from lightmigrate.system import delete, rename, second_name, sync_folder

# The pending names of the companion files; an empty file means that the incoming database has none. The record is last.
PENDING = {name: f".incoming-{name}" for name in COMPANIONS}
PENDING_RECORD = PENDING[RECORD_FILE]


class InsideExchange:
    """The exchange inside one folder. See `exchange.Exchange`."""

    def __init__(self, location: Location) -> None:
        self.live = location.database
        self._location = location
        self._files = location.files
        self._main = location.files.main
        self._pending = f".incoming-{self._main}"

    def announce(self, incoming: Path) -> None:
        """Mark the incoming database. A crash after this is undone, until the exchange has happened."""
        for folder in (self.live, incoming):
            if self._files.at(folder).unfinished():
                raise DatabaseError(
                    f"{folder} has an unfinished write or a log beside {self._main}, which would be taken for that of "
                    "the other database: run this again when no process has it open"
                )
        incoming_entries = self._files.named_by(incoming / self._main)
        if shared := [entry.name for entry in self._entries(self.live) if entry.name in incoming_entries]:
            raise DatabaseError(f"both databases keep an index in {shared[0]}: they cannot change places here")
        rename(incoming / self._main, incoming / self._pending)
        for name, pending in PENDING.items():
            if (incoming / name).exists():
                rename(incoming / name, incoming / pending)
            else:
                (incoming / pending).touch()
        sync_folder(incoming)

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """Make the marked incoming database the live one, and the live one `outgoing`."""
        for name in (self._main, *COMPANIONS):
            if (self.live / name).exists():
                second_name(self.live / name, incoming / name)
        for entry in self._entries(incoming):
            rename(entry, self.live / entry.name)
        sync_folder(incoming)
        sync_folder(self.live)
        rename(incoming / self._pending, self.live / self._main)
        sync_folder(self.live)
        self._complete(incoming, outgoing)

    def interrupted(self, candidates: Sequence[Path]) -> bool:
        """Whether the main file or the record of an incoming database still has its pending name. Only reads."""
        waiting = (self._pending, PENDING_RECORD)
        return any((folder / name).exists() for folder in candidates for name in waiting)

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted. Whether it was finished; `None` when there was nothing."""
        for folder in (incoming, outgoing, *others):
            if (folder / self._pending).exists():
                self._undo(folder)
                return False
            if (folder / PENDING_RECORD).exists():
                self._complete(folder, outgoing if folder == incoming else folder)
                return True
        return None

    def _complete(self, incoming: Path, outgoing: Path) -> None:
        live_entries = self._files.named_by(self.live / self._main)
        for entry in self._entries(self.live):
            if entry.name not in live_entries:
                rename(entry, incoming / entry.name)
        sync_folder(self.live)
        sync_folder(incoming)
        if incoming != outgoing:
            rename(incoming, outgoing)
            sync_folder(incoming.parent)
            sync_folder(outgoing.parent)
        for name, waiting in PENDING.items():
            pending = outgoing / waiting
            if not pending.exists():  # moved before the crash
                continue
            if pending.stat().st_size:
                rename(pending, self.live / name)
            else:
                delete(self.live / name)
                delete(pending)
            sync_folder(outgoing)
        sync_folder(self.live)
        sync_folder(outgoing)

    def _undo(self, incoming: Path) -> None:
        incoming_entries = self._files.named_by(incoming / self._pending)
        for entry in self._entries(self.live):
            if entry.name in incoming_entries:
                rename(entry, incoming / entry.name)
        for name, waiting in PENDING.items():
            pending = incoming / waiting
            if pending.exists():
                delete(incoming / name)  # the hard link to the live file
                if pending.stat().st_size:
                    rename(pending, incoming / name)
                else:
                    delete(pending)
        rename(incoming / self._pending, incoming / self._main)
        sync_folder(incoming)
        sync_folder(self.live)

    def _entries(self, folder: Path) -> list[Path]:
        """The folders of a database, which its main file names."""
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and self._location.is_database_entry(entry))
