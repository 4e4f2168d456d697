"""A database that consists of local files: copied, compared, and exchanged as a whole.

An open `Store` changes records. A database of files can also be replaced as files: a copy is built aside, verified,
and takes the place of the original in one step. `migration/aside` does that for any `FileDatabase`.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy.typing as npt

from lightmigrate.errors import DatabaseInUseError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address, CollectionFacts, Page, Store
from lightmigrate.stores.ids import IdTable
from lightmigrate.stores.processes import is_hidden
from lightmigrate.stores.promises import may_be_open_line
from lightmigrate.stores.users import UNSEEN, may_be_open, process_name, users_of
from lightmigrate.system import user_name
from lightmigrate.vectors import Metric, Vectors

# An engine may close its files in threads of its own, a little after close() has returned.
RELEASE_SECONDS = 3.0

# How new vectors are written to a database of files.
#   keep      only the vectors in the index files are replaced; the graph stays
#   rebuild   a new index is built from ids and vectors alone; records are not touched
#   rewrite   every record is written anew through the store's public interface
IndexRoute = Literal["keep", "rebuild", "rewrite"]


class RecordsInFiles(Protocol):
    """All records of a collection, read from the files of its database without the engine. Only reads."""

    def scan(self, size: int, *, contents: bool = True, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order and with the values of `Collection.scan`, `size` at a time.

        Args:
            size: records held in memory at once.
            contents: whether with texts and payloads, which are `None` otherwise.
            vectors: whether with vectors.

        Raises:
            DatabaseError: the files are damaged, or were written to since they were opened.
        """

    def contents_sha256(self) -> str:
        """Digest of all records without their vectors, in order, as the files hold them.

        It is the same until one of them is written to, also for another process and in a copy of the files. After a
        complete scan it is that of the rows that were scanned.

        Raises:
            DatabaseError: the files are damaged.
        """


@runtime_checkable
class ReadsFiles(Protocol):
    """A store that knows the files of its engine well enough to read them itself, while it alone has them open."""

    def records_in_files(self, address: Address) -> RecordsInFiles | None:
        """All records of a collection, when the files give the same as the engine for a sample of 1,000. Only reads.

        `None` where only the engine can read them, and for small collections, which such a sample would hold whole.
        """


class NewVectors(Protocol):
    """The new vectors of all records of a collection, in files, in the order of a scan."""

    @property
    def count(self) -> int:
        """Number of records."""

    @property
    def dimension(self) -> int:
        """Length of a new vector."""

    def pages(self, size: int, start: int = 0) -> Iterator[Page]:
        """Ids and vectors from the `start`-th on, at most `size` at a time; only reads."""

    def pages_of(self, sizes: Iterable[int], start: int = 0) -> Iterator[Page]:
        """Ids and vectors from the `start`-th on, in pages of these sizes, until none is left; only reads."""

    def rows(self) -> IdTable:
        """The row number of every record by its id; only reads.

        Raises:
            ValueError: two ids cannot be told apart.
        """

    def vectors_of(self, rows: npt.ArrayLike) -> Vectors:
        """The vectors of some records, by row number, float32 `(n, dimension)`; only reads."""

    def project(self, vectors: Vectors) -> Vectors:
        """Project old vectors `(n, d)` to the new space, for index elements that belong to no record."""


class SearchesIfKept(Protocol):
    """Searches through the graph of an index as if it already had new vectors."""

    def nearest(self, rows: Sequence[int], k: int) -> Vectors:
        """Distances `(len(rows), k)` to the k nearest records that searches would find, infinite where fewer are found.

        Args:
            rows: the records to search for, by row number.
            k: how many to find for each.

        Raises:
            ValueError, OSError: the files of the index have an unknown layout, so that it cannot be kept either.
        """


