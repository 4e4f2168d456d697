"""The hidden folder beside a database where its migration works: a lock, a journal, the new database."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lightmigrate.errors import DatabaseError, DatabaseInUseError, LocationError
from lightmigrate.files import replacing, sync_folder

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

JOURNAL_VERSION = 1


@dataclass(frozen=True)
class Intention:
    """What is about to happen, written down before it happens.

    Attributes:
        run: identifies this run; the marker in the incoming folder carries it too.
        exchanging: `False` while the new database is built, `True` once folders may change names.
        incoming: path of the folder that is to become the database, relative to the database's parent.
        outgoing: path the database goes to, likewise.
    """

    run: str
    exchanging: bool
    incoming: str
    outgoing: str


class Workspace:
    """The folder `.NAME.lightmigrate` beside the database `NAME`. It exists only while it is needed."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.folder = database.parent / f".{database.name}.lightmigrate"
        self.staging = self.folder / "new"
        self.trash = self.folder / "trash"
        self._journal = self.folder / "journal.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database for this process. A crash lets go of it, because the system drops the lock.

        Raises:
            DatabaseInUseError: another lightmigrate holds it.
            LocationError: nothing can be written beside the database.
        """
        lock = self._acquire()
        try:
            yield
        finally:
            if self.read_journal() is None:
                shutil.rmtree(self.folder, ignore_errors=True)
            lock.close()

    def read_journal(self) -> Intention | None:
        """The intention of a run that has not ended, or `None`."""
        try:
            fields = json.loads(self._journal.read_text(encoding="utf-8"))
            version = fields.pop("format")
            if version != JOURNAL_VERSION:
                raise DatabaseError(
                    f"{self._journal} has format {version}, this lightmigrate reads {JOURNAL_VERSION}; "
                    "finish that migration with the version that began it"
                )
            return Intention(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatabaseError(
                f"{self._journal} is damaged ({type(error).__name__}); look into {self.folder} and move it away"
            ) from None

    def write_journal(self, intention: Intention) -> None:
        """Write the intention down; on return it is on the disk."""
        with replacing(self._journal) as file:
            file.write(json.dumps({"format": JOURNAL_VERSION, **asdict(intention)}).encode())

    def close_journal(self) -> None:
        """The run has ended, well or undone."""
        self._journal.unlink(missing_ok=True)
        sync_folder(self.folder)

    def clear(self) -> None:
        """Delete what a run left: a half-built database, a discarded one."""
        for leftover in (self.staging, self.trash):
            if leftover.exists():
                shutil.rmtree(leftover)

    def relative(self, path: Path) -> str:
        """A path below the database's parent, as the journal writes it."""
        return path.relative_to(self.database.parent).as_posix()

    def absolute(self, relative: str) -> Path:
        """The path a journal names; it may not lead outside the database's parent."""
        parent = self.database.parent
        path = parent / relative
        if not path.resolve().is_relative_to(parent.resolve()):
            raise DatabaseError(f"{self._journal} names a path outside {parent}; look into it and move it away")
        return path

    def _acquire(self) -> IO[bytes]:
        path = self.folder / "lock"
        while True:
            try:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                lock = path.open("ab")
            except FileNotFoundError:
                continue  # the one before us has just removed the folder
            except OSError as error:
                raise LocationError(
                    f"cannot write beside the database, in {self.folder.parent}: {error.strerror}; "
                    "the new database is built there: make it writable or move the database"
                ) from None
            try:
                if sys.platform == "win32":
                    msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise DatabaseInUseError(
                    f"another lightmigrate is working on {self.database}; wait until it has ended"
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    return lock
            lock.close()  # locked a file that its last owner has removed meanwhile
