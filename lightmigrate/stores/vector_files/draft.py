"""The rows of a version that is being built: appended to two files, from which the version is written when complete."""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np

from lightmigrate.stores.base import Page, Payload
from lightmigrate.stores.checks import require_dimension, require_unused
from lightmigrate.stores.page import batches
from lightmigrate.stores.vector_files.blocks import read_bytes, read_rows, runs
from lightmigrate.stores.vector_files.edits import Edited
from lightmigrate.stores.vector_files.row_ids import GrowingRowOf
from lightmigrate.stores.vector_files.table import PAGE, pages_of
from lightmigrate.system import delete, rename, sync, sync_folder
from lightmigrate.vectors import Vectors

_RECORDS, _VECTORS = "draft.jsonl", "draft.f32"
_NUMBER = np.dtype("<f4")


class Draft:
    """The rows in a folder, as far as they were written completely. See `table.Rows`.

    Args:
        folder: of the version.
        dimension: of its vectors.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        self._records, self._vectors = folder / _RECORDS, folder / _VECTORS
        self.dimension = dimension
        self._row_bytes = dimension * _NUMBER.itemsize
        self._offsets = self._complete_rows()

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in order; they are read when they are asked for."""
        return _DraftIds(self)

    @cached_property
    def row_of(self) -> GrowingRowOf:
        """The row of every id."""
        return GrowingRowOf(self.ids)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._offsets) - 1

    def _complete_rows(self) -> array[int]:
        """Where each record begins and the last one ends; a row that a crash cut off is left out."""
        offsets = array("q", [0])
        try:
            most = self._vectors.stat().st_size // self._row_bytes
            with self._records.open("rb") as lines:
                for line in itertools.islice(lines, most):
                    if not line.endswith(b"\n"):
                        break
                    offsets.append(offsets[-1] + len(line))
        except FileNotFoundError:
            pass
        return offsets

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""
        if not len(rows):
            return Page([], np.zeros((0, self.dimension if vectors else 0), np.float32), [], [])
        with self._records.open("rb") as lines, self._vectors.open("rb") as numbers:
            records: list[tuple[str, str | None, Payload | None]] = []
            for _, first, count in runs(rows):
                start, end = self._offsets[first], self._offsets[first + count]
                records += map(json.loads, read_bytes(lines.fileno(), start, end - start).decode("ascii").splitlines())
            width = self.dimension if vectors else 0
            stored = read_rows(numbers.fileno(), 0, rows, width, _NUMBER).astype(np.float32, copy=False)
        ids, texts, payloads = zip(*records, strict=True)
        return Page(list(ids), stored, list(texts), list(payloads))

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given; only reads."""
        if not len(rows):
            return np.zeros((0, self.dimension), np.float32)
        with self._vectors.open("rb") as numbers:
            return read_rows(numbers.fileno(), 0, rows, self.dimension, _NUMBER).astype(np.float32, copy=False)

    def append(self, page: Page) -> None:
        """Write new rows after the others; on the disk on return. Writes."""
        require_dimension(page.vectors, self.dimension)
        require_unused(page.ids, len(self.row_of.among(page.ids)))
        columns = zip(page.ids, page.texts, page.payloads, strict=True)
        lines = [json.dumps(row).encode() + b"\n" for row in columns]
        with self._vectors.open("ab") as numbers, self._records.open("ab") as records:
            numbers.truncate(self.count * self._row_bytes)
            records.truncate(self._offsets[-1])
            numbers.write(np.ascontiguousarray(page.vectors, _NUMBER).data)
            sync(numbers)  # first, so that a record on the disk has its vector there
            records.writelines(lines)
            sync(records)
        self.row_of.add(page.ids)
        self._offsets.extend(itertools.accumulate(map(len, lines), initial=self._offsets.pop()))

    def set_vectors(self, rows: Sequence[int], vectors: Vectors) -> None:
        """Replace the vectors of some rows. Writes."""
        with self._vectors.open("r+b") as numbers:
            for row, vector in zip(rows, vectors, strict=True):
                numbers.seek(row * self._row_bytes)
                numbers.write(np.ascontiguousarray(vector, _NUMBER).tobytes())
            sync(numbers)

    def rewritten(self, edited: Edited) -> Draft:
        """The draft with other rows, written aside and renamed. Writes."""
        folder = self._records.parent
        aside = folder / "rewriting"
        aside.mkdir(exist_ok=True)
        for name in (_RECORDS, _VECTORS):
            delete(aside / name)
        written = Draft(aside, self.dimension)
        for page in pages_of(edited):
            written.append(page)
        # vectors first: after a crash between the two, rows that differ are found by comparing and written again
        for name in (_VECTORS, _RECORDS):
            if (aside / name).exists():
                rename(aside / name, folder / name)
            else:
                delete(folder / name)
        aside.rmdir()
        sync_folder(folder)
        return Draft(folder, self.dimension)

    def discard(self) -> None:
        """Delete the files. Writes."""
        delete(self._records)
        delete(self._vectors)


class _DraftIds(Sequence[str]):
    """The ids of the rows that a draft has now."""

    def __init__(self, draft: Draft) -> None:
        self._draft, self._rows = draft, range(draft.count)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...

    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        if isinstance(row, slice):
            return self._draft.page(self._rows[row], vectors=False).ids
        return self._draft.page([self._rows[row]], vectors=False).ids[0]

    def __iter__(self) -> Iterator[str]:
        return (record for rows in batches(self._rows, PAGE) for record in self[rows[0] : rows[-1] + 1])
