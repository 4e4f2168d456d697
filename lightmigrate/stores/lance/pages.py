"""Read the rows of a version of a table as pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.stores.base import Page
from lightmigrate.stores.lance.layout import Layout, quoted
from lightmigrate.stores.lance.values import ids_of, payloads_of, vectors_of


def read_pages(
    dataset: Any,
    layout: Layout,
    column: str,
    size: int,
    *,
    vectors: bool = True,
    offset: int = 0,
    fragments: Sequence[Any] | None = None,
    nulls: bool = True,
) -> Iterator[Page]:
    """The rows that have a vector, in order, at most `size` at a time; only reads.

    Args:
        dataset: the version.
        layout: its columns.
        column: the vector column.
        size: rows held in memory at once.
        vectors: whether to read vectors.
        offset: number of rows to leave out, of those that have a vector.
        fragments: only rows of these; `None` for all.
        nulls: whether there are rows without a vector.
    """
    scanner = dataset.scanner(
        columns=columns_of(layout, column, vectors),
        filter=f"{quoted(column)} IS NOT NULL" if nulls else None,
        offset=offset or None,
        batch_size=size,
        scan_in_order=True,
        fragments=fragments,
    )
    for batch in scanner.to_batches():
        if batch.num_rows:
            yield page_of(batch, layout, column, vectors)


def read_ids(dataset: Any, layout: Layout, column: str, *, nulls: bool = True) -> Iterator[str]:
    """The ids of the rows that have a vector, in order; only reads. See `read_pages`."""
    scanner = dataset.scanner(
        columns=[layout.id.name], filter=f"{quoted(column)} IS NOT NULL" if nulls else None, scan_in_order=True
    )
    return (record for batch in scanner.to_batches() for record in ids_of(batch.column(0)))


def columns_of(layout: Layout, column: str, vectors: bool) -> list[str]:
    """Names of the columns that a page is made of."""
    others = [field.name for field in layout.payload]
    return [layout.id.name, *([layout.text] if layout.text else []), *others, *([column] if vectors else [])]


def page_of(rows: pa.RecordBatch, layout: Layout, column: str, vectors: bool) -> Page:
    """Rows that were read, as a page."""
    n = rows.num_rows
    return Page(
        ids=ids_of(rows.column(layout.id.name)),
        vectors=vectors_of(rows.column(column)) if vectors else np.zeros((n, 0), np.float32),
        texts=rows.column(layout.text).to_pylist() if layout.text else [None] * n,
        payloads=payloads_of([(field.name, rows.column(field.name)) for field in layout.payload], n),
    )


def take_page(
    dataset: Any, layout: Layout, column: str, rows: Sequence[int], *, vectors: bool = True, nulls: bool = True
) -> Page:
    """Some rows by number, those that have a vector; only reads. See `read_pages` for the rest."""
    if not len(rows):
        return Page([], np.zeros((0, 0), np.float32), [], [])
    table = dataset.take(list(rows), columns=columns_of(layout, column, vectors or nulls)).combine_chunks()
    pages = []
    for batch in table.to_batches():
        filled = batch.filter(batch.column(column).is_valid()) if nulls else batch
        if filled.num_rows:
            pages.append(page_of(filled, layout, column, vectors))
    return Page.joined(pages)
