"""Parquet files that together are one collection; see `unit_folder`. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.errors import VerificationError
from lightmigrate.objects.path import readable
from lightmigrate.stores.base import Page
from lightmigrate.stores.units import Converted
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns, unreadable
from lightmigrate.stores.vector_files.parquet_records import sample_of, scan_of
from lightmigrate.stores.vector_files.parquet_rewrite import Block, rewrite_vectors
from lightmigrate.stores.vector_files.parquet_writer import schema_for
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.vectors import Vectors

# What engines write beside their files to sum them up: it would contradict files with other vectors.
_SUMMARIES = ("_metadata", "_common_metadata", "_delta_log", ".hoodie")
_ICEBERG = ".metadata.json"

# Rows that are converted at once.
_BLOCK = 4_096

# Rows of each row group that are also read as any application reads them.
_LOOKED_AT = 64


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
        if not set(path.parts) & set(_SUMMARIES) and not path.name.endswith(_ICEBERG):
            return None
        return (
            "sums up the columns of the other files and would contradict them: a table of Delta, Iceberg or Hudi "
            "cannot be migrated as files; a _metadata file can be deleted, readers do without"
        )

    def is_unit(self, path: Path) -> bool:
        """See `UnitFormat`."""
        return not path.name.startswith("_")

    def rows(self, path: Path) -> int:
        """See `UnitFormat`; only the footer is read."""
        try:
            return int(pq.read_metadata(readable(path)).num_rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(path, error) from None

    def sample(self, path: Path, name: str, n: int, seed: int) -> Page:
        """See `UnitFormat`: some rows at the beginning of a row group are decoded."""
        return sample_of(path, self._options, name, n, seed)

    def scan(self, path: Path, name: str, size: int, start: int, *, vectors: bool) -> Iterator[tuple[int, Page]]:
        """See `UnitFormat`."""
        return scan_of(path, self._options, name, size, start, vectors=vectors)

    def beside(self, path: Path) -> list[str]:
        """See `UnitFormat`: none."""
        return []

    def convert(
        self, path: Path, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """See `UnitFormat`."""
        source = ParquetColumns(path, self._options)
        columns = [source.vector, *([source.text] if texts and source.text else [])]
        count, first = 0, dict[int, Vectors]()

        def blocks(group: int) -> Iterator[Block]:
            nonlocal count
            for batch in source.batches(_BLOCK, columns=columns, groups=[group]):
                old, present = source.vectors_in(batch.column(source.vector))
                new = np.zeros((0, dimension), np.float32)
                if len(old):
                    new = new_vectors(_page(old, batch, present, source, texts=texts))
                count += len(new)
                looked_at = int(np.count_nonzero(present[:_LOOKED_AT]))
                first.setdefault(group, new[:looked_at].astype(source.number_type))
                yield new, present

        sha256 = rewrite_vectors(source, target, schema_for(source, dimension), dimension, blocks)
        self._require_readable(source, target, first)
        return Converted(count, sha256)

    def _require_readable(self, source: ParquetColumns, target: Path, first: Mapping[int, Vectors]) -> None:
        """Look at a file that was written as everybody will: its columns, and the first vectors of each row group."""
        new = ParquetColumns(target, self._options)
        old, now = source.file.metadata, new.file.metadata
        numbers = range(old.num_row_groups)
        if (
            source.schema.names != new.schema.names
            or old.num_rows != now.num_rows
            or [old.row_group(number).num_rows for number in numbers]
            != [now.row_group(number).num_rows for number in range(now.num_row_groups)]
        ):
            raise VerificationError(f"{source.path}: its columns or row groups were not read back as they were")
        for number in numbers:
            batch = next(new.batches(_LOOKED_AT, columns=[new.vector], groups=[number]), None)
            read = np.zeros((0, 0), np.float32) if batch is None else new.vectors_in(batch.column(0))[0]
            expected = first.get(number, read).astype(np.float32)
            here = expected[: len(read)]  # a reader may give fewer rows than it was asked for
            if len(expected) and not (len(here) and np.array_equal(read[: len(here)], here, equal_nan=True)):
                raise VerificationError(f"{source.path}: the new vectors were not read back as they were written")


def _page(vectors: Vectors, batch: Any, present: Any, source: ParquetColumns, *, texts: bool) -> Page:
    """The vectors of a batch and their texts, without rows that have no vector."""
    stored: list[str | None] = [None] * len(vectors)
    if texts and source.text:
        stored = batch.column(source.text).filter(pa.array(present)).to_pylist()
    return Page([""] * len(vectors), vectors, stored, [None] * len(vectors))