class Replacement(Protocol):
    """One collection of a copy that gets new vectors; work that an earlier process finished is kept."""

    def begun(self) -> bool:
        """Whether the collection has been changed already; only reads."""

    def source(self) -> Address:
        """The address of the old records."""

    def searches_if_kept(self, draft: NewVectors, space: Metric) -> SearchesIfKept | None:
        """What searches would find through the present graph with the new vectors. Only reads.

        Args:
            draft: the new content of the collection.
            space: the distance of the index, as it was measured.

        Returns:
            For searches; `None` where what they find is known only afterwards.
        """

    def put(self, draft: NewVectors, route: IndexRoute) -> IndexRoute:
        """Put the new vectors in place; no process may have the copy open. Can be interrupted and called again. Writes.

        Args:
            draft: the new vectors of the collection.
            route: the first route to try; if it is not possible, the next ones are tried. A graph of another distance
                must not be kept.

        Returns:
            The route that was taken.
        """

    def finish(self, store: Store) -> None:
        """Delete the old records after verification. Cannot be resumed after an interruption. Writes."""


@runtime_checkable
class FileDatabase(Protocol):
    """A database that is a folder of files.

    Attributes:
        kind: name of the store, as in the names of backups (`chroma_backup_20260101_120000`).
        folder: the folder of its files.
        main: name of the file that lists the others; a process that has it open uses the database.
    """

    kind: str
    folder: Path
    main: str

    def at(self, folder: Path) -> FileDatabase:
        """Another database of the same kind, such as a copy of this one; nothing is read."""

    def exists(self) -> bool:
        """Whether there is a database in the folder; only reads."""

    def require(self) -> None:
        """Raise `DatabaseError`, with a likely correction, when there is no database. Only reads."""

    def instead(self) -> str | None:
        """What the folder holds in place of a database, in one line with the way out. Only reads.

        `None` when there is a database, or nothing that is known: an application may begin a new database there.
        """

    def upgrade_notice(self) -> str | None:
        """That an older version of the store wrote it, which cannot use it once it is migrated, with the way out.

        `None` when the versions that wrote it can. Only reads.
        """

    def catalog(self) -> list[CollectionFacts]:
        """All its collections, by name, without opening it; only reads.

        Raises:
            DatabaseError: there is no database, or it cannot be read.
        """

    def owns(self, entry: Path) -> bool:
        """Whether a file or folder beside its main file is the store's own."""

    def named_by(self, main: Path) -> set[str]:
        """Names of the entries that a main file lists as part of its database; only reads."""

    def unfinished(self) -> bool:
        """Whether something that belongs to the main file is beside it: an unfinished write, or a log. Only reads."""

    def settle(self) -> None:
        """Have the store finish that, as it does itself when it opens the database. Nobody else has it open. Writes."""

    def damaged(self, *, thorough: bool = True) -> Mapping[Address, str]:
        """The collections whose vectors cannot be read, with what is wrong; only reads, without opening it.

        Args:
            thorough: also look into the files; otherwise only at their presence and sizes, in a millisecond.
        """

    def writes(self, address: Address) -> Iterator[tuple[str, int]]:
        """The id of each record of a collection with the number of its last write, in the order of the ids.

        They are read while they are passed over; only reads. None where there is no such collection.
        """

    def last_writes(self) -> Mapping[Address, int]:
        """The number of the last write in every collection that has records; only reads. See `writes`."""

    def sample(self, most: int) -> Mapping[Address, Vectors]:
        """Up to `most` vectors, float32 `(n, d)`, of each collection; others may write meanwhile. Only reads."""

    def sample_records(self, most: int, only: Container[Address] | None = None) -> Mapping[Address, Page]:
        """Up to `most` records with their vectors of each collection; others may write meanwhile. Only reads.

        Collections whose records cannot be read from outside are left out, and those that are not in `only`.
        """

    def room_needed(self, dimensions: Mapping[Address, int]) -> int:
        """Bytes needed, besides a copy, to write vectors of these dimensions to these collections; only reads."""

    def isolate(self) -> None:
        """Rename the files of a copy, so that one folder can hold both it and the original. Writes."""

    def set_aside(self, damaged: Collection[Address], place: Path) -> None:
        """Move files that cannot be read out of a closed copy, so that the store does not open them. Writes.

        Args:
            damaged: the collections that they belong to; see `damaged`.
            place: a folder for them; need not exist.
        """

    def put_back(self, place: Path) -> None:
        """Move back unchanged what `set_aside` moved to a place, if anything. Writes.

        Raises:
            VerificationError: the store changed such a collection meanwhile.
        """

    def prepare(self) -> None:
        """Make a closed copy one to work on: quick to read with many collections, safe to open. Writes.

        `tidy` takes back what it does.
        """

    def rename(self, names: Mapping[Address, str]) -> None:
        """Give collections of a closed copy other names, by their addresses, all in one step. Writes."""

    def metadata(self) -> Mapping[Address, Mapping[str, object]]:
        """What users noted about each collection, comparable by `==`; only reads.

        Without what a migration may change, such as the distance.
        """

    def set_metadata(self, given: Mapping[Address, Mapping[str, object]]) -> None:
        """Give collections of a closed copy what `metadata` read from others, all in one step. Writes."""

    def tidy(self) -> None:
        """Delete what no collection of a closed database uses any more, and take back what `prepare` did. Writes."""

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What it would record about an embedding function; see `Store.describe_model`."""

    def open(self) -> Store:
        """Open it, for this process alone. Opening may write."""

    def replacement(
        self,
        address: Address,
        dimension: int,
        model: Mapping[str, Any] | None,
        *,
        scratch: Path,
        run: str,
        number: int,
        page_size: int,
        on_done: Callable[[int, int], None],
        distance: Metric | None = None,
    ) -> Replacement:
        """New vectors for one collection of this database, which must be a closed copy. See `Replacement`.

        Args:
            address: the collection.
            dimension: of the new vectors.
            model: what to record about the embedding model; `None` keeps the present record.
            scratch: a folder for unfinished files; need not exist.
            run: the same for every process that builds on this copy.
            number: of the collection within the run; the same for every process, too.
            page_size: records held in memory at once.
            on_done: called with the number of records written and the total.
            distance: that its index gets, and that its settings state; `None` keeps them.
        """


def require_unused(database: FileDatabase) -> None:
    """Raise `DatabaseInUseError` when some process has the database open.

    Two processes that write one Chroma folder corrupt it silently: Chroma takes no lock of its own.
    """
    main, folder = database.folder / database.main, database.folder
    users = users_of(main)
    deadline = time.monotonic() + RELEASE_SECONDS
    while os.getpid() in users and time.monotonic() < deadline:
        time.sleep(0.02)
        users = users_of(main)
        if os.getpid() in users:  # an unreferenced client keeps its files open until it is collected, which takes long
            gc.collect()
            users = users_of(main)
    if os.getpid() in users:
        raise DatabaseInUseError(
            f"this process (pid {os.getpid()}) has {folder} open: call close() on its client first", processes=users
        )
    if users == [UNSEEN]:
        raise DatabaseInUseError(
            f"{folder} is open in a process that cannot be seen from here, in another container or of another user: "
            "stop it first, then run this again",
            processes=[],
        )
    if users:
        who = ", ".join(f"{pid} ({process_name(pid)})" for pid in users)
        sure = not all(map(is_hidden, users))
        raise DatabaseInUseError(
            f"{folder} {'is' if sure else 'seems to be'} open in process {who}: stop it first, then run this again"
            f"{'' if sure else f', or as user {user_name(main.stat().st_uid)} or root, to whom it is shown'}",
            processes=users,
        )


# Folders of which this process has said so already.
_said: set[Path] = set()


def warn_if_unknown(database: FileDatabase) -> None:
    """Warn in the log where it is not known whether somebody has a database open; once in this process. Only reads."""
    unknown = may_be_open(database.folder / database.main)
    if unknown is not None and database.folder not in _said:
        said_unknown(database)
        logger.warning("%s: %s", database.folder, may_be_open_line(unknown))


def said_unknown(database: FileDatabase) -> None:
    """Note that a user was told before the question, so that no warning repeats it."""
    _said.add(database.folder)


def fingerprint(folder: Path, belongs: Callable[[Path], bool] = lambda entry: True) -> Mapping[str, tuple[int, int]]:
    """Size in bytes and modification time in nanoseconds of every file; equal as long as nobody writes.

    Without what SQLite makes beside a file in WAL mode for those who only read: the index of its log, and an empty log.

    Args:
        folder: the database.
        belongs: which of its entries to include, with everything below them; all by default.
    """
    file_states = {}
    for entry in sorted(filter(belongs, folder.iterdir())):
        for path in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if path.is_file():
                status = path.stat()
                if path.name.endswith("-shm") or (path.name.endswith("-wal") and not status.st_size):
                    continue
                file_states[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return file_states
