"""A folder whose files of one format are one collection, converted file by file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from lightmigrate.errors import DamagedCollectionError, RefusedError
from lightmigrate.stores.base import Capabilities, Page
from lightmigrate.stores.foreign import foreign_database
from lightmigrate.stores.units import Converted
from lightmigrate.stores.vector_files.npy import holds_rows_of_floats
from lightmigrate.stores.vector_files.places import homes
from lightmigrate.vectors import Vectors, evenly

FOLDER_CAPABILITIES = Capabilities(
    atomic_exchange=False,
    holds_writers=False,
    sees_changes=True,  # the sizes and times of files
    ordered=True,
    stale_handles=True,
    shared_records=False,
    notice="files that are written to the folder while it is migrated are seen until the last moment; an application "
    "that has files open goes on reading the old ones: have it open them again after the exchange",
)

_SUFFIXES = (".parquet", ".npy")

# What tells the parts of one collection apart in their paths: ids that engines give, numbers, and values of partitions.
_VARYING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|\d+|(?<==)[^/]*")

# Files that a sample reads of, at least; of a large one so many that each gives no more records than this.
_SAMPLED, _FROM_EACH = 16, 500


class UnitFormat(Protocol):
    """A format of files that can be converted one by one."""

    suffix: str

    def refusal(self, path: Path) -> str | None:
        """Why a folder that holds a file, of whatever format, cannot be converted; `None` if it can. Only reads."""

    def is_unit(self, path: Path) -> bool:
        """Whether a file of the suffix holds vectors, or cannot be read, which its conversion will say. Only reads."""

    def rows(self, path: Path) -> int:
        """Number of rows; only reads.

        Raises:
            DamagedCollectionError: it cannot be read.
        """

    def sample(self, path: Path, name: str, n: int, seed: int) -> Page:
        """About n records of a file, without those that have no vector; only reads a part of it.

        Args:
            path: the file.
            name: of records that have no id: their ids are `NAME:ROW`.
            n: how many.
            seed: of the choice.

        Raises:
            DamagedCollectionError: it cannot be read.
        """

    def scan(self, path: Path, name: str, size: int, start: int, *, vectors: bool) -> Iterator[tuple[int, Page]]:
        """All records of a file from a row on, at most `size` at a time, each page with the row of its last one.

        Raises:
            DamagedCollectionError: it cannot be read.
        """

    def beside(self, path: Path) -> list[str]:
        """Names of the files beside a file of vectors that its records are read from, too; only reads."""

    def convert(
        self, path: Path, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """See `units.UnitFolder.convert`."""


class FolderOfUnits:
    """See `units.UnitFolder`.

    Args:
        path: the folder; folders below it, such as Hive partitions, belong to it.
        unit_format: of its files.

    Attributes:
        name: of the collection.
        capabilities: what is promised of its exchange.
    """

    capabilities = FOLDER_CAPABILITIES

    def __init__(self, path: Path, unit_format: UnitFormat) -> None:
        self.path = path
        self.name = path.name
        self._format = unit_format

    @property
    def suffix(self) -> str:
        """Of the files with vectors, with the dot."""
        return self._format.suffix

    def units(self) -> list[str]:
        """See `UnitFolder`."""
        files = self._files()
        for path in files:
            if path.is_symlink():
                raise RefusedError(f"{path} is a symbolic link: put the file itself there, {path.resolve()}")
            if (reason := self._format.refusal(path.relative_to(self.path))) is not None:
                raise RefusedError(f"{path} {reason}")
        return [self._name(path) for path in files if self._is_unit(path)]

    def others(self) -> list[str]:
        """See `UnitFolder`."""
        return [self._name(path) for path in self._files() if not self._is_unit(path)]

    def state(self, unit: str) -> tuple[int, int] | None:
        """See `UnitFolder`."""
        try:
            status = (self.path / unit).stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns

    def rows(self, unit: str) -> int:
        """See `UnitFolder`."""
        return self._format.rows(self.path / unit)

    def sample(self, n: int, seed: int = 0) -> Page:
        """See `UnitFolder`."""
        units = self.units()
        chosen = [units[number] for number in evenly(len(units), max(_SAMPLED, n // _FROM_EACH))]
        pages: list[Page] = []
        for number, unit in enumerate(chosen):
            try:
                page = self._format.sample(self.path / unit, unit, -(-n // len(chosen)), seed + number)
            except DamagedCollectionError:
                continue  # its conversion will say so
            if len(page):
                pages.append(page)
        if not pages:
            raise DamagedCollectionError(f"{self.path}: none of {len(chosen)} files has a vector that can be read")
        usual = Counter(page.vectors.shape[1] for page in pages).most_common(1)[0][0]
        return Page.joined([page for page in pages if page.vectors.shape[1] == usual])

    def scan(self, unit: str, size: int, start: int, *, vectors: bool) -> Iterator[tuple[int, Page]]:
        """All records of a unit from a row on; see `UnitFormat.scan`."""
        return self._format.scan(self.path / unit, unit, size, start, vectors=vectors)

    def convert(
        self, unit: str, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """See `UnitFolder`."""
        return self._format.convert(self.path / unit, target, dimension, new_vectors, texts=texts)

    def _is_unit(self, path: Path) -> bool:
        return is_unit(path, self._format)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.rglob("*") if path.is_symlink() or not path.is_dir())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()


def is_one_collection(folder: Path) -> bool:
    """Whether the files of a folder belong together: their paths differ in numbers and in values of partitions alone.

    Not where there is a single one in the folder itself, where lightmigrate has migrated one alone, or where another
    database has its own files. Only reads.
    """
    if homes(folder) or foreign_database(folder) is not None:
        return False
    patterns, count, below = set(), 0, False
    for suffix in _SUFFIXES:
        for path in folder.rglob(f"*{suffix}"):
            name = path.relative_to(folder).as_posix()
            if any(part.startswith((".", "_")) for part in name.split("/")) or not _holds_vectors(path):
                continue
            patterns.add(_VARYING.sub("", name))
            count, below = count + 1, below or "/" in name
            if len(patterns) > 1:
                return False
    return count > 1 or below


def _holds_vectors(path: Path) -> bool:
    return path.is_file() and (path.suffix != ".npy" or holds_rows_of_floats(path))


def is_unit(path: Path, unit_format: UnitFormat) -> bool:
    """Whether a file holds vectors in a format. Only reads."""
    return path.suffix == unit_format.suffix and not path.name.startswith(".") and unit_format.is_unit(path)
