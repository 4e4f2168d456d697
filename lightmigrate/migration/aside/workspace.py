"""The hidden folder that a migration works in: it holds a lock, a journal and the new database."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from lightmigrate.errors import AnotherRunError, DatabaseError, LocationError
from lightmigrate.files import is_locked, replacing, try_lock, wait_for
from lightmigrate.migration.aside.exchange import BesideExchange, Exchange
from lightmigrate.migration.aside.exchange_inside import InsideExchange
from lightmigrate.migration.aside.location import Location
from lightmigrate.progress import logger
from lightmigrate.stores.files import FileDatabase
from lightmigrate.system import delete, delete_folder, sync_folder

JOURNAL_VERSION = 2


@dataclass(frozen=True)
class Intention:
    """One entry of the journal: what the run is about to do, written before it does it.

    Attributes:
        run: identifies this run.
        exchanging: `False` while the new database is built, `True` once databases may change places.
        incoming: path of the folder that is to become the database, relative to the location's home.
        outgoing: path the database goes to, likewise; empty while it is built.
        description: of the requests that are built (`write_requests`); `None` for an exchange without a build.
        copied: the `fingerprint` of the database when it was copied, or when an exchange without a build began; `None`
            until the copy is complete.
    """

    run: str
    exchanging: bool
    incoming: str
    outgoing: str
    description: Mapping[str, Any] | None = None
    copied: Mapping[str, tuple[int, int]] | None = None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Intention:
        """The intention that a journal describes.

        A build that version 0.1.0 began (its field `asked`) is begun again; an exchange is ended as it says.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it describes none.
        """
        if "asked" in fields:
            fields = {name: fields[name] for name in ("run", "exchanging", "incoming", "outgoing")}
        intention = cls(**fields)
        texts = (intention.run, intention.incoming, intention.outgoing)
        description, copied = intention.description, intention.copied
        if not all(type(text) is str for text in texts) or type(intention.exchanging) is not bool:
            raise TypeError("other fields")
        if copied is not None and not all(type(size) is int and type(at) is int for size, at in copied.values()):
            raise TypeError("another fingerprint")
        for collection in () if description is None else description["collections"]:
            if not isinstance(collection, Mapping) or not isinstance(collection["address"], Mapping):
                raise TypeError("other collections")
            collection["model"], collection["projection"], collection["sha256"]
        if copied is not None:  # JSON has turned its tuples into lists
            copied = {name: (size, at) for name, (size, at) in copied.items()}
        return replace(intention, copied=copied)


class Workspace:
    """The folder a database's migration works in. It exists only while it is needed.

    Attributes:
        location: of the database, and of this folder.
        database: the database's folder.
        exchange: how another database takes its place there.
        staging: where the new database is built.
        drafts: where the new collections are kept until they are written and compared.
        unreadable: where damaged indexes of the copy are kept while it is open.
        scratch: where indexes are built that are to come into the new database.
        request: where the projections are kept that it is built with.
        trash: where folders go that are about to be deleted.
    """

    def __init__(self, files: FileDatabase) -> None:
        self.location = Location.of(files)
        self.database = files.folder
        inside = self.location.inside
        self.exchange: Exchange = InsideExchange(self.location) if inside else BesideExchange(self.database)
        self.folder = self.location.workspace
        self.staging = self.folder / "new"
        self.drafts = self.folder / "drafts"
        self.unreadable = self.folder / "unreadable"
        self.scratch = self.folder / "scratch"
        self.request = self.folder / "request"
        self.trash = self.folder / "trash"
        self._journal = self.folder / "journal.json"
        self._lock = self.folder / "lock"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the database for this process. The operating system releases the lock when the process ends or crashes.

        Raises:
            AnotherRunError: another lightmigrate process holds the lock.
            LocationError: the folder beside the database is not writable.
        """
        lock = self._acquire()
        try:
            yield
        finally:
            if self.read_journal() is None:
                shutil.rmtree(self.folder, ignore_errors=True)
            lock.close()

    def wait(self) -> None:
        """Wait until no process holds the lock. Writes nothing."""
        wait_for(self._lock)

    def busy(self) -> bool:
        """Whether another lightmigrate process holds the lock. Writes nothing."""
        return is_locked(self._lock)

    def exchange_interrupted(self) -> bool:
        """Whether an exchange was started, is not complete, and no process is working on it. Writes nothing."""
        if self.busy():
            return False
        intention = self.read_journal()
        if intention is not None and intention.exchanging:
            return True
        backups = self.location.home.glob(f"{self.location.backup_prefix}*")
        return self.exchange.interrupted([self.staging, *backups])

    def read_journal(self) -> Intention | None:
        """The intention of an unfinished run; `None` when there is none, or when the journal is damaged. Only reads.

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
            return Intention.from_json(fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            logger.warning(
                "%s is damaged (%s): recovering from the files on the disk instead", self._journal, type(error).__name__
            )
            return None

    def write_journal(self, intention: Intention) -> None:
        """Write the intention to the journal. It is on the disk when this returns."""
        fields = asdict(intention)
        with replacing(self._journal) as file:
            file.write(json.dumps({"format": JOURNAL_VERSION, "sha256": _checksum(fields), **fields}).encode())

    @property
    def resumable(self) -> bool:
        """Whether an interrupted build can be resumed: its copy is complete and the journal describes the requests."""
        intention = self.read_journal()
        return intention is not None and intention.description is not None and self.has_copy(intention)

    def has_copy(self, intention: Intention) -> bool:
        """Whether there is a complete copy of the database that was made for this intention."""
        return not intention.exchanging and intention.copied is not None and self.staging.is_dir()

    def has_leftovers(self) -> bool:
        """Whether an interrupted run left a build or a journal. Only reads."""
        return self.staging.exists() or self._journal.exists()

    def forget_build(self) -> None:
        """Close the journal of a build that cannot be trusted, so that no later run resumes it."""
        intention = self.read_journal()
        if intention is not None and not intention.exchanging:
            self.close_journal()

    def close_journal(self) -> None:
        """Delete the journal: the run is complete or undone."""
        delete(self._journal)
        sync_folder(self.folder)

    def clear(self) -> None:
        """Delete what a run left: an unfinished build, or a database that was to be deleted."""
        for leftover in (self.staging, self.drafts, self.unreadable, self.scratch, self.trash, self.request):
            if leftover.exists():
                delete_folder(leftover)

    def relative(self, path: Path) -> str:
        """A path below the location's home, in the form the journal stores."""
        return path.relative_to(self.location.home).as_posix()

    def absolute(self, relative: str) -> Path:
        """The path for one that the journal stores.

        Raises:
            DatabaseError: it leads outside the location's home, or to the database itself.
        """
        parent = self.location.home
        path = parent / relative
        try:
            path.exists()
            within = parent.resolve() in path.resolve().parents and path.resolve() != self.database.resolve()
        except (OSError, ValueError):  # too long, or no path at all
            within = False
        if not within:
            raise DatabaseError(f"{self._journal} names a path outside {parent}; look into it and move it away")
        return path

    def _acquire(self) -> IO[bytes]:
        while True:
            try:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                lock = try_lock(self._lock)
            except FileNotFoundError:
                continue  # the previous holder has just removed the folder
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
            lock.close()  # the file that was locked has been removed by its previous holder


def _checksum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
