"""The rows of a Parquet file without a vector, which are no records, on their way to another file. Loads pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.stores.vector_files.parquet_table import ParquetTable
from lightmigrate.stores.vector_files.table import PAGE


class EmptyRows:
    """The rows without a vector, which are written between records in the order of their file.

    Args:
        like: the file that has them.
        schema: of the other file.
        ids: the ids of the records that are written; a row whose id has a vector by now is one of these.
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
        names = [field.name for field in self._schema if field.name != self._like.vector]
        vector = self._schema.field(self._like.vector).type
        for columns in self._read(names, int(np.searchsorted(self._rows, row))):
            arrays = {**{name: columns[name] for name in names}, self._like.vector: _nulls(len(columns), vector)}
            yield pa.table([arrays[field.name] for field in self._schema], schema=self._schema)
            self._written += len(columns)

    def _read(self, names: Sequence[str], end: int) -> Iterator[Any]:
        """Some columns of the rows that were not written yet up to the `end`-th, as record batches."""
        for first in range(self._written, end, PAGE):
            yield from self._like.batches_at(self._rows[first : min(first + PAGE, end)], names)


def _nulls(count: int, kind: Any) -> Any:
    """Missing vectors of an Arrow type."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(count, kind.storage_type))
    return pa.nulls(count, kind)
