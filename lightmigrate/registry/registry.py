"""One folder of projections and the list of them.

Whoever reads meanwhile finds, by the list, the old projection or the new one, both whole. A file that is listed already
is therefore replaced in three steps: the new one is written beside it as `x.next.npz`, the list takes its SHA-256, then
it takes its name. A reader looks under both names for the bytes whose SHA-256 is listed. A crash leaves the old entry
whole, or the new one whole under its second name; the next writer ends that last step.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from lightmigrate.errors import LightmigrateError, ListedFileError
from lightmigrate.files import locked, replacing, shared, sync_folder
from lightmigrate.projection.archive import Stored
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.registry.entry import Entry
from lightmigrate.registry.listed_file import open_listed, require_file, sha256, status_of
from lightmigrate.registry.listing import REGISTRY_FILE, read_list, write_list
from lightmigrate.registry.names import NEXT, final_name, is_file_name, next_name
from lightmigrate.registry.problem import Problem

# While a reader looks, writers may exchange a file this often.
_LOOKS = 4

# What only a writer that holds the lock writes before it is renamed, so that whoever holds it may delete it.
_LEFT_OVER = re.compile(rf"\.(registry\.json|.+{re.escape(NEXT)}\.(npz|onnx))\.[0-9a-f]{{8}}")


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
        """What is listed, by file name; only reads the list, no projection.

        Raises:
            LightmigrateError: the list cannot be read, is of another version, or names anything but files of this
                folder.
        """
        return read_list(self.path)

    def add(self, projection: Projection, file: str, *, stored: Stored = "float32") -> Entry:
        """Save a projection in the folder and list it, in place of one of that name. Writes.

        Several processes may add to one folder at once; whoever reads meanwhile finds the old or the new one.

        Args:
            projection: what to save.
            file: its name, without a path, ending in `.npz`.
            stored: see `Projection.save`.

        Raises:
            LightmigrateError: not such a name, the list is damaged or cannot be written (the message says where the
                projection is), or the folder cannot be written.
        """
        if not is_file_name(file) or not file.endswith(".npz"):
            raise LightmigrateError(f"{file!r} is not the name of an .npz file")
        Entry.of(file, "0" * 64, projection.info)  # before anything is written
        with self._writing():
            projection.save(self._next(file), stored=stored)
            return self._list_next(file, projection.info)

    def add_file(self, path: str | Path) -> Entry:
        """Copy an `.npz` or `.onnx` file into the folder and list it, in place of one of that name. Writes.

        A file that lies in the folder already is listed as it is: that mends an `add` that was interrupted.

        Raises:
            ProjectionFileError: not a projection, or damaged.
            MissingExtraError: an `.onnx` file and no onnxruntime.
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
            if inside and status_of(path) is None:  # it had been listed, and took its name just now
                path = own
            if inside and path.name == file and _is_file(path):
                return self._list_as_it_lies(file)
            if not inside or path.name == file or not _is_file(path):
                with path.open("rb") as original, replacing(aside) as copy:
                    shutil.copyfileobj(original, copy)
            return self._list_next(file, Projection.load(aside).info)

    def remove(self, file: str) -> Entry:
        """Take a projection off the list, then delete its file. Writes.

        Raises:
            LightmigrateError: it is not listed, the list is damaged, or the folder cannot be written.
        """
        if all(entry.file != file for entry in self.entries()):
            raise LightmigrateError(f"{self.folder} lists no {file!r}")
        with self._writing():
            known = self._known()
            if file not in known:
                raise LightmigrateError(f"{self.folder} lists no {file!r}")
            removed = known.pop(file)
            write_list(self.path, known.values())  # first, so that nothing is listed that is not there
            for path in (self.folder / file, self._next(file)):
                path.unlink(missing_ok=True)
        return removed

    def load(self, entry: Entry) -> Projection:
        """The projection of an entry, if its file has the SHA-256 that is listed; only reads.

        When a new projection between the same models took its place since the entry was read, that one.

        Raises:
            ListedFileError: the file is missing, a link, altered, not readable, or says other things than its entry.
            MissingExtraError: an `.onnx` file and no onnxruntime.
        """
        wrong = ListedFileError(f"{self.folder / entry.file} is exchanged all the time; try again", kind="altered")
        for _ in range(_LOOKS):
            try:
                return open_listed(self.folder / entry.file, entry)
            except ListedFileError as error:
                wrong = error
            with contextlib.suppress(ListedFileError):
                return open_listed(self._next(entry.file), entry)
            with contextlib.suppress(LightmigrateError):
                newer = self._known().get(entry.file)
                if newer is None or newer.models != entry.models:
                    break
                entry = newer
        raise wrong

    def file_of(self, entry: Entry) -> Path:
        """Where the file of an entry lies, under its own name or its second one. Only looks, and opens nothing.

        Raises:
            ListedFileError: it is missing, or a link, or no file.
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
        """What is wrong in the folder; nothing wrong is an empty list. Only reads, and reads every file.

        Every listed file is there, has its SHA-256, loads, and says what its entry says; no projection is there that
        is not listed, and nothing that a crash left. Waits for whoever is writing.
        """
        if self._has_strange_lock():
            return [Problem(self._lock.name, "outside", self._strange_lock)]
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # in a folder of others the lock may not be ours to look at
                stack.enter_context(shared(self._lock))
            try:
                known = self._known()
            except LightmigrateError as error:
                return [Problem(REGISTRY_FILE, "list", str(error))]
            wrong = [found for entry in known.values() for found in self._wrong_with(entry)]
            return wrong + [found for name in self._names() for found in self._strange(name, known)]

    def _wrong_with(self, entry: Entry) -> Iterator[Problem]:
        aside = self._next(entry.file)
        try:
            open_listed(self.folder / entry.file, entry)
        except ListedFileError as error:
            with contextlib.suppress(ListedFileError):
                open_listed(aside, entry)
                message = f"{aside} is listed and did not take its name yet; the next add or remove sees to it"
                yield Problem(entry.file, "unfinished", message)
                return
            yield Problem(entry.file, error.kind, str(error))
        except LightmigrateError as error:  # an .onnx file and no onnxruntime
            yield Problem(entry.file, "unreadable", str(error))

    def _strange(self, name: str, known: Mapping[str, Entry]) -> Iterator[Problem]:
        path = self.folder / name
        file = final_name(name)
        if _LEFT_OVER.fullmatch(name):
            yield Problem(name, "leftover", f"{path} was left by a crash; the next add or remove deletes it")
        elif file != name and file in known:
            with contextlib.suppress(ListedFileError):
                open_listed(path, known[file])
                return  # told already
            yield Problem(name, "unlisted", f"{path} was to take the place of {file}; add it, or delete it")
        elif is_file_name(file) and file not in known and f"{path.stem}.npz" not in known:  # .onnx beside its .npz
            yield Problem(name, "unlisted", f"{path} is not listed; add it, or delete it")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the folder's lock; what a crash left is ended or deleted first."""
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
            known = {}  # whoever needs the list will say so
        for name in self._names():
            path, entry = self.folder / name, known.get(final_name(name))
            if _LEFT_OVER.fullmatch(name):
                with contextlib.suppress(OSError):  # somebody else's, or a folder: it is in nobody's way
                    path.unlink()
            elif name != final_name(name) and entry is not None and _is_file(path) and sha256(path) == entry.sha256:
                self._take_name(entry.file)

    def _list_next(self, file: str, info: ProjectionInfo) -> Entry:
        """List what lies aside, and give it its name: the listed file is there at every moment."""
        aside = self._next(file)
        try:
            entry, known = Entry.of(file, sha256(aside), info), self._known()
            if file not in known:
                self._take_name(file)
                write_list(self.path, [*known.values(), entry])
            else:
                write_list(self.path, [*(known | {file: entry}).values()])
                self._take_name(file)
        except (LightmigrateError, OSError) as error:
            said = self._unwritable(error) if isinstance(error, OSError) else error
            kept = aside if status_of(aside) is not None else self.folder / file
            raise LightmigrateError(f"{said}; what was to be added is {kept}") from None
        return entry

    def _list_as_it_lies(self, file: str) -> Entry:
        path = self.folder / file
        entry = Entry.of(file, sha256(path), Projection.load(path).info)
        write_list(self.path, [*(self._known() | {file: entry}).values()])
        return entry

    def _take_name(self, file: str) -> None:
        aside, path = self._next(file), self.folder / file
        if (before := status_of(path)) is not None and stat.S_ISREG(before.st_mode):
            with contextlib.suppress(PermissionError):  # written by somebody else
                aside.chmod(before.st_mode & 0o777)
        aside.replace(path)
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
        """A pipe would keep whoever opens it waiting for ever; a link would be written where it leads."""
        return status_of(self._lock) is not None and not _is_file(self._lock)

    @property
    def _strange_lock(self) -> str:
        return f"{self._lock} is a link or no file; delete it"

    def _unwritable(self, error: OSError) -> LightmigrateError:
        return LightmigrateError(f"{self.folder} cannot be written: {error.strerror or error}")


def _is_file(path: Path) -> bool:
    """Whether a file itself lies there, not a link to one."""
    status = status_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)
