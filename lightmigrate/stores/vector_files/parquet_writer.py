"""Write a Parquet file like another one, with other vectors or other records. Loads pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Page
from lightmigrate.stores.vector_files.arrow_values import from_json
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns, is_bytes
from lightmigrate.stores.vector_files.parquet_empty_rows import EmptyRows
from lightmigrate.stores.vector_files.parquet_rewrite import Block, rewrite_vectors
from lightmigrate.stores.vector_files.parquet_table import ParquetTable
from lightmigrate.stores.vector_files.row_ids import RowOf
from lightmigrate.stores.vector_files.table import PAGE, Rows, pages_of
from lightmigrate.vectors import Vectors

# Records that are written at once take no more memory than this.
_GROUP_BYTES = 256 * 2**20

# Rows whose vectors are written at once.
_BLOCK = 4_096


def write_vectors(path: Path, rows: Rows, like: ParquetTable) -> None:
    """Write the file again with other vectors; the other columns are copied as they are stored. Writes."""
    positions = np.asarray(like.positions, np.int64)
    metadata = like.file.metadata
    starts = np.cumsum([0, *(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))])

    def blocks(group: int) -> Iterator[Block]:
        for start in range(int(starts[group]), int(starts[group + 1]), _BLOCK):
            end = min(start + _BLOCK, int(starts[group + 1]))
            first, last = np.searchsorted(positions, [start, end])
            present = np.zeros(end - start, np.bool_)
            present[positions[first:last] - start] = True
            yield rows.vectors_of(range(int(first), int(last))), present

    dimension = rows.dimension or like.dimension or 0
    rewrite_vectors(like.columns, path, schema_for(like.columns, dimension), dimension, blocks)


def write_records(path: Path, rows: Rows, like: ParquetTable, newest: ParquetTable) -> None:
    """Write a file of other records with the same columns. Writes.

    Args:
        path: of the new file; of another name it is another collection's, and gets records alone.
        rows: its records.
        like: the file whose settings are copied.
        newest: the file whose rows without a vector, which are no records, stay in the new one.

    Raises:
        LightmigrateError: the columns cannot hold a record.
    """
    if not like.id and any(record != str(row) for row, record in enumerate(rows.ids)):
        raise LightmigrateError(
            f"{like.path.name} has no column of ids, so its rows are known by their number: rows can only be added at "
            "its end; add a column id"
        )
    schema = schema_for(like.columns, rows.dimension if rows.dimension is not None else like.dimension)
    groups = like.file.metadata.num_row_groups
    size = max(PAGE, like.file.metadata.row_group(0).num_rows if groups else PAGE)
    with _writer(path, schema, like) as writer:
        waiting: list[Any] = []
        for table in _tables(rows, schema, like, newest if path.name == like.path.name else None):
            waiting.append(table)
            if sum(map(len, waiting)) >= size or sum(table.nbytes for table in waiting) > _GROUP_BYTES:
                writer.write(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write(pa.concat_tables(waiting))


def _tables(rows: Rows, schema: Any, like: ParquetTable, newest: ParquetTable | None) -> Iterator[Any]:
    """The rows of the new file, part by part, with those of another that have no vector."""
    if newest is None or not len(newest.missing):
        yield from (_table(page, schema, like) for page in pages_of(rows))
        return
    empty, row_of = EmptyRows(newest, schema, rows.ids), RowOf(newest.ids)
    for page in pages_of(rows):
        known = row_of.among(page.ids)
        places = [newest.positions[known[record]] if record in known else -1 for record in page.ids]
        yield from empty.woven_into(_table(page, schema, like), places)
    yield from empty.rest()


def _table(page: Page, schema: Any, like: ParquetTable) -> Any:
    known = set(like.payload_columns)
    unknown = {key for payload in page.payloads for key in payload or {}} - known
    if unknown or (not like.text and any(text is not None for text in page.texts)):
        what = "text" if not unknown else f"field {sorted(unknown)[0]}"
        raise LightmigrateError(f"{like.path.name} has no column for the {what} of a record: add it to the file first")
    columns = []
    try:
        for field in schema:
            if field.name == like.vector:
                columns.append(_vector_array(page.vectors, field.type, like.columns.number_type))
            elif field.name == like.id:
                whole = pa.types.is_integer(field.type)
                columns.append(pa.array([int(record) if whole else record for record in page.ids], field.type))
            elif field.name == like.text:
                columns.append(pa.array(page.texts, field.type))
            else:
                columns.append(from_json([(payload or {}).get(field.name) for payload in page.payloads], field.type))
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise LightmigrateError(
            f"a record does not fit the columns of {like.path.name} ({type(error).__name__}): change its fields"
        ) from None
    return pa.table(columns, schema=schema)


def _vector_array(vectors: Vectors, kind: Any, numbers: np.dtype[Any]) -> Any:
    """Vectors as an Arrow array."""
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    width = vectors.shape[1]
    stored = np.ascontiguousarray(vectors).astype(numbers, copy=False)
    if is_bytes(storage):
        return pa.array([row.tobytes() for row in stored], storage)
    flat = pa.array(stored.reshape(-1))
    if pa.types.is_fixed_size_list(storage):
        full = pa.FixedSizeListArray.from_arrays(flat, type=storage)
    elif pa.types.is_large_list(storage):
        full = pa.LargeListArray.from_arrays(np.arange(len(vectors) + 1) * width, flat, type=storage)
    else:
        offsets = (np.arange(len(vectors) + 1) * width).astype(np.int32)
        full = pa.ListArray.from_arrays(offsets, flat, type=storage)
    return pa.ExtensionArray.from_storage(kind, full) if isinstance(kind, pa.BaseExtensionType) else full


def schema_for(like: ParquetColumns, dimension: int | None) -> Any:
    """The schema of the other file, for vectors of a dimension."""
    old = like.schema.field(like.vector)
    kind = old.type
    if isinstance(kind, pa.FixedShapeTensorType):
        kind = pa.fixed_shape_tensor(kind.value_type, [dimension or kind.shape[0]], dim_names=kind.dim_names)
    elif pa.types.is_fixed_size_list(kind):
        kind = pa.list_(kind.value_field, dimension or kind.list_size)
    elif pa.types.is_fixed_size_binary(kind) and dimension:
        kind = pa.binary(dimension * like.number_type.itemsize)
    fields = [old.with_type(kind) if field.name == like.vector else field for field in like.schema]
    metadata = dict(like.schema.metadata or {})
    if b"huggingface" in metadata and dimension:
        metadata[b"huggingface"] = _with_length(metadata[b"huggingface"], like.vector, dimension)
    return pa.schema(fields, metadata=metadata or None)


def _with_length(described: bytes, column: str, dimension: int) -> bytes:
    """What the `datasets` library keeps of its columns, with the new length of the vectors."""
    try:
        fields = json.loads(described)
        feature = fields["info"]["features"][column]
        if feature.get("length", -1) in (-1, dimension):
            return described
        feature["length"] = dimension
    except (ValueError, KeyError, TypeError, AttributeError):
        return described
    return json.dumps(fields).encode()


def _writer(path: Path, schema: Any, like: ParquetTable) -> Any:
    """A writer with the compression and the version of the other file."""
    metadata = like.file.metadata
    codecs: dict[str, str] = {}
    if metadata.num_row_groups:
        group = metadata.row_group(0)
        for number in range(group.num_columns):
            column = group.column(number)
            codecs[column.path_in_schema] = column.compression.lower().replace("uncompressed", "none")
        sorting = group.sorting_columns or None
    else:
        sorting = None
    compression = codecs if _same_leaves(schema, like) else next(iter(codecs.values()), "snappy")
    return _Writer(
        pq.ParquetWriter(
            path,
            schema,
            compression=compression or "snappy",
            version=metadata.format_version if metadata.format_version in ("1.0", "2.4", "2.6") else "2.6",
            sorting_columns=sorting,
        )
    )


def _same_leaves(schema: Any, like: ParquetTable) -> bool:
    """Whether the columns are stored under the same names as in the other file, which older writers named otherwise."""
    names = {like.file.metadata.schema.column(number).path for number in range(len(like.file.metadata.schema))}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema):
        pass
    written = pq.ParquetFile(pa.BufferReader(sink.getvalue())).metadata.schema
    return names == {written.column(number).path for number in range(len(written))}


class _Writer:
    """Writes each table as one row group."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def write(self, table: Any) -> None:
        """Write a row group."""
        self._writer.write_table(table, row_group_size=max(1, len(table)))
