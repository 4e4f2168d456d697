"""A folder of projections with a manifest.

A concurrent reader finds the old projection or the new one, both complete. A listed file is therefore replaced in three
steps: the new file is written as `x.next.npz`, the manifest gets its SHA-256, then it is renamed to `x.npz`. A reader
looks under both names for the file with the listed SHA-256. A crash leaves the old entry intact, or the new file intact
under its second name; the next writer completes the rename.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightmigrate.errors import LightmigrateError, ListedFileError
from lightmigrate.files import file_sha256, locked, replacing, shared
from lightmigrate.projection.archive import Stored
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.registry.checked_file import open_listed, require_file, status_of
from lightmigrate.registry.entry import Entry
from lightmigrate.registry.manifest import REGISTRY_FILE, read_manifest, write_manifest
from lightmigrate.registry.names import NEXT, final_name, is_file_name, next_name
from lightmigrate.results import Result
from lightmigrate.system import delete, rename, sync_folder

# A reader tries again so often when a file is not as it is listed, and so often when it was listed anew meanwhile.
_ATTEMPTS, _MOST_ATTEMPTS = 4, 100

# Temporary files that only a holder of the lock writes, so that the next holder may delete them.
_LEFT_OVER = re.compile(rf"\.(registry\.json|.+{re.escape(NEXT)}\.(npz|onnx))\.[0-9a-f]{{8}}")


ProblemKind = Literal[
    "list",  # registry.json cannot be used
    "missing",
    "outside",  # a link, or not a regular file
    "altered",
    "unreadable",
    "contradicting",  # its header contradicts the manifest
    "unfinished",  # complete, but not renamed yet
    "unlisted",
    "leftover",  # a temporary file left by a crash
]


@dataclass(frozen=True)
class Problem(Result):
    """A problem found by `Registry.verify`.

    Attributes:
        file: its name within the folder.
        kind: of the problem.
        message: one line, with the way out.
    """

    file: str
    kind: ProblemKind
    message: str


class Registry:
    """The projections in one folder.

    Args:
        folder: need not exist yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / REGISTRY_FILE
        self._lock = self.folder / f".{REGISTRY_FILE}.lock"

    def __repr__(self) -> str:
        return f"Registry({str(self.folder)!r})"

    def entries(self) -> list[Entry]:
        """The entries of the manifest, by file name. Reads only the manifest.

        Raises:
            LightmigrateError: the manifest cannot be read, has another version, or names a path outside this folder.
        """
        return read_manifest(self.path)

    def add(self, projection: Projection, file: str, *, stored: Stored = "float32") -> Entry:
        """Save a projection in the folder and list it, replacing one of the same name. Writes.

        Several processes may add to one folder; a concurrent reader finds the old projection or the new one.

        Args:
            projection: to save.
            file: its name, without a path, ending in `.npz`.
            stored: see `Projection.save`.

        Raises:
            LightmigrateError: the name is invalid, the manifest is damaged or cannot be written (the message says where
                the projection is), or the folder cannot be written.
        """
        if not is_file_name(file) or not file.endswith(".npz"):
            raise LightmigrateError(f"{file!r} is not the name of an .npz file")
        Entry.of(file, "0" * 64, projection.info)  # before anything is written
        with self._writing():
            projection.save(self._next(file), stored=stored)
            return self._list_next(file, projection.info)

    def add_file(self, path: str | Path) -> Entry:
        """Copy an `.npz` or `.onnx` file into the folder and list it, replacing one of the same name. Writes.

        A file that is already in the folder is listed unchanged, which repairs an interrupted `add`.

        Raises:
            ProjectionFileError: not a projection, or damaged.
            MissingExtraError: an `.onnx` file, but onnxruntime is not installed.
            LightmigrateError: as for `add`.
        """
        path = Path(path)
        inside = path.parent.resolve() == self.folder.resolve()
        file = final_name(path.name) if inside else path.name
        if not is_file_name(file):
            raise LightmigrateError(f"{file!r} is not the name of an .npz or .onnx file")
        Entry.of(file, "0" * 64, Projection.load(path).info)
        with self._writing():
            own, aside = self.folder / file, self._next(file)
            if inside and status_of(path) is None:  # another writer has just renamed it
                path = own
            if inside and path.name == file and _is_file(path):
                return self._list_as_it_lies(file)
            if not inside or path.name == file or not _is_file(path):
                with path.open("rb") as original, replacing(aside) as copy:
                    shutil.copyfileobj(original, copy)
            return self._list_next(file, Projection.load(aside).info)

    def remove(self, file: str) -> Entry:
        """Remove a projection from the manifest, then delete its file. Writes.

        Raises:
            LightmigrateError: it is not listed, the manifest is damaged, or the folder cannot be written.
        """
        if all(entry.file != file for entry in self.entries()):
            raise LightmigrateError(f"{self.folder} lists no {file!r}")
        with self._writing():
            known = self._known()
            if file not in known:
                raise LightmigrateError(f"{self.folder} lists no {file!r}")
            removed = known.pop(file)
            write_manifest(self.path, known.values())  # first, so that every listed file exists
            for path in (self.folder / file, self._next(file)):
                delete(path)
        return removed

    def load(self, entry: Entry) -> Projection:
        """The projection of an entry, after checking the SHA-256 of its file. Only reads.

        If the file was replaced meanwhile by a projection between the same models, returns that one.

        Raises:
            ListedFileError: the file is missing, a link, altered, unreadable, or contradicts its entry.
            MissingExtraError: an `.onnx` file, but onnxruntime is not installed.
        """
        problem = ListedFileError(f"{self.folder / entry.file} was replaced on each attempt; try again", kind="altered")
        unchanged = 0
        for _ in range(_MOST_ATTEMPTS):
            try:
                return open_listed(self.folder / entry.file, entry)
            except ListedFileError as error:
                problem = error
            with contextlib.suppress(ListedFileError):
                return open_listed(self._next(entry.file), entry)
            listed_anew = False
            with contextlib.suppress(LightmigrateError):
                newer = self._known().get(entry.file)
                if newer is None or newer.models != entry.models:
                    break
                listed_anew, entry = newer != entry, newer
            unchanged += not listed_anew
            if unchanged == _ATTEMPTS:
                break
        raise problem

    def file_of(self, entry: Entry) -> Path:
        """The path of the file of an entry, under its name or its second name. Opens nothing.

        Raises:
            ListedFileError: it is missing, a link, or not a regular file.
        """
        path = self.folder / entry.file
        try:
            require_file(path)
        except ListedFileError:
            if not _is_file(self._next(entry.file)):
                raise
            return self._next(entry.file)
        return path

    def verify(self) -> list[Problem]:
        """The problems of the folder; empty when there are none. Only reads, and reads every file.

        Checks that every listed file exists, has the listed SHA-256, loads and matches its entry; that every projection
        is listed; and that a crash left nothing. Waits for a concurrent writer.
        """
        if self._has_strange_lock():
            return [Problem(self._lock.name, "outside", self._strange_lock)]
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # the lock of another user may not be readable
                stack.enter_context(shared(self._lock))
            try:
                known = self._known()
            except LightmigrateError as error:
                return [Problem(REGISTRY_FILE, "list", str(error))]
            listed = [problem for entry in known.values() for problem in self._problems_of(entry)]
            return listed + [problem for name in self._names() for problem in self._problems_of_name(name, known)]

    def _problems_of(self, entry: Entry) -> Iterator[Problem]:
        aside = self._next(entry.file)
        try:
            open_listed(self.folder / entry.file, entry)
        except ListedFileError as error:
            with contextlib.suppress(ListedFileError):
                open_listed(aside, entry)
                message = f"{aside} is listed but not renamed yet; the next add or remove renames it"
                yield Problem(entry.file, "unfinished", message)
                return
            yield Problem(entry.file, error.kind, str(error))
        except LightmigrateError as error:  # an .onnx file, but onnxruntime is not installed
            yield Problem(entry.file, "unreadable", str(error))

    def _problems_of_name(self, name: str, known: Mapping[str, Entry]) -> Iterator[Problem]:
        path = self.folder / name
        file = final_name(name)
        if _LEFT_OVER.fullmatch(name):
            yield Problem(name, "leftover", f"{path} was left by a crash; the next add or remove deletes it")
        elif file != name and file in known:
            with contextlib.suppress(ListedFileError):
                open_listed(path, known[file])
                return  # reported as unfinished
            yield Problem(name, "unlisted", f"{path} was meant to replace {file}; add it, or delete it")
        elif is_file_name(file) and file not in known and f"{path.stem}.npz" not in known:  # .onnx beside its .npz
            yield Problem(name, "unlisted", f"{path} is not listed; add it, or delete it")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the folder's lock, after completing or deleting what a crash left."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._has_strange_lock():
                raise LightmigrateError(self._strange_lock)
            with locked(self._lock):
                self._mend()
                yield
        except OSError as error:
            raise self._unwritable(error) from None

    def _mend(self) -> None:
        try:
            known = self._known()
        except LightmigrateError:
            known = {}  # the caller reads the manifest again and raises
        for name in self._names():
            path, entry = self.folder / name, known.get(final_name(name))
            if _LEFT_OVER.fullmatch(name):
                with contextlib.suppress(OSError):  # of another user, or a folder: it does no harm
                    delete(path)
            elif (
                name != final_name(name) and entry is not None and _is_file(path) and file_sha256(path) == entry.sha256
            ):
                self._take_name(entry.file)

    def _list_next(self, file: str, info: ProjectionInfo) -> Entry:
        """List the file under its second name and rename it, so that the listed file exists at every moment."""
        aside = self._next(file)
        try:
            entry, known = Entry.of(file, file_sha256(aside), info), self._known()
            if file not in known:
                self._take_name(file)
                write_manifest(self.path, [*known.values(), entry])
            else:
                write_manifest(self.path, [*(known | {file: entry}).values()])
                self._take_name(file)
        except (LightmigrateError, OSError) as error:
            reason = self._unwritable(error) if isinstance(error, OSError) else error
            kept = aside if status_of(aside) is not None else self.folder / file
            raise LightmigrateError(f"{reason}; the projection to add is {kept}") from None
        return entry

    def _list_as_it_lies(self, file: str) -> Entry:
        path = self.folder / file
        entry = Entry.of(file, file_sha256(path), Projection.load(path).info)
        write_manifest(self.path, [*(self._known() | {file: entry}).values()])
        return entry

    def _take_name(self, file: str) -> None:
        aside, path = self._next(file), self.folder / file
        if (before := status_of(path)) is not None and stat.S_ISREG(before.st_mode):
            with contextlib.suppress(PermissionError):  # a file of another user
                aside.chmod(before.st_mode & 0o777)
        rename(aside, path)
        sync_folder(self.folder)

    def _known(self) -> dict[str, Entry]:
        return {entry.file: entry for entry in self.entries()}

    def _next(self, file: str) -> Path:
        return self.folder / next_name(file)

    def _names(self) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.iterdir())
        except OSError:
            return []

    def _has_strange_lock(self) -> bool:
        """Whether the lock file is not a regular file: opening a pipe blocks, and a link leads outside the folder."""
        return status_of(self._lock) is not None and not _is_file(self._lock)

    @property
    def _strange_lock(self) -> str:
        return f"{self._lock} is a link or not a regular file; delete it"

    def _unwritable(self, error: OSError) -> LightmigrateError:
        return LightmigrateError(f"{self.folder} cannot be written: {error.strerror or error}")


def _is_file(path: Path) -> bool:
    """Whether `path` is a regular file, not a link to one."""
    status = status_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)
