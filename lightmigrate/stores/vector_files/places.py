"""Where the files of a collection are, and where lightmigrate keeps versions of them: a hidden folder beside.

    FOLDER/docs.npy, docs.jsonl                                 the collection
    FOLDER/.lightmigrate-files/docs.npy/live.json               its id
    FOLDER/.lightmigrate-files/docs.npy/new-KEY/                a version that is being built
    FOLDER/.lightmigrate-files/docs.npy/old-KEY/docs.npy, …     what it replaced, under the same file names

What an exchange has done is read from these files, so that a crash needs no repair as long as one file is exchanged.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError, LocationError
from lightmigrate.files import locked, read_json, shared, write_json
from lightmigrate.stores.base import Metric, Role
from lightmigrate.stores.vector_files.table import Format
from lightmigrate.system import delete, delete_folder
from lightmigrate.vectors import METRICS

HOME = ".lightmigrate-files"
VERSION_FILE = "version.json"
_LIVE_FILE, _JOURNAL = "live.json", "exchange.json"
_LOCK = "lock"

# States the distance of a collection whose file does not.
_STATEMENT = ".lightmigrate.json"

# Size, time of the last change in nanoseconds, and number of a file.
Stamp = Mapping[str, tuple[int, int, int]]


_held = threading.local()


def _locks_of_this_thread() -> set[Path]:
    return set(getattr(_held, "locks", ()))


@dataclass(frozen=True)
class Place:
    """The files of one collection, or of a version of it.

    Attributes:
        folder: that holds them.
        name: of the collection.
        format: of the files.
    """

    folder: Path
    name: str
    format: Format

    @property
    def main(self) -> Path:
        """The file of the vectors."""
        return self.folder / self.format.main(self.name)

    @property
    def statement(self) -> Path:
        """The file that states the distance; need not exist."""
        return self.folder / f"{self.name}{_STATEMENT}"

    def beside(self) -> list[str]:
        """Names of the existing files beside the main file that belong to it; only reads."""
        own = [self.statement.name] if self.statement.is_file() else []
        return [*self.format.beside(self.folder, self.name), *own]

    def stated(self) -> Metric | None:
        """The distance that the file beside states; only reads.

        Raises:
            DatabaseError: the file cannot be read.
        """
        fields = read_json(self.statement)
        stated = fields.get("distance") if fields else None
        return next((metric for metric in METRICS if metric == stated), None)

    def state(self, metric: Metric) -> None:
        """Write the file that states the distance. Writes."""
        write_json(self.statement, {"distance": metric})

    def stamp(self) -> Stamp:
        """What changes when somebody writes one of the files; only reads."""
        paths = [self.main, *(self.folder / name for name in self.beside())]
        states = {path.name: path.stat() for path in paths if path.exists()}
        return {name: (state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states.items()}


class Home:
    """lightmigrate's folder for one collection.

    Args:
        live: the collection.
    """

    def __init__(self, live: Place) -> None:
        self.live = live
        self.folder = live.folder / HOME / live.main.name

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of all files in the folder; other processes of lightmigrate wait. Writes."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except PermissionError:
            raise LocationError(
                f"{self.live.folder} is read-only for this user: give it write permission first"
            ) from None
        lock = self.live.folder / HOME / _LOCK
        with locked(lock):
            _held.locks = {*_locks_of_this_thread(), lock}
            try:
                yield
            finally:
                _held.locks = _locks_of_this_thread() - {lock}

    def shared(self) -> contextlib.AbstractContextManager[None]:
        """Wait for a writer to end, and keep others waiting; only reads. Nothing where this thread is the writer."""
        lock = self.live.folder / HOME / _LOCK
        return contextlib.nullcontext() if lock in _locks_of_this_thread() else shared(lock)

    def inside(self, name: object) -> Path:
        """A folder in this one, by a name that was read from a file here; that may be anybody's.

        Raises:
            DatabaseError: it is no plain name.
        """
        return self.folder / plain_name(name, self.folder)

    def version(self, role: Role, key: str) -> Path:
        """The folder of a version; need not exist."""
        return self.folder / f"{role.value}-{key}"

    def place(self, folder: Path) -> Place:
        """The files of a version."""
        return Place(folder, self.live.name, self.live.format)

    def live_id(self) -> str:
        """The id of the collection that is in place; only reads."""
        fields = read_json(self.folder / _LIVE_FILE)
        if not fields:
            return hashlib.sha256(self.live.main.name.encode()).hexdigest()[:16]
        if "next" in fields and self._is_spent(self.inside(fields["from"])):
            return str(fields["next"])
        return str(fields["id"])

    def note_exchange(self, incoming: Path) -> None:
        """Say that the files of a version are going to be put in place. Writes."""
        fields = {"id": self.live_id(), "next": id_of(incoming), "from": incoming.name}
        write_json(self.folder / _LIVE_FILE, fields)

    def end_exchange(self, live_id: str, spent: Path) -> None:
        """Say that it is done, or that it is not going to be done, and delete the version that is left over. Writes."""
        write_json(self.folder / _LIVE_FILE, {"id": live_id})
        shutil.rmtree(spent, ignore_errors=True)

    def journal(self) -> Mapping[str, Any]:
        """The exchange of several files that has begun; empty when there is none. Only reads."""
        return read_json(self.folder / _JOURNAL)

    def write_journal(self, fields: Mapping[str, Any]) -> None:
        """Say which files are going to be exchanged. Writes."""
        write_json(self.folder / _JOURNAL, fields)

    def close_journal(self) -> None:
        """Say that they are exchanged. Writes."""
        delete(self.folder / _JOURNAL)

    def versions(self) -> list[tuple[Role, str, Path]]:
        """Role, key and folder of the versions that are complete or being built; only reads."""
        found = []
        for folder in self._version_folders():
            role, _, key = folder.name.partition("-")
            if not self._is_spent(folder) and not self._is_live(folder):
                found.append((Role(role), key, folder))
        return found

    def _version_folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        known = tuple(f"{role.value}-" for role in Role)
        folders = (path for path in self.folder.iterdir() if path.name.startswith(known))
        return sorted(path for path in folders if (path / VERSION_FILE).is_file())

    def _is_live(self, folder: Path) -> bool:
        """Whether a backup was made of what is still in place: an exchange that a crash interrupted."""
        return folder.name.startswith(Role.BACKUP.value) and same_file(self.place(folder).main, self.live.main)

    def _is_spent(self, folder: Path) -> bool:
        """Whether the files of a version are in place already: an exchange whose end a crash cut off."""
        fields = read_json(self.folder / _LIVE_FILE)
        if not fields or fields.get("from") != folder.name:
            return False
        main = self.place(folder).main
        if not main.exists():
            return True
        others = (path for path in self._version_folders() if path != folder)
        return any(same_file(main, self.place(other).main) for other in others)

    def sweep(self) -> None:
        """Delete what interrupted exchanges and writes left, which nobody needs. The lock is held. Writes."""
        if not self.folder.is_dir():
            return
        fields = read_json(self.folder / _LIVE_FILE)
        if fields and "next" in fields:
            incoming = self.inside(fields["from"])
            if self._is_spent(incoming):
                self.end_exchange(str(fields["next"]), incoming)
            else:
                write_json(self.folder / _LIVE_FILE, {"id": fields["id"]})
        for folder in self._version_folders():
            if self._is_live(folder):
                delete_folder(folder)
        known = tuple(f"{role.value}-" for role in Role)
        for folder in self.folder.iterdir():
            if folder.is_dir() and not (folder.name.startswith(known) and (folder / VERSION_FILE).is_file()):
                shutil.rmtree(folder, ignore_errors=True)

    def scratch(self) -> Path:
        """A new folder for files that are being written; deleted by `sweep` after a crash. Writes."""
        folder = self.folder / f"write-{secrets.token_hex(6)}"
        folder.mkdir(parents=True)
        return folder


def plain_name(name: object, folder: Path) -> str:
    """A name that was read from a file of a folder, if it leads nowhere else.

    Raises:
        DatabaseError: it is no plain name.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or Path(name).name != name or "\\" in name:
        raise DatabaseError(f"{folder} names a file outside of it: somebody changed its files; move it away")
    return name


def write_version(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write what is known of a version into its folder. Writes."""
    write_json(folder / VERSION_FILE, fields)


def read_version(folder: Path) -> Mapping[str, Any]:
    """What is known of a version; empty where there is none. Only reads."""
    return read_json(folder / VERSION_FILE)


def id_of(folder: Path) -> str:
    """The id of a version."""
    return str(read_version(folder)["id"])


def new_id() -> str:
    """An id that no collection has."""
    return secrets.token_hex(8)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file or, where the file system has no links, one of them an exact copy; only reads."""
    try:
        first, second = one.stat(), other.stat()
    except FileNotFoundError:
        return False
    if os.path.samestat(first, second):
        return True
    alike = (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
    return alike and filecmp.cmp(one, other, shallow=False)


def homes(folder: Path) -> Sequence[str]:
    """Names of the main files that lightmigrate keeps something of; only reads."""
    home = folder / HOME
    return sorted(path.name for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
