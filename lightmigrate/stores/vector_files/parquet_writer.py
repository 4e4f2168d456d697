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
from lightmigrate.stores.vector_files.parquet_table import ParquetTable
from lightmigrate.stores.vector_files.table import PAGE, Rows, pages_of
from lightmigrate.vectors import Vectors

# A row group of the source is written as several where it would take more memory than this.
_GROUP_BYTES = 256 * 2**20


def write_vectors(path: Path, rows: Rows, like: ParquetTable) -> None:
    """Write the file again with other vectors; the other columns are copied as they are. Writes."""
    positions = np.asarray(like.positions, np.int64)
    with changed_vectors(path, like, rows.dimension) as writer:
        start = 0
        for batch in row_groups(like):
            first, last = np.searchsorted(positions, [start, start + len(batch)])
            writer.write(batch, rows.vectors_of(range(int(first), int(last))), positions[first:last] - start)
            start += len(batch)


def changed_vectors(path: Path, like: ParquetTable, dimension: int | None) -> VectorWriter:
    """Open a file to be written like another one, with other vectors. A context manager that closes it. Writes."""
    return VectorWriter(path, like, _schema(like, dimension))


class VectorWriter:
    """Writes the row groups of a file with other vectors in them. See `changed_vectors`."""

    def __init__(self, path: Path, like: ParquetTable, schema: Any) -> None:
        self._schema = schema
        self._place = schema.get_field_index(like.vector)
        self._writer = _writer(path, schema, like)

    def __enter__(self) -> VectorWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def write(self, batch: Any, vectors: Vectors, present: Any) -> Any:
        """Write a row group; its other columns are copied as they are.

        Args:
            batch: all columns of the row group that it is like.
            vectors: the new ones, float32 `(n, d)`, without those that are missing.
            present: the n rows of the batch that have one.

        Returns:
            The column of vectors as it was written.
        """
        column = _vector_array(vectors, present, len(batch), self._schema.field(self._place).type)
        columns = [column if number == self._place else batch.column(number) for number in range(batch.num_columns)]
        self._writer.write(pa.table(columns, schema=self._schema))
        return column


def write_records(path: Path, rows: Rows, like: ParquetTable) -> None:
    """Write a file of other records with the same columns; rows without a vector are left out. Writes.

    Raises:
        LightmigrateError: the columns cannot hold a record.
    """
    if not like.id and list(rows.ids) != [str(row) for row in range(len(rows.ids))]:
        raise LightmigrateError(
            f"{like.path.name} has no column of ids, so its rows are known by their number: rows can only be added at "
            "its end; add a column id"
        )
    schema = _schema(like, rows.dimension if rows.dimension is not None else like.dimension)
    groups = like.file.metadata.num_row_groups
    size = max(PAGE, like.file.metadata.row_group(0).num_rows if groups else PAGE)
    with _writer(path, schema, like) as writer:
        waiting: list[Any] = []
        for page in pages_of(rows):
            waiting.append(_table(page, schema, like))
            if sum(map(len, waiting)) >= size or sum(table.nbytes for table in waiting) > _GROUP_BYTES:
                writer.write(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write(pa.concat_tables(waiting))


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
                columns.append(_vector_array(page.vectors, np.arange(len(page)), len(page), field.type))
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


def row_groups(like: ParquetTable, columns: list[str] | None = None) -> Iterator[Any]:
    """Some columns or all, a row group at a time; a large one in parts, the same for whatever columns."""
    metadata = like.file.metadata
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        parts = -(-group.total_byte_size // _GROUP_BYTES)
        size = max(1, -(-group.num_rows // max(1, parts)))
        yield from like.file.iter_batches(size, row_groups=[number], columns=columns)


def _vector_array(vectors: Vectors, present: Any, count: int, kind: Any) -> Any:
    """Vectors as an Arrow array of `count` values, of which those that are not `present` are missing."""
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    width = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1).astype(storage.value_type.to_pandas_dtype()))
    if pa.types.is_fixed_size_list(storage):
        full = pa.FixedSizeListArray.from_arrays(flat, type=storage)
    elif pa.types.is_large_list(storage):
        full = pa.LargeListArray.from_arrays(np.arange(len(vectors) + 1) * width, flat, type=storage)
    else:
        offsets = (np.arange(len(vectors) + 1) * width).astype(np.int32)
        full = pa.ListArray.from_arrays(offsets, flat, type=storage)
    if len(present) < count:
        places = np.full(count, -1, np.int64)
        places[present] = np.arange(len(present))
        full = full.take(pa.array(places, mask=places < 0))
    return pa.ExtensionArray.from_storage(kind, full) if isinstance(kind, pa.BaseExtensionType) else full


def _schema(like: ParquetTable, dimension: int | None) -> Any:
    """The schema of the other file, for vectors of a dimension."""
    old = like.schema.field(like.vector)
    kind = old.type
    if isinstance(kind, pa.FixedShapeTensorType):
        kind = pa.fixed_shape_tensor(kind.value_type, [dimension or kind.shape[0]], dim_names=kind.dim_names)
    elif pa.types.is_fixed_size_list(kind):
        kind = pa.list_(kind.value_field, dimension or kind.list_size)
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
