"""The note that lies beside an open database from before an exchange until its last writes are carried over.

It is a folder in `.lightmigrate-late`: the collection, the key of the exchange and what was asked for in `note.json`,
digests of all records as they were last read in `records.sqlite3`, and the projection, with texts that were given by
id, in `request`.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError
from lightmigrate.files import read_json, sync_tree, write_json
from lightmigrate.migration.partly_exact import without_exact
from lightmigrate.migration.request import Request, read_requests, write_requests
from lightmigrate.migration.shadow.synchronise import Snapshot
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address
from lightmigrate.stores.record_tables import RecordTables, as_key, of_key
from lightmigrate.system import delete, rename, sync_folder

HOME = ".lightmigrate-late"
_NOTE, _RECORDS, _REQUEST = "note.json", "records.sqlite3", "request"
_UNFINISHED = "unfinished-"


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        folder: that holds it.
        own: the collection that is replaced.
        key: of the exchange.
        mark: see `Snapshot`.
        request: what was asked for, as `write_requests` describes it; empty where that cannot be stored; `None` where
            a backup went back.
    """

    folder: Path
    own: Address
    key: str
    mark: str | None
    request: Mapping[str, Any] | None

    def read_request(self) -> Request | None:
        """What was asked for; `None` where that is not stored. Only reads.

        Raises:
            DatabaseError: it was changed.
        """
        return read_requests(self.folder / _REQUEST, self.request)[0] if self.request else None

    def seen(self, tables: RecordTables, size: int) -> Snapshot:
        """The state of the collection when it was last read; only reads.

        Args:
            tables: that its digests become one of.
            size: records held in memory at once.

        Raises:
            DatabaseError: its file is missing or damaged.
        """
        if self.mark is not None:
            return Snapshot(None, self.mark)
        table, file = tables.table(), self.folder / _RECORDS
        try:
            with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
                rows = connection.execute("SELECT id, digest FROM records")
                while some := rows.fetchmany(size):
                    if not all(isinstance(value, bytes) for row in some for value in row):
                        raise TypeError("not bytes")
                    table.put({of_key(key): digest for key, digest in some})
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise DatabaseError(f"{file} is damaged ({type(error).__name__})") from None
        return Snapshot(table, None)

    def delete(self) -> None:
        """Delete it. Writes."""
        with contextlib.suppress(OSError):
            delete(self.folder / _NOTE)  # without this, the rest counts for nothing
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()


def write_note(place: Path, own: Address, key: str, seen: Snapshot, request: Request | None, size: int) -> Note:
    """Write a note, flushed to disk, under a name that shows that it is whole. See `Note`.

    Raises:
        OSError: it cannot be written.
    """
    name = f"{hashlib.sha256(str(asdict(own)).encode()).hexdigest()[:12]}-{key}"
    home = place / HOME
    home.mkdir(parents=True, exist_ok=True)
    folder = home / f"{_UNFINISHED}{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        stored: Mapping[str, Any] | None = None
        if request is not None:
            asked = replace(request, projection=without_exact(request.projection))
            stored = write_requests(folder / _REQUEST, [asked], "centre") or {}
        if seen.digests is not None:
            _write_records(folder / _RECORDS, seen.digests.items(size))
        mark = None if seen.digests is not None else seen.mark
        write_json(folder / _NOTE, {"own": asdict(own), "key": key, "mark": mark, "request": stored})
        sync_tree(folder)
        shutil.rmtree(home / name, ignore_errors=True)
        rename(folder, home / name)
        sync_folder(home)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Note(home / name, own, key, mark, stored)


def _write_records(file: Path, pages: Iterator[dict[str, bytes]]) -> None:
    try:
        _fill(file, pages)
    except sqlite3.Error as error:  # as of a full disk
        raise OSError(str(error)) from None


def _fill(file: Path, pages: Iterator[dict[str, bytes]]) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        # the note counts only once it is whole and flushed, so nothing is written to get half of one back
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE records (id BLOB PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID")
        connection.execute("BEGIN")
        for page in pages:
            rows = ((as_key(record), digest) for record, digest in page.items())
            connection.executemany("INSERT INTO records VALUES (?, ?)", rows)
        connection.execute("COMMIT")


def notes_in(place: Path) -> list[Note]:
    """The notes beside a database. Only reads. What is no whole note is left out, with a warning where it was one."""
    notes = []
    for file in sorted((place / HOME).glob(f"*/{_NOTE}")):
        if file.parent.name.startswith(_UNFINISHED):
            continue
        try:
            notes.append(_note(file.parent, read_json(file)))
        except (DatabaseError, OSError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read (%s): it is left alone", file, type(error).__name__)
    return notes


def _note(folder: Path, fields: Mapping[str, Any]) -> Note:
    note = Note(folder, Address(**fields["own"]), fields["key"], fields["mark"], fields["request"])
    texts = (*astuple(note.own), note.key, "" if note.mark is None else note.mark)
    if not all(isinstance(text, str) for text in texts) or not isinstance(note.request, dict | None):
        raise TypeError("fields of other types")
    return note
