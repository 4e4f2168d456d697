"""`.npy` files that together are one collection; see `unit_folder`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lightmigrate.errors import DamagedCollectionError, VerificationError
from lightmigrate.stores.base import Page
from lightmigrate.stores.vector_files.beside import read_beside
from lightmigrate.stores.vector_files.npy import NpyArray, NpyTable, holds_rows_of_floats, write_header
from lightmigrate.vectors import Vectors

# Rows that are held in memory at once.
_PAGE = 4_096


class NpyUnits:
    """See `unit_folder.UnitFormat`. Arrays that are no rows of floats, such as labels, are left as they are."""

    suffix = ".npy"

    def refusal(self, path: Path) -> str | None:
        """See `UnitFormat`: nothing sums up other files."""
        return None

    def is_unit(self, path: Path) -> bool:
        """See `UnitFormat`."""
        return holds_rows_of_floats(path)

    def rows(self, path: Path) -> int:
        """See `UnitFormat`; only the header is read."""
        return NpyArray(path).count

    def open(self, path: Path) -> NpyTable:
        """See `UnitFormat`."""
        return NpyTable(path, lambda rows: read_beside(path.parent, path.stem, self.suffix, lambda: rows))

    def convert(self, path: Path, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors]) -> int:
        """See `UnitFormat`."""
        table = self.open(path)
        like, written = table.array, hashlib.sha256()
        if like.excess:
            raise DamagedCollectionError(f"{path} has {like.excess:,} bytes behind its array, which would be lost")
        with target.open("wb") as file:
            write_header(file, like.dtype, like.count, dimension)
            for rows in _pages(like.count):
                block = np.ascontiguousarray(new_vectors(table.page(rows)), like.dtype).data
                file.write(block)
                written.update(block)
        new, stored = NpyArray(target), hashlib.sha256()
        for rows in _pages(new.count):
            stored.update(new.numbers_of(rows).data)
        if (new.count, new.dtype, new.excess, stored.digest()) != (like.count, like.dtype, 0, written.digest()):
            raise VerificationError(f"{path}: the new vectors were not read back as they were written")
        return like.count


def _pages(count: int) -> Iterator[range]:
    return (range(start, min(count, start + _PAGE)) for start in range(0, count, _PAGE))
