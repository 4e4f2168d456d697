"""The rows of a Parquet file without a vector, which are no records, on their way to another file. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.vector_files.parquet_table import ParquetTable
from lightmigrate.stores.vector_files.table import PAGE


class EmptyRows:
    """The rows without a vector, which are written between records in the order of their file.

    Args:
        like: the file that has them.
        schema: of the other file.
        ids: the ids of the records that are written; a row whose id has a vector by now is one of these.

    Raises:
        LightmigrateError: the other file has other columns.
    """

    def __init__(self, like: ParquetTable, schema: Any, ids: Sequence[str]) -> None:
        self._like, self._schema = like, schema
        self._rows = np.asarray(like.missing, np.int64)
        self._written = 0
        if like.id and len(self._rows):
            own = [
                record for column in self._read([like.id], len(self._rows)) for record in column[like.id].to_pylist()
            ]
            taken = {str(record) for record in own if record is not None}.intersection(ids)
            self._rows = self._rows[[record is None or str(record) not in taken for record in own]]

    def woven_into(self, table: Any, rows: Sequence[int]) -> Iterator[Any]:
        """Some records as a table, with the rows that stand before them in the file, part by part.

        Args:
            table: the records.
            rows: the row of the file that each record comes from; -1 for a new one.
        """
        start = 0
        for place, row in enumerate(rows):
            if self._written < len(self._rows) and row > self._rows[self._written]:
                yield table.slice(start, place - start)
                yield from self._until(row)
                start = place
        yield table.slice(start)

    def rest(self) -> Iterator[Any]:
        """The rows that were not written yet."""
        yield from self._until(self._like.file.metadata.num_rows)

    def _until(self, row: int) -> Iterator[Any]:
        """The next rows that stand before one of the file, as tables."""
        for columns in self._read(self._columns(), int(np.searchsorted(self._rows, row))):
            try:
                arrays = [_of_type(columns, field, self._like.vector) for field in self._schema]
            except pa.ArrowException:
                raise self._unlike() from None
            yield pa.table(arrays, schema=self._schema)
            self._written += len(columns)

    def _columns(self) -> list[str]:
        """Names of all columns but that of the vectors, which both files have."""
        own, other = set(self._like.schema.names), set(self._schema.names)
        if own != other:
            raise self._unlike()
        return [name for name in self._schema.names if name != self._like.vector]

    def _unlike(self) -> LightmigrateError:
        own, other = len(self._like.schema.names), len(self._schema.names)
        return LightmigrateError(
            f"{len(self._rows)} rows of {self._like.path.name} without a vector do not fit its backup, which has "
            f"{other} columns where it has {own}, or others: give it those of its backup first"
        )

    def _read(self, names: Sequence[str], end: int) -> Iterator[Any]:
        """Some columns of the rows that were not written yet up to the `end`-th, as record batches."""
        for first in range(self._written, end, PAGE):
            yield from self._like.batches_at(self._rows[first : min(first + PAGE, end)], names)


def _of_type(columns: Any, field: Any, vector: str) -> Any:
    """A column of a record batch as a field has it; missing values for the column of vectors."""
    if field.name == vector:
        return _nulls(len(columns), field.type)
    column = columns[field.name]
    return column if column.type == field.type else column.cast(field.type)


def _nulls(count: int, kind: Any) -> Any:
    """Missing vectors of an Arrow type."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(count, kind.storage_type))
    return pa.nulls(count, kind)
