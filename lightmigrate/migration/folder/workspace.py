"""The hidden folder where a migration works: a lock, a journal, the new database."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from lightmigrate.errors import AnotherRunError, DatabaseError, LocationError
from lightmigrate.files import replacing, sync_folder, try_lock, wait_for
from lightmigrate.migration.folder.exchange import BesideExchange, Exchange
from lightmigrate.migration.folder.exchange_inside import InsideExchange
from lightmigrate.migration.folder.location import Location
from lightmigrate.migration.progress import logger

JOURNAL_VERSION = 2


@dataclass(frozen=True)
class Intention:
    """What is about to happen, written down before it happens.

    Attributes:
        run: identifies this run.
        exchanging: `False` while the new database is built, `True` once databases may change places.
        incoming: path of the folder that is to become the database, relative to the location's home.
        outgoing: path the database goes to, likewise; empty while it is built.
        asked: what is being built, as `request.py` writes it; `None` for an exchange alone.
        copied: what the database looked like when it was copied (`fingerprint`); `None` before the copy is whole.
    """

    run: str
    exchanging: bool
    incoming: str
    outgoing: str
    asked: Mapping[str, Any] | None = None
    copied: Mapping[str, Any] | None = None


class Workspace:
    """The folder a database's migration works in. It exists only while it is needed.

    Attributes:
        location: of the database, and of this folder.
        database: the database's folder.
        exchange: how another database takes its place there.
        staging: where the new database is built.
        drafts: where the new collections are kept until they are written and compared.
        scratch: where indexes are built that are to come into the new database.
        request: where the projections are kept that it is built with.
        trash: where folders go that are about to be deleted.
    """

    def __init__(self, database: Path) -> None:
        self.location = Location.of(database)
        self.database = database
        inside = self.location.inside
        self.exchange: Exchange = InsideExchange(database) if inside else BesideExchange(database)
        self.folder = self.location.workspace
        self.staging = self.folder / "new"
        self.drafts = self.folder / "drafts"
        self.scratch = self.folder / "scratch"
        self.request = self.folder / "request"
        self.trash = self.folder / "trash"
        self._journal = self.folder / "journal.json"
        self._lock = self.folder / "lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database for this process. A crash lets go of it, because the system drops the lock.

        Raises:
            AnotherRunError: another lightmigrate holds it.
            LocationError: nothing can be written beside the database.
        """
        lock = self._acquire()
        try:
            yield
        finally:
            if self.read_journal() is None:
                shutil.rmtree(self.folder, ignore_errors=True)
            lock.close()

    def wait(self) -> None:
        """Until nobody holds the database. Writes nothing."""
        wait_for(self._lock)

    def read_journal(self) -> Intention | None:
        """The intention of a run that has not ended; `None` when there is none, or none that can be read.

        Raises:
            DatabaseError: a newer lightmigrate wrote it.
        """
        try:
            fields = json.loads(self._journal.read_bytes())
            version = fields.pop("format")
            if isinstance(version, int) and version > JOURNAL_VERSION:
                raise DatabaseError(
                    f"{self._journal} has format {version}, this lightmigrate reads {JOURNAL_VERSION}; "
                    "finish that migration with the version that began it"
                )
            if fields.pop("sha256") != _checksum(fields):
                raise ValueError("checksum")
            return Intention(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("%s is damaged (%s): going by what is on the disk", self._journal, type(error).__name__)
            return None

    def write_journal(self, intention: Intention) -> None:
        """Write the intention down; on return it is on the disk."""
        fields = asdict(intention)
        with replacing(self._journal) as file:
            file.write(json.dumps({"format": JOURNAL_VERSION, "sha256": _checksum(fields), **fields}).encode())

    @property
    def resumable(self) -> bool:
        """Whether what was built so far can be built on: the copy is whole and it is known what it was for."""
        intention = self.read_journal()
        return intention is not None and intention.asked is not None and self.has_copy(intention)

    def has_copy(self, intention: Intention) -> bool:
        """Whether a whole copy of the database was made for this intention, to build on."""
        return not intention.exchanging and intention.copied is not None and self.staging.is_dir()

    def has_leftovers(self) -> bool:
        """Whether an interrupted run left something."""
        return self.staging.exists() or self._journal.exists()

    def forget_build(self) -> None:
        """What was built so far cannot be trusted: no later run may go on with it."""
        intention = self.read_journal()
        if intention is not None and not intention.exchanging:
            self.close_journal()

    def close_journal(self) -> None:
        """The run has ended, well or undone."""
        self._journal.unlink(missing_ok=True)
        sync_folder(self.folder)

    def clear(self) -> None:
        """Delete what a run left: a half-built database, a discarded one."""
        for leftover in (self.staging, self.drafts, self.scratch, self.trash, self.request):
            if leftover.exists():
                shutil.rmtree(leftover)

    def relative(self, path: Path) -> str:
        """A path below the location's home, as the journal writes it."""
        return path.relative_to(self.location.home).as_posix()

    def absolute(self, relative: str) -> Path:
        """The path a journal names; it may not lead outside the location's home."""
        parent = self.location.home
        path = parent / relative
        if not path.resolve().is_relative_to(parent.resolve()):
            raise DatabaseError(f"{self._journal} names a path outside {parent}; look into it and move it away")
        return path

    def _acquire(self) -> IO[bytes]:
        while True:
            try:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                lock = try_lock(self._lock)
            except FileNotFoundError:
                continue  # the one before us has just removed the folder
            except OSError as error:
                raise LocationError(
                    f"cannot write in {self.folder.parent}, where the new database is to be built: {error.strerror}; "
                    "make it writable or move the database"
                ) from None
            if lock is None:
                raise AnotherRunError(f"another lightmigrate is working on {self.database}; wait until it has ended")
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), self._lock.stat()):
                    return lock
            lock.close()  # locked a file that its last owner has removed meanwhile


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
