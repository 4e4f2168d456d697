"""Two databases change places inside one folder, where the folder itself cannot be renamed.

A Chroma database is its sqlite file and the index folders which that file names. As long as no two databases have an
index folder of the same name, both sets can lie side by side, and the one instant that counts is when one sqlite file
takes the other's name, which every POSIX file system does in one step. Before it the newcomer's sqlite file is called
`.incoming-chroma.sqlite3`, after it what is still to follow (what is remembered of it, where its vectors come from,
and last its record, `.incoming-lightmigrate.json`) is called so: whatever a crash leaves says by itself whether it is
to be undone or finished.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.files import sync_folder
from lightmigrate.migration.folder.location import COMPANIONS, is_database_entry
from lightmigrate.migration.folder.record import RECORD_FILE
from lightmigrate.stores.chroma_folder import DATABASE_FILE, has_unfinished_write
from lightmigrate.stores.chroma_indexes import segments_of

PENDING_DATABASE = f".incoming-{DATABASE_FILE}"
# Its companions' names, files that are empty when the newcomer has none. The record's is the last one to go.
PENDING = {name: f".incoming-{name}" for name in COMPANIONS}
PENDING_RECORD = PENDING[RECORD_FILE]


class InsideExchange:
    """See `exchange.Exchange`."""

    def __init__(self, live: Path) -> None:
        self.live = live

    def announce(self, incoming: Path) -> None:
        """Mark the newcomer: from here on a crash is undone, until the exchange has happened."""
        if has_unfinished_write(self.live / DATABASE_FILE):
            raise DatabaseError(
                f"{self.live} was left in the middle of a write: open it once with Chroma, which repairs it, "
                "and run this again"
            )
        theirs = segments_of(incoming / DATABASE_FILE)
        if shared := [index.name for index in _indexes(self.live) if index.name in theirs]:
            raise DatabaseError(f"both databases keep an index in {shared[0]}: they cannot change places here")
        (incoming / DATABASE_FILE).rename(incoming / PENDING_DATABASE)
        for name, pending in PENDING.items():
            if (incoming / name).exists():
                (incoming / name).rename(incoming / pending)
            else:
                (incoming / pending).touch()
        sync_folder(incoming)

    def put_in_place(self, incoming: Path, outgoing: Path) -> None:
        """The announced newcomer becomes the database, what was the database becomes `outgoing`."""
        for name in (DATABASE_FILE, *COMPANIONS):
            if (self.live / name).exists():
                _second_name(self.live / name, incoming / name)
        for index in _indexes(incoming):
            index.rename(self.live / index.name)
        sync_folder(incoming)
        sync_folder(self.live)
        (incoming / PENDING_DATABASE).replace(self.live / DATABASE_FILE)
        sync_folder(self.live)
        self._complete(incoming, outgoing)

    def recover(self, incoming: Path, outgoing: Path, others: Sequence[Path]) -> bool | None:
        """Finish or undo what a crash interrupted. Whether it was finished; `None` when there was nothing."""
        for folder in (incoming, outgoing, *others):
            if (folder / PENDING_DATABASE).exists():
                self._undo(folder)
                return False
            if (folder / PENDING_RECORD).exists():
                self._complete(folder, outgoing if folder == incoming else folder)
                return True
        return None

    def _complete(self, incoming: Path, outgoing: Path) -> None:
        own = segments_of(self.live / DATABASE_FILE)
        for index in _indexes(self.live):
            if index.name not in own:
                index.rename(incoming / index.name)
        sync_folder(self.live)
        sync_folder(incoming)
        if incoming != outgoing:
            incoming.rename(outgoing)
            sync_folder(incoming.parent)
            sync_folder(outgoing.parent)
        for name, waiting in PENDING.items():
            pending = outgoing / waiting
            if not pending.exists():  # a crash came after it
                continue
            if pending.stat().st_size:
                pending.replace(self.live / name)
            else:
                (self.live / name).unlink(missing_ok=True)
                pending.unlink()
            sync_folder(outgoing)
        sync_folder(self.live)
        sync_folder(outgoing)

    def _undo(self, incoming: Path) -> None:
        theirs = segments_of(incoming / PENDING_DATABASE)
        for index in _indexes(self.live):
            if index.name in theirs:
                index.rename(incoming / index.name)
        for name, waiting in PENDING.items():
            pending = incoming / waiting
            if pending.exists():
                (incoming / name).unlink(missing_ok=True)  # the second name of the live one's
                if pending.stat().st_size:
                    pending.rename(incoming / name)
                else:
                    pending.unlink()
        (incoming / PENDING_DATABASE).replace(incoming / DATABASE_FILE)
        sync_folder(incoming)
        sync_folder(self.live)


def _indexes(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_database_entry(entry))


def _second_name(file: Path, name: Path) -> None:
    """Give a file a second name; a copy of it where the file system has no second names."""
    with contextlib.suppress(FileNotFoundError):
        name.unlink()
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)
        with name.open("rb+") as copy:
            os.fsync(copy.fileno())
