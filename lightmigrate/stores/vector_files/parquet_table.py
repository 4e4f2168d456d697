"""The records of a Parquet file, read a batch at a time. Loads pyarrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.errors import DamagedCollectionError
from lightmigrate.stores.base import Metric, Page
from lightmigrate.stores.vector_files.parquet_columns import (
    ParquetColumns,
    is_bytes,
    lengths_of,
    numbers_of,
    storage_of,
    unreadable,
)
from lightmigrate.stores.vector_files.parquet_records import page_of
from lightmigrate.stores.vector_files.search import exact_nearest
from lightmigrate.stores.vector_files.table import PAGE, Nearest, Options
from lightmigrate.vectors import Vectors


class _Reading:
    """A row group that is read from its first row on, a batch at a time, so that a scan reads it once.

    Attributes:
        group: its number.
        start: the row of the file at which the present batch begins.
    """

    def __init__(self, group: int, batches: Iterator[Any], first: int) -> None:
        self.group, self.start = group, first
        self._batches = batches
        self._batch: Any = None

    def take(self, wanted: Any) -> list[Any]:
        """Rows with these numbers, which rise and none of which is before the present batch."""
        picked = []
        while len(wanted):
            if self._batch is None:
                self._batch = next(self._batches)
            here = wanted[wanted < self.start + len(self._batch)]
            if len(here):
                picked.append(self._batch.take(pa.array(here - self.start)))
                wanted = wanted[len(here) :]
            if len(wanted):
                self.start += len(self._batch)
                self._batch = None
        return picked


class ParquetTable:
    """See `table.Table`.

    Attributes:
        columns: of the file.
        file: the open file.
        schema: its Arrow schema.
        vector: the column of vectors.
        id: the column of ids; empty where a record is known by its row number.
        text: the column of texts; empty where there is none.
        positions: the row of the file that holds each record; a row without a vector is none.
        missing: the rows of the file without a vector.
    """

    metric: Metric | None = None
    lossy = ""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._readings: dict[tuple[str, ...], _Reading] = {}
        self.columns = ParquetColumns(path, options)
        self.file, self.schema = self.columns.file, self.columns.schema
        self.vector, self.id, self.text = self.columns.vector, self.columns.id, self.columns.text
        self._numbers = self.columns.number_type
        try:
            total = self.file.metadata.num_rows
            self.dimension, self.missing = self._vector_shape()
            self.positions: Sequence[int] = range(total)
            if len(self.missing):
                self.positions = np.delete(np.arange(total), self.missing).tolist()
            self.ids = self._unique_ids(options)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(path, error) from None

    def _vector_shape(self) -> tuple[int | None, Sequence[int]]:
        """The length of the vectors, and the rows without one."""
        fixed = self.columns.dimension
        missing: list[int] = []
        lengths: set[int] = set() if fixed is None else {fixed}
        if fixed is not None and self._has_no_nulls():
            return fixed, missing
        start = 0
        for batch in self.columns.batches(PAGE, columns=[self.vector]):
            column = storage_of(batch.column(0))
            missing += (np.flatnonzero(~np.asarray(column.is_valid())) + start).tolist()
            if fixed is None:
                lengths |= set(lengths_of(column, self._numbers).tolist())
            start += len(column)
        if len(lengths) > 1:
            raise self.columns.several_lengths(sorted(lengths))
        return (lengths.pop() if lengths else None), missing

    def _has_no_nulls(self) -> bool:
        metadata = self.file.metadata
        prefix = f"{self.vector}."
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            columns = [group.column(place) for place in range(group.num_columns)]
            for column in columns:
                if f"{column.path_in_schema}.".startswith(prefix) and (
                    column.statistics is None or not column.statistics.has_null_count or column.statistics.null_count
                ):
                    return False
        return True

    def _unique_ids(self, options: Options) -> Sequence[str]:
        """The ids, from the column of ids where each has one of its own."""
        if self.id:
            ids: list[str | None] = []
            for batch in self.file.iter_batches(PAGE, columns=[self.id]):
                ids += [None if value is None else str(value) for value in batch.column(0).to_pylist()]
            chosen = [ids[row] for row in self.positions]
            known = [record for record in chosen if record is not None]
            if len(set(known)) == len(chosen):
                return known
            if options.id:
                raise DamagedCollectionError(
                    f"{self.path}: column {self.id} has {len(set(known))} different ids for {len(chosen)} records"
                )
        self.id = ""
        return [str(row) for row in range(len(self.positions))]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The types of its columns without the length of the vectors, and the metadata of the file."""
        columns = {field.name: str(field.type) for field in self.schema if field.name != self.vector}
        kind = self.columns.vector_type
        kind = f"bytes of {self._numbers.name}" if is_bytes(kind) else str(kind.value_type)
        return {"format": "parquet", "columns": columns, "vector": self.vector, "type": kind, "id": self.id}

    @cached_property
    def payload_columns(self) -> list[str]:
        """Names of all other columns."""
        return [field.name for field in self.schema if field.name not in (self.vector, self.id, self.text)]

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads. Reads the row groups that hold them, a batch at a time."""
        wanted = np.asarray([self.positions[row] for row in rows], np.int64)
        order = np.argsort(wanted, kind="stable")
        columns = tuple(name for name in self.schema.names if vectors or name != self.vector)
        parts = [self._batch_page(batch, vectors) for batch in self._picked(wanted[order], columns)]
        joined = Page.joined(parts)
        if not len(joined):
            return Page([], np.zeros((0, (self.dimension or 0) if vectors else 0), np.float32), [], [])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        picked = joined.rows(back.tolist())
        return Page([self.ids[row] for row in rows], picked.vectors, picked.texts, picked.payloads)

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given; only reads that column."""
        wanted = np.asarray([self.positions[row] for row in rows], np.int64)
        order = np.argsort(wanted, kind="stable")
        vectors = np.zeros((len(wanted), self.dimension or 0), np.float32)
        if len(wanted):
            batches = self._picked(wanted[order], (self.vector,))
            parts = [numbers_of(batch.column(0), vectors.shape[1], self._numbers) for batch in batches]
            vectors[order] = np.concatenate(parts)
        return vectors

    def batches_at(self, rows: Any, columns: Sequence[str]) -> list[Any]:
        """Some columns of the rows of the file with these numbers, which rise, as record batches; only reads."""
        if columns:
            return self._picked(np.asarray(rows, np.int64), tuple(columns))
        return [pa.record_batch({"": pa.nulls(len(rows))})]

    def _picked(self, wanted: Any, columns: tuple[str, ...]) -> list[Any]:
        """The rows of the file with these numbers, which rise, as record batches."""
        picked, first = [], 0
        with self._lock:
            for number in range(self.file.metadata.num_row_groups):
                count = self.file.metadata.row_group(number).num_rows
                inside = wanted[(wanted >= first) & (wanted < first + count)]
                if len(inside):
                    picked += self._reading(number, first, columns, int(inside[0])).take(inside)
                first += count
        return picked

    def _reading(self, group: int, first: int, columns: tuple[str, ...], row: int) -> _Reading:
        """A reading of a row group that has not passed a row yet: the one that goes on, or a new one."""
        known = self._readings.get(columns)
        if known is None or known.group != group or known.start > row:
            batches = self.file.iter_batches(PAGE, row_groups=[group], columns=list(columns))
            known = self._readings[columns] = _Reading(group, batches, first)
        return known

    def _batch_page(self, batch: Any, vectors: bool) -> Page:
        numbers = np.zeros((len(batch), 0), np.float32)
        if vectors:
            numbers = numbers_of(batch.column(self.vector), self.dimension or 0, self._numbers)
        return page_of(batch, numbers, [""] * len(batch), self.text, self.payload_columns)

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows, by comparing with all."""
        return exact_nearest(self, queries, k, metric)
