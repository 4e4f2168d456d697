"""`NAME.npy`: vectors `(n, d)` as NumPy saves them, with ids and texts in files beside it (see `beside`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import DamagedCollectionError
from lightmigrate.stores.base import Metric, Page
from lightmigrate.stores.vector_files.beside import Beside, read_beside, write_beside
from lightmigrate.stores.vector_files.blocks import places_in, read_rows
from lightmigrate.stores.vector_files.search import exact_nearest
from lightmigrate.stores.vector_files.suffix import SuffixFormat
from lightmigrate.stores.vector_files.table import Nearest, Options, Rows, Table, blocks_of
from lightmigrate.vectors import Vectors

_SUFFIX = ".npy"
_FLOATS = ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8")


class NpyArray:
    """Rows of floats in a file, read from their places.

    Attributes:
        count: number of rows.
        dimension: numbers in each.
        dtype: of a number.
        excess: bytes in the file behind the array.

    Raises:
        DamagedCollectionError: it holds something else, or is too short.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        shape, fortran, self.dtype = _header(self._file, path)
        if not _is_of_rows(shape, self.dtype) or fortran:
            order = " in Fortran order" if fortran else ""
            raise DamagedCollectionError(
                f"{path} holds an array of {self.dtype} {shape}{order}: vectors are floats (n, d), row after row, as "
                "numpy.save(PATH, numpy.ascontiguousarray(VECTORS, 'float32')) writes them"
            )
        self._offset = self._file.tell()
        self.count, self.dimension = shape
        expected, found = self._offset + self.count * self.dimension * self.dtype.itemsize, path.stat().st_size
        if found < expected:
            raise DamagedCollectionError(f"{path} has {found:,} bytes and should have {expected:,}: copy it again")
        self.excess = found - expected

    def numbers_of(self, rows: Sequence[int]) -> npt.NDArray[Any]:
        """Some rows as they are stored, in the order given: `(n, d)`; only reads."""
        return read_rows(places_in(self._file), self._offset, rows, self.dimension, self.dtype)


class NpyTable:
    """See `table.Table`.

    Attributes:
        array: the vectors.
        beside: ids, texts and payloads.
    """

    metric: Metric | None = None
    lossy = ""

    def __init__(self, path: Path, beside: Callable[[int], Beside]) -> None:
        self.array = NpyArray(path)
        self.dimension = self.array.dimension
        self.beside = beside(self.array.count)
        self.beside.require_rows(self.array.count, path)

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row."""
        return self.beside.ids

    @property
    def settings(self) -> Mapping[str, Any]:
        """The type of its numbers, and which files lie beside it."""
        return {"format": "npy", "dtype": self.array.dtype.str, "ids": self.beside.kind}

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""
        return self.beside.page(rows, self.vectors_of(rows) if vectors else np.zeros((len(rows), 0), np.float32))

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given; only reads."""
        return self.array.numbers_of(rows).astype(np.float32, copy=False)

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows, by comparing with all."""
        return exact_nearest(self, queries, k, metric)


class NpyFormat(SuffixFormat):
    """See `table.Format`."""

    kind, suffix = "npy", _SUFFIX

    def beside(self, folder: Path, name: str) -> list[str]:
        """The files of ids and texts."""
        return Beside.files(folder, name, _SUFFIX)

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read a collection; vectors are read when they are asked for."""
        path = folder / self.main(name)
        return NpyTable(path, lambda rows: read_beside(folder, name, _SUFFIX, lambda: rows))

    def write(
        self,
        folder: Path,
        name: str,
        rows: Rows,
        like: Table,
        metric: Metric | None,
        *,
        same: bool,
        originals: Table | None = None,
    ) -> None:
        """Write an array of the same type, and the files beside it."""
        assert isinstance(like, NpyTable)  # noqa: S101  # its own format only
        dimension = rows.dimension or like.dimension
        with (folder / self.main(name)).open("wb") as file:
            write_header(file, like.array.dtype, len(rows.ids), dimension)
            for vectors in blocks_of(rows):
                file.write(np.ascontiguousarray(vectors, like.array.dtype).data)
        if not same:
            stored = originals.beside if isinstance(originals, NpyTable) else None
            write_beside(folder, name, _SUFFIX, rows, like.beside, stored)


def write_header(file: BinaryIO, dtype: np.dtype[Any], count: int, dimension: int) -> None:
    """Write what stands before the numbers of an array, row after row."""
    description = {"descr": dtype.str, "fortran_order": False, "shape": (count, dimension)}
    np.lib.format.write_array_header_1_0(file, description)


def holds_rows_of_floats(path: Path) -> bool:
    """Whether a file is an array of vectors, or no array at all, which reading it will say. Only reads."""
    try:
        with path.open("rb") as file:
            shape, _, dtype = _header(file, path)
    except DamagedCollectionError:
        return True
    return _is_of_rows(shape, dtype)


def _is_of_rows(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return len(shape) == 2 and dtype.str in _FLOATS


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether it is in Fortran order, and the type of the numbers; the file is at the first of them."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (ValueError, OSError, SyntaxError):
        raise DamagedCollectionError(f"{path} is no array as numpy.save writes it: copy it again") from None
    return shape, fortran and len(shape) > 1 and min(shape) > 1, dtype
