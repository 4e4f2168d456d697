"""AnythingLLM's cache of vectors, a folder beside that of its tables: no vectors of another model come from there.

AnythingLLM keeps the vectors of every document a second time, by document, and writes these when a document is added
again, to whatever workspace. Where it finds none it embeds the document; a folder that is missing it creates. So the
cache is moved aside with every exchange of a table, in one renaming, to a name with the key of the exchange. It comes
back the same way when all tables hold those vectors again that they held when it was moved.

A note among our files says which these were. It is written before the exchange: a run that is killed in between leaves
it, and the next one moves the cache. Nothing here fails a migration: what cannot be moved is said.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lightmigrate.errors import DatabaseError
from lightmigrate.files import read_json, write_json
from lightmigrate.progress import logger
from lightmigrate.stores.lance.history import exchanges_of, origin_of
from lightmigrate.stores.lance.table import SUFFIX, Table
from lightmigrate.system import delete, delete_folder, rename, sync_folder

FOLDER = "vector-cache"
_ASIDE = f"{FOLDER}.lightmigrate-old-"

# AnythingLLM's file of a document: its path as a UUID of version 5. Other folders of that name are left alone.
_ENTRY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\.json")

# What reading a table raises that is damaged, or deleted at this moment.
_UNREADABLE = (DatabaseError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Note:
    """What is known of the cache as it was when a table was exchanged.

    Attributes:
        name: of the folder that it becomes, beside it.
        key: of the exchange.
        state: which vectors each table held then, by table and column. `None` where some of its own may be others.
        moved: whether it is there.
    """

    name: str
    key: str
    state: Mapping[str, str] | None
    moved: bool = False


class VectorCache:
    """The cache beside a folder of tables; there need not be one.

    Args:
        tables: the folder of the tables.
    """

    def __init__(self, tables: Path) -> None:
        self._tables = tables.resolve()
        self._work, self._path = self._tables / ".lightmigrate", self._tables.parent / FOLDER
        self._opened: dict[Path, Table] = {}
        self._refused = False

    def before(self, key: str) -> Note | None:
        """Note that a table is about to be exchanged; `None` where there is no cache. Writes.

        Args:
            key: of the exchange.
        """
        self.recover()
        if not self._entries(self._path) and not self._notes():
            return None
        names, number = {note.name for note in self._notes()}, 1
        while (name := f"{_ASIDE}{key}" + (f"-{number}" if number > 1 else "")) in names or self._is_there(name):
            number += 1
        note = Note(name, key, self._state())
        with contextlib.suppress(OSError):  # without it, only a run that is killed leaves the cache where it is
            self._write(note)
        return note

    def after(self, note: Note | None) -> None:
        """Move the cache aside, now that the exchange took place, and back what belongs to the tables now. Writes.

        Args:
            note: what `before` returned.
        """
        if note is not None:
            self._move(note, note.state)
            self._put_back()

    def recover(self) -> bool:
        """Do what a run that was killed, or a file system that refused it, left undone. Writes.

        Returns:
            Whether the cache was moved aside.
        """
        notes, moved = self._notes(), False
        state = self._state() if notes else {}
        for note in notes:
            there = self._is_there(note.name)
            if note.moved and not there:
                self._drop(note)
            elif there and not note.moved:
                with contextlib.suppress(OSError):
                    self._write(replace(note, moved=True, state=self._still(note, self._path.with_name(note.name))))
            elif not note.moved and note.state == state:  # the exchange did not take place
                self._drop(note)
            elif not note.moved:
                moved |= self._move(note, self._still(note, self._path))
        if notes:
            self._put_back()
        return moved

    def forget(self, table: Path, column: str, key: str) -> None:
        """Delete what was moved aside and belongs to no backup any more, when one is about to be deleted. Writes.

        Args:
            table: of the backup.
            column: of the backup.
            key: of the backup.
        """
        if not (notes := self._notes()):
            return
        try:
            kept = {
                each.key
                for other in self._all_tables()
                for each in exchanges_of(other)
                if (other.path, each.column, each.key) != (table.resolve(), column, key)
            }
        except _UNREADABLE:
            return  # a table that cannot be read may have backups
        for note in notes:
            if note.moved and note.key not in kept:
                self._delete(note)

    def _delete(self, note: Note) -> None:
        folder = self._path.with_name(note.name)
        try:
            if folder.is_symlink():
                logger.warning("%s is a link, and only it is deleted: vectors are left in %s", folder, folder.resolve())
                delete(folder)
            else:
                delete_folder(folder)
        except OSError as error:
            logger.warning("%s cannot be deleted (%s): delete that folder", folder, error.strerror)
            return
        self._drop(note)

    def _move(self, note: Note, state: Mapping[str, str] | None) -> bool:
        """Move the cache aside; whether there was one. Writes."""
        if not (documents := len(self._entries(self._path))):
            self._drop(note)
            return False
        try:
            self._rename(self._path, self._path.with_name(note.name))
        except OSError as error:
            if not self._refused:
                logger.warning(
                    "%s holds the vectors of %d documents as they were before, which AnythingLLM writes when one of "
                    "them is added again, and it cannot be moved aside (%s): move that folder away",
                    self._path, documents, error.strerror,
                )  # fmt: skip
            self._refused = True
            return False
        with contextlib.suppress(OSError):
            self._write(replace(note, moved=True, state=state))
        logger.warning(
            "AnythingLLM's cache of the vectors of %d documents was moved aside to %s: what is added again is embedded "
            "again", documents, self._path.with_name(note.name),
        )  # fmt: skip
        return True

    def _put_back(self) -> None:
        """Put that cache in place whose vectors all tables hold now, if there is one, and none is in place. Writes."""
        notes = [note for note in self._notes() if note.moved and note.state is not None]
        if not notes or self._entries(self._path):
            return
        state = self._state()
        for note in sorted(notes, key=lambda note: note.key, reverse=True):
            if not state or note.state is None or not state.items() <= note.state.items():
                continue
            try:
                if self._path.exists():
                    self._path.rmdir()
                self._rename(self._path.with_name(note.name), self._path)
            except OSError as error:
                logger.warning(
                    "%s stays there (%s): documents that are added again are embedded again",
                    self._path.with_name(note.name), error.strerror,
                )  # fmt: skip
                return
            self._drop(note)
            logger.warning("AnythingLLM's cache of these vectors is in place again: %s", self._path)
            return

    def _rename(self, source: Path, target: Path) -> None:
        rename(source, target)
        with contextlib.suppress(OSError):  # it is renamed; whether also after a power failure, the next run sees
            sync_folder(self._path.parent)

    def _is_there(self, name: str) -> bool:
        return self._path.with_name(name).exists() or self._path.with_name(name).is_symlink()

    @staticmethod
    def _entries(folder: Path) -> list[Path]:
        """The files of a cache; only reads."""
        try:
            return [file for file in folder.iterdir() if _ENTRY.fullmatch(file.name)]
        except OSError:
            return []

    def _still(self, note: Note, folder: Path) -> Mapping[str, str] | None:
        """The state of a note, unless AnythingLLM has written to the cache after it. Only reads."""
        try:
            noted = self._file(note).stat().st_mtime_ns
            return None if any(file.stat().st_mtime_ns > noted for file in self._entries(folder)) else note.state
        except OSError:
            return None

    def _state(self) -> dict[str, str]:
        """Which vectors each table holds, by table and column; only reads."""
        state = dict[str, str]()
        for table in self._all_tables():
            try:
                dataset = table.latest()
                layout, created = table.layout(dataset), _created(table)
                for column in layout.vectors:
                    field = dataset.lance_schema.field(column)
                    number, token = origin_of(None if field is None else field.id(), layout.token(column))
                    state[f"{table.name}.{column}"] = f"{created} {number} {token}"
            except _UNREADABLE:
                state[table.name] = ""
        return state

    def _all_tables(self) -> Iterator[Table]:
        for path in sorted(self._tables.glob(f"*{SUFFIX}")):
            if (path / "_versions").is_dir():
                yield self._opened.setdefault(path, Table(path))

    def _notes(self) -> list[Note]:
        """All notes, by name; only reads."""
        notes = []
        for file in sorted(self._work.glob(f"{_ASIDE}*.json")):
            try:
                fields = read_json(file)
                if not isinstance(fields["state"], dict | None):
                    raise TypeError("fields of other types")
                notes.append(Note(file.stem, str(fields["key"]), fields["state"], bool(fields["moved"])))
            except (DatabaseError, OSError, KeyError, TypeError) as error:
                logger.warning("%s cannot be read (%s): it is left alone", file, type(error).__name__)
        return notes

    def _file(self, note: Note) -> Path:
        return self._work / f"{note.name}.json"

    def _write(self, note: Note) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        write_json(self._file(note), {"key": note.key, "state": note.state, "moved": note.moved})

    def _drop(self, note: Note) -> None:
        with contextlib.suppress(OSError):
            delete(self._file(note))


def _created(table: Table) -> str:
    """What tells a table from one of the same name that was dropped: how its first commit is called. Only reads."""
    return min((file.name for file in (table.path / "_transactions").glob("0-*")), default="")
