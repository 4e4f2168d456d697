"""One folder of projections and its `registry.json`, which is always written whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PureWindowsPath
from typing import Any

from lightmigrate.errors import LightmigrateError, ProjectionFileError
from lightmigrate.files import locked, replacing, wait_for
from lightmigrate.projection.archive import Stored
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.results import Result

REGISTRY_FILE = "registry.json"
REGISTRY_VERSION = 1


@dataclass(frozen=True)
class Entry(Result):
    """One projection of a registry.

    Attributes:
        file: its file name within the folder.
        sha256: of the file.
        source: the model whose vectors go in.
        target: the model whose space comes out.
        training: how it was made.
        quality: what was measured.
    """

    file: str
    sha256: str
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    training: Mapping[str, Any]
    quality: Mapping[str, Any]

    @property
    def models(self) -> tuple[Model, Model]:
        """The model it leads from and the one it leads to."""
        return Model.from_json(self.source), Model.from_json(self.target)


class Registry:
    """The projections in one folder.

    Args:
        folder: need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / REGISTRY_FILE
        self._lock = folder / f".{REGISTRY_FILE}.lock"

    def __repr__(self) -> str:
        return f"Registry({str(self.folder)!r})"

    def entries(self) -> list[Entry]:
        """What is listed, by file name; only reads, and opens no projection.

        Raises:
            LightmigrateError: the list cannot be read, is of another version, or names something else than a file
                in this folder.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["format"] != REGISTRY_VERSION:
                raise LightmigrateError(
                    f"{self.path} has format {str(content['format'])[:20]}, this lightmigrate reads "
                    f"{REGISTRY_VERSION}; upgrade lightmigrate"
                )
            found = {entry.file: entry for entry in map(self._read_entry, content["projections"])}
            if len(found) != len(content["projections"]):
                raise ValueError("a file is listed twice")
            return [found[file] for file in sorted(found)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise LightmigrateError(f"{self.path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, RecursionError, ProjectionFileError) as error:
            raise LightmigrateError(
                f"{self.path} is damaged ({type(error).__name__}); delete it and add again"
            ) from None

    def add(self, projection: Projection, file: str, *, stored: Stored = "float32") -> Entry:
        """Save a projection in the folder and list it, in place of one of that name. Writes.

        Several processes may add to one folder at once.

        Args:
            projection: what to save.
            file: its name, without a path, ending in `.npz`.
            stored: see `Projection.save`.

        Raises:
            LightmigrateError: not such a name, the list is damaged, or the folder cannot be written.
        """
        _require_plain(file)
        _require_listable(projection.info)
        with self._writing() as known:
            path = projection.save(self.folder / file, stored=stored)
            entry = _entry(file, _sha256(path), projection.info)
            self._write([*(other for other in known if other.file != file), entry])
        return entry

    def add_file(self, path: Path) -> Entry:
        """Copy an existing `.npz` into the folder and list it, in place of one of that name. Writes.

        A file that lies in the folder already is listed as it is.

        Raises:
            ProjectionFileError: not a projection, or damaged.
            LightmigrateError: as for `add`.
        """
        _require_plain(path.name)
        info = Projection.load(path).info
        _require_listable(info)
        content = path.read_bytes()
        with self._writing() as known:
            file = self.folder / path.name
            if file.is_symlink() or not file.exists() or not file.samefile(path):
                with replacing(file) as stream:
                    stream.write(content)
            entry = _entry(path.name, hashlib.sha256(content).hexdigest(), info)
            self._write([*(other for other in known if other.file != path.name), entry])
        return entry

    def remove(self, file: str) -> None:
        """Take a projection off the list and delete its file. Writes.

        Raises:
            LightmigrateError: it is not listed, the list is damaged, or the folder cannot be written.
        """
        if not self.folder.is_dir():
            raise LightmigrateError(f"{self.folder} lists no {file!r}")
        with self._writing() as known:
            kept = [entry for entry in known if entry.file != file]
            if len(kept) == len(known):
                raise LightmigrateError(f"{self.folder} lists no {file!r}")
            self._write(kept)  # first, so that nothing is ever listed that is not there
            (self.folder / file).unlink(missing_ok=True)

    def load(self, entry: Entry) -> Projection:
        """The projection of an entry, if its file is still the one that was listed; only reads.

        Raises:
            LightmigrateError: the file leads out of the folder, its SHA-256 is another than the listed one, or it is
                between other models than the list says.
            ProjectionFileError: the file is missing or cannot be used.
        """
        path = self.file_of(entry)
        if not path.is_file():
            raise ProjectionFileError(f"{path} is listed and missing; add it again, or remove it from the list")
        found = _sha256(path)
        if found != entry.sha256:
            raise LightmigrateError(
                f"{path} is not the file that was listed: its SHA-256 is {found[:12]}…, the list says "
                f"{entry.sha256[:12]}…; if you trust the file, add it again"
            )
        projection = Projection.load(path)
        if (projection.info.source, projection.info.target) != entry.models:
            raise LightmigrateError(f"{path} is between other models than its list says; add it again")
        return projection

    def file_of(self, entry: Entry) -> Path:
        """Where the file of an entry lies; it need not exist. Only looks.

        Raises:
            LightmigrateError: it leads out of the folder.
        """
        _require_plain(entry.file)
        path = self.folder / entry.file
        try:
            inside = path.resolve().parent == self.folder.resolve()
        except (OSError, RuntimeError):  # links that lead to each other
            inside = False
        if not inside:
            raise LightmigrateError(f"{path} leads out of its folder; put the file itself there and add it again")
        return path

    def verify(self) -> list[str]:
        """Everything wrong in the folder, a line each; nothing wrong is an empty list. Only reads."""
        with contextlib.suppress(OSError):  # in a folder of others the lock may not be ours to look at
            wait_for(self._lock)  # a file and its line in the list are written one after the other
        try:
            known = self.entries()
        except LightmigrateError as error:
            return [str(error)]
        wrong = [line for entry in known for line in self._wrong_with(entry)]
        listed = {entry.file for entry in known}
        there = sorted(path.name for path in self.folder.glob("*.npz")) if self.folder.is_dir() else []
        return wrong + [f"{self.folder / name} is not listed; add it" for name in there if name not in listed]

    def _wrong_with(self, entry: Entry) -> Iterator[str]:
        try:
            info = self.load(entry).info
        except (LightmigrateError, OSError) as error:
            yield str(error)
            return
        listed, said = entry.to_json(), info.to_json()
        differing = [part for part in said if _canonical(listed[part]) != _canonical(said[part])]
        if differing:
            yield f"{self.folder / entry.file} says another {' and '.join(differing)} than its list; add it again"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[list[Entry]]:
        """Hold the folder's lock; yields what is listed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self._lock):
                yield self.entries()
        except OSError as error:
            raise LightmigrateError(f"{self.folder} cannot be written: {error.strerror or error}") from None

    def _write(self, entries: Iterable[Entry]) -> None:
        listed = [entry.to_json() for entry in sorted(entries, key=lambda entry: entry.file)]
        with replacing(self.path) as stream:
            stream.write(json.dumps({"format": REGISTRY_VERSION, "projections": listed}, indent=2).encode() + b"\n")

    def _read_entry(self, said: Mapping[str, Any]) -> Entry:
        entry = Entry(**said)
        if not _is_plain(entry.file):
            raise LightmigrateError(
                f"{self.path} lists {str(entry.file)[:60]!r}, which is not the name of an .npz file; delete it and "
                "add again"
            )
        if not isinstance(entry.sha256, str):
            raise TypeError("a SHA-256 is not text")
        if not all(isinstance(part, dict) for part in (entry.source, entry.target, entry.training, entry.quality)):
            raise TypeError("a part of an entry is not an object")
        for model in entry.models:
            _require_types(model)
        return entry


def _entry(file: str, sha256: str, info: ProjectionInfo) -> Entry:
    said = info.to_json()
    return Entry(file, sha256, said["source"], said["target"], said["training"], said["quality"])


def _is_plain(file: Any) -> bool:
    """Whether this names a visible .npz file in a folder, on any system."""
    return (
        isinstance(file, str)
        and file.endswith(".npz")
        and not file.startswith(".")
        and file.isprintable()
        and Path(file).name == PureWindowsPath(file).name == file
    )


def _require_plain(file: str) -> None:
    if not _is_plain(file):
        raise LightmigrateError(f"{file!r} is not the name of an .npz file")


def _require_listable(info: ProjectionInfo) -> None:
    try:
        for model in (info.source, info.target):
            _require_types(model)
    except (TypeError, ValueError) as error:
        raise LightmigrateError(f"it cannot be listed: {error}; make it again") from None


def _require_types(model: Model) -> None:
    types = {"dimension": int, "normalised": bool}
    for field in fields(model):
        if type(getattr(model, field.name)) is not types.get(field.name, str):
            raise TypeError(f"{field.name} of a model has another type")
    if model.dimension < 1:
        raise ValueError("a model without dimensions")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
