"""`.npy` files that together are one collection; see `unit_folder`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lightmigrate.errors import DamagedCollectionError, VerificationError
from lightmigrate.stores.base import Page
from lightmigrate.stores.page import sample_ranges
from lightmigrate.stores.units import Converted
from lightmigrate.stores.vector_files.beside import Beside, read_beside
from lightmigrate.stores.vector_files.npy import NpyArray, NpyTable, holds_rows_of_floats, write_header
from lightmigrate.system import FlushedAhead
from lightmigrate.vectors import Vectors

# Rows that are converted at once.
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

    def sample(self, path: Path, name: str, n: int, seed: int) -> Page:
        """See `UnitFormat`."""
        table = _open(path)
        starts, each = sample_ranges(table.array.count, n, seed)
        ends = (min(table.array.count, first + each) for first in starts)
        rows = [row for first, end in zip(starts, ends, strict=True) for row in range(first, end)]
        return _records(table, name, rows)

    def scan(self, path: Path, name: str, size: int, start: int, *, vectors: bool) -> Iterator[tuple[int, Page]]:
        """See `UnitFormat`."""
        table = _open(path)
        for first in range(start, table.array.count, size):
            rows = range(first, min(table.array.count, first + size))
            yield rows[-1], _records(table, name, rows, vectors=vectors)

    def beside(self, path: Path) -> list[str]:
        """See `UnitFormat`: its ids and texts."""
        return Beside.files(path.parent, path.stem, self.suffix)

    def convert(
        self, path: Path, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """See `UnitFormat`."""
        table = _open(path)
        like, written = table.array, hashlib.sha256()
        if like.excess:
            raise DamagedCollectionError(f"{path} has {like.excess:,} bytes behind its array, which would be lost")
        with target.open("wb") as file:
            write_header(file, like.dtype, like.count, dimension)
            header = file.tell()
            flushed = FlushedAhead(file.fileno())
            for rows in _pages(like.count):
                page = table.page(rows) if texts else Page([""] * len(rows), table.vectors_of(rows), [], [])
                block = np.ascontiguousarray(new_vectors(page), like.dtype).data
                file.write(block)
                written.update(block)
                flushed.add(block.nbytes)
            flushed.close()
        new, stored = NpyArray(target), hashlib.sha256()
        with target.open("rb") as file:
            whole = hashlib.sha256(file.read(header))
        for rows in _pages(new.count):
            block = new.numbers_of(rows).data
            stored.update(block)
            whole.update(block)
        if (new.count, new.dtype, new.excess, stored.digest()) != (like.count, like.dtype, 0, written.digest()):
            raise VerificationError(f"{path}: the new vectors were not read back as they were written")
        return Converted(like.count, whole.hexdigest())


def _open(path: Path) -> NpyTable:
    return NpyTable(path, lambda rows: read_beside(path.parent, path.stem, NpyUnits.suffix, lambda: rows))


def _records(table: NpyTable, name: str, rows: Sequence[int], *, vectors: bool = True) -> Page:
    page = table.page(rows, vectors=vectors)
    ids = page.ids if not table.beside.numbered else [f"{name}:{row}" for row in rows]
    return Page(ids, page.vectors, page.texts, page.payloads)


def _pages(count: int) -> Iterator[range]:
    return (range(start, min(count, start + _PAGE)) for start in range(0, count, _PAGE))
