"""Parquet files that together are one collection; see `unit_folder`. Loads pyarrow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.errors import DamagedCollectionError, VerificationError
from lightmigrate.stores.base import Page
from lightmigrate.stores.vector_files.parquet_table import ParquetTable, numbers_of
from lightmigrate.stores.vector_files.parquet_writer import changed_vectors, row_groups
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.vectors import Vectors

# What engines write beside their files to sum them up: it would contradict files with other vectors.
_SUMMARIES = ("_metadata", "_common_metadata", "_delta_log")


class ParquetUnits:
    """See `unit_folder.UnitFormat`.

    Args:
        options: which column holds what.
    """

    suffix = ".parquet"

    def __init__(self, options: Options) -> None:
        self._options = options

    def refusal(self, path: Path) -> str | None:
        """See `UnitFormat`."""
        if not set(path.parts) & set(_SUMMARIES):
            return None
        return (
            "sums up the columns of the other files and would contradict them: a Delta table cannot be migrated as "
            "files; a _metadata file can be deleted, readers do without"
        )

    def is_unit(self, path: Path) -> bool:
        """See `UnitFormat`."""
        return not path.name.startswith("_")

    def rows(self, path: Path) -> int:
        """See `UnitFormat`; only the footer is read."""
        try:
            return int(pq.read_metadata(path).num_rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DamagedCollectionError(f"{path} cannot be read as Parquet: {reason}") from None

    def open(self, path: Path) -> ParquetTable:
        """See `UnitFormat`."""
        return ParquetTable(path, self._options)

    def convert(self, path: Path, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors]) -> int:
        """See `UnitFormat`."""
        like = self.open(path)
        written = _Fingerprint()
        with changed_vectors(target, like, dimension) as writer:
            for batch in row_groups(like):
                column = batch.column(batch.schema.get_field_index(like.vector))
                present = np.flatnonzero(np.asarray(column.is_valid()))
                vectors = np.zeros((0, dimension), np.float32)
                if len(present):
                    vectors = new_vectors(_present_page(batch, column, present, like))
                written.add(writer.write(batch, vectors, present))
        self._compare(like, self.open(target), written.hexdigest())
        return len(like.positions)

    def _compare(self, like: ParquetTable, new: ParquetTable, vectors: str) -> None:
        """Compare a file that was written with the one it was made from, all columns, a row group at a time."""
        others = [name for name in like.schema.names if name != like.vector]
        stored = _Fingerprint()
        number = 0
        for number, batch in enumerate(row_groups(like, others), start=1):
            if number > new.file.metadata.num_row_groups:
                break
            group = new.file.read_row_group(number - 1)
            stored.add(group.column(like.vector))
            for name in others:
                column = batch.column(batch.schema.get_field_index(name))
                if not _same(column, group.column(name)):
                    raise VerificationError(f"{like.path}: column {name} was not read back as it was")
        if number != new.file.metadata.num_row_groups or like.schema.names != new.schema.names:
            raise VerificationError(f"{like.path}: its columns or row groups were not read back as they were")
        if stored.hexdigest() != vectors:
            raise VerificationError(f"{like.path}: the new vectors were not read back as they were written")


class _Fingerprint:
    """A SHA-256 of a column of vectors, bit by bit as the file stores them, and of which are missing."""

    def __init__(self) -> None:
        self._values, self._valid = hashlib.sha256(), hashlib.sha256()

    def add(self, column: Any) -> None:
        """Add the vectors of an Arrow array or a chunked one; how they are divided does not matter."""
        for chunk in getattr(column, "chunks", [column]):
            storage = getattr(chunk, "storage", chunk)
            self._valid.update(np.ascontiguousarray(storage.is_valid()).data)
            values = storage.flatten().to_numpy(zero_copy_only=False)  # without those of missing vectors
            self._values.update(np.ascontiguousarray(values).view(np.uint8).data)

    def hexdigest(self) -> str:
        """128 hexadecimal digits."""
        return self._values.hexdigest() + self._valid.hexdigest()


def _present_page(batch: Any, column: Any, present: Any, like: ParquetTable) -> Page:
    """The vectors of a batch and their texts, without rows that have no vector."""
    texts: list[str | None] = [None] * len(present)
    if like.text:
        texts = batch.column(batch.schema.get_field_index(like.text)).take(pa.array(present)).to_pylist()
    vectors = numbers_of(column.drop_null(), like.dimension or 0)
    return Page([""] * len(present), vectors, texts, [None] * len(present))


def _same(old: Any, new: Any) -> bool:
    """Whether two columns hold the same values, NaN being one."""
    return pa.chunked_array([old]).equals(new) or repr(old.to_pylist()) == repr(new.to_pylist())
