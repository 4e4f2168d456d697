"""The records of a Parquet file as pages, and a few of them without reading the whole file. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.stores.base import Page, Payload
from lightmigrate.stores.page import spread_rows
from lightmigrate.stores.vector_files.arrow_values import to_json
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns, unreadable
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.vectors import Vectors

# Rows of a row group that a sample is taken from, at least.
_READ = 2_048


def page_of(batch: Any, vectors: Vectors, ids: Sequence[str], text: str, payload: Sequence[str]) -> Page:
    """The rows of a record batch as a page.

    Args:
        batch: with the columns of texts and of payloads.
        vectors: of its rows, float32 `(n, d)`, or `(n, 0)`.
        ids: of its rows.
        text: the column of texts; empty for none.
        payload: the columns of payloads.
    """
    by_name = {name: to_json(batch.column(name)) for name in payload}
    payloads: list[Payload | None] = []
    for row in range(len(batch)):
        fields = {name: values[row] for name, values in by_name.items() if values[row] is not None}
        payloads.append(fields or None)
    texts: list[str | None] = batch.column(text).to_pylist() if text else [None] * len(batch)
    return Page(ids, vectors, texts, payloads)


def sample_of(path: Path, options: Options, name: str, n: int, seed: int) -> Page:
    """About n records of a file, from the beginning of one of its row groups; only reads that.

    Their ids are those of its column of ids, else `NAME:ROW`. Rows without a vector are left out.

    Raises:
        DamagedCollectionError: it cannot be read.
    """
    source = ParquetColumns(path, options)
    metadata = source.file.metadata
    counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    filled = [number for number, count in enumerate(counts) if count]
    if not filled:
        return Page([], np.zeros((0, 0), np.float32), [], [])
    group = filled[seed % len(filled)]
    size = min(counts[group], max(_READ, 4 * n))
    try:
        batch = next(source.batches(size, columns=source.schema.names, groups=[group]))
        rows = np.array(spread_rows(len(batch), n, seed), np.int64)
        return _records(source, batch.take(pa.array(rows)), name, sum(counts[:group]) + rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from None


def scan_of(
    path: Path, options: Options, name: str, size: int, start: int, *, vectors: bool
) -> Iterator[tuple[int, Page]]:
    """All records of a file from a row on, each page with the row of its last one; see `sample_of`. Only reads.

    Raises:
        DamagedCollectionError: it cannot be read.
    """
    source = ParquetColumns(path, options)
    first = 0
    try:
        for batch in source.batches(size, columns=source.schema.names):
            rows = np.arange(max(first, start), first + len(batch))
            page = _records(source, batch.slice(len(batch) - len(rows)), name, rows)
            first += len(batch)
            if len(page):
                kept = page.vectors if vectors else np.zeros((len(page), 0), np.float32)
                yield first - 1, page.with_vectors(kept)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from None


def _records(source: ParquetColumns, batch: Any, name: str, rows: Any) -> Page:
    vectors, present = source.vectors_in(batch.column(source.vector))
    batch = batch.filter(pa.array(present))
    payload = [column for column in source.schema.names if column not in (source.vector, source.id, source.text)]
    return page_of(batch, vectors, _ids(batch, source.id, name, rows[present]), source.text, payload)


def _ids(batch: Any, column: str, name: str, rows: Any) -> list[str]:
    numbers: list[str] = [f"{name}:{row}" for row in rows.tolist()]
    if not column:
        return numbers
    values = batch.column(column).to_pylist()
    return [number if value is None else str(value) for value, number in zip(values, numbers, strict=True)]
