"""A folder of an object store whose objects of one format are one collection; see `unit_folder`.

What only looks reads parts of objects. Whatever reads a whole one reads a copy on this machine, which is deleted then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightmigrate.errors import DamagedCollectionError, LightmigrateError
from lightmigrate.objects.folder import AT_ONCE, State
from lightmigrate.objects.path import ObjectPath
from lightmigrate.objects.scratch import scratch
from lightmigrate.stores.base import Capabilities, Page
from lightmigrate.stores.units import Converted
from lightmigrate.stores.vector_files.unit_folder import FolderOfUnits, UnitFormat, is_unit
from lightmigrate.vectors import Vectors

CAPABILITIES = Capabilities(
    atomic_exchange=True,  # one object is put, which names the objects that are the dataset
    holds_writers=False,
    sees_changes=True,  # the versions of objects
    ordered=True,
    stale_handles=True,
    shared_records=False,
    notice="nothing is renamed: whoever reads or writes the dataset has to ask which prefix it is, "
    "lightmigrate.objects.dataset_path(ADDRESS) or ADDRESS.lightmigrate/current.json, and until it asks again it goes "
    "on with the old one; objects that are written to while it is migrated are seen until the last moment",
)


class ObjectsOfUnits(FolderOfUnits):
    """See `units.UnitFolder`.

    Args:
        path: the prefix that is the dataset now.
        name: of the collection.
        unit_format: of its objects.
    """

    capabilities = CAPABILITIES

    def __init__(self, path: ObjectPath, name: str, unit_format: UnitFormat) -> None:
        super().__init__(path, unit_format)
        self.name = name
        self._objects = path.folder
        self._known: dict[tuple[str, State], bool] = {}

    def __reduce__(self) -> tuple[type[ObjectsOfUnits], tuple[Path, str, UnitFormat]]:
        return ObjectsOfUnits, (self.path, self.name, self._format)

    def state(self, unit: str) -> State:
        """See `UnitFolder`."""
        return self._objects.state(unit)

    def scan(self, unit: str, size: int, start: int, *, vectors: bool) -> Iterator[tuple[int, Page]]:
        """See `FolderOfUnits`: of a copy."""
        with self._copied(unit) as copy:
            yield from self._format.scan(copy, unit, size, start, vectors=vectors)

    def convert(
        self, unit: str, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """See `UnitFolder`: of a copy, into a file of this machine."""
        with self._copied(unit) as copy:
            return self._format.convert(copy, target, dimension, new_vectors, texts=texts)

    @contextlib.contextmanager
    def _copied(self, unit: str) -> Iterator[Path]:
        """A unit and what lies beside it, as files of this machine. Errors name the objects."""
        source = self.path / unit
        with scratch() as folder:
            copy = folder / source.name
            try:
                for name in (source.name, *self._format.beside(source)):
                    self._objects.fetch(self._name(source.parent / name), folder / name)
                yield copy
            except FileNotFoundError:
                raise DamagedCollectionError(f"{source} is gone") from None
            except LightmigrateError as error:
                error.args = tuple(str(part).replace(str(copy.parent), str(source.parent)) for part in error.args)
                raise

    def _files(self) -> list[Path]:
        files: list[Any] = sorted(self.path.rglob("*"))
        with ThreadPoolExecutor(AT_ONCE) as pool:  # some formats have to look into each
            list(pool.map(self._is_unit, files))
        return files

    def _is_unit(self, path: Path) -> bool:
        known = self._name(path), path.known if isinstance(path, ObjectPath) else None
        if known not in self._known:
            self._known[known] = is_unit(path, self._format)
        return self._known[known]
