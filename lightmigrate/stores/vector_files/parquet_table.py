"""The records of a Parquet file, read a batch at a time. Loads pyarrow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from lightmigrate.errors import DamagedCollectionError
from lightmigrate.stores.base import Metric, Page, Payload
from lightmigrate.stores.vector_files.arrow_values import to_json
from lightmigrate.stores.vector_files.search import exact_nearest
from lightmigrate.stores.vector_files.table import PAGE, Nearest, Options
from lightmigrate.vectors import Vectors

# Names of columns in order of preference, where the caller names none.
_IDS = ("id", "_id", "ids", "uuid", "doc_id", "chunk_id", "node_id", "key")
_TEXTS = ("text", "document", "content", "page_content", "chunk", "body")
_VECTORS = ("embedding", "embeddings", "vector", "vectors")


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
        file: the open file.
        schema: its Arrow schema.
        vector: the column of vectors.
        id: the column of ids; empty where a record is known by its row number.
        text: the column of texts; empty where there is none.
        positions: the row of the file that holds each record; a row without a vector is none.
    """

    metric: Metric | None = None
    lossy = ""

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._readings: dict[tuple[str, ...], _Reading] = {}
        try:
            self.file = pq.ParquetFile(path)
            self.schema = self.file.schema_arrow
            self.vector = self._column(options.vector, "vector", _VECTORS, _is_vector, needed=True)
            self.text = self._column(options.text, "text", _TEXTS, _is_text)
            self.id = self._column(options.id, "id", _IDS, _is_id)
            total = self.file.metadata.num_rows
            self.dimension, missing = self._vector_shape()
            self.positions: Sequence[int] = range(total)
            if len(missing):
                self.positions = np.delete(np.arange(total), missing).tolist()
            self.ids = self._unique_ids(options)
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DamagedCollectionError(f"{path} cannot be read as Parquet: {reason}") from None

    def _column(
        self, given: str, what: str, usual: Sequence[str], fits: Callable[[Any], bool], *, needed: bool = False
    ) -> str:
        names = [field.name for field in self.schema if fits(field.type)]
        if given:
            if given not in names:
                raise DamagedCollectionError(f"{self.path} has no column {given} that can hold the {what}")
            return given
        found = [name for name in usual if name in names]
        if needed and not found and len(names) == 1:
            found = names
        if needed and (not found or (len(names) > 1 and len(found) != 1)):
            listed = ", ".join(names) or "none"
            raise DamagedCollectionError(
                f"{self.path} has {len(names)} columns of vectors ({listed}) and one is needed: name it, "
                f"'file://{self.path}?vector=COLUMN'"
            )
        return found[0] if found else ""

    def _vector_shape(self) -> tuple[int | None, Sequence[int]]:
        """The length of the vectors, and the rows without one."""
        kind = self.schema.field(self.vector).type
        fixed = _fixed_size(kind)
        missing: list[int] = []
        lengths: set[int] = set() if fixed is None else {fixed}
        if fixed is not None and self._has_no_nulls():
            return fixed, missing
        start = 0
        for batch in self.file.iter_batches(PAGE, columns=[self.vector]):
            column = _storage(batch.column(0))
            valid = np.asarray(column.is_valid())
            missing += (np.flatnonzero(~valid) + start).tolist()
            if fixed is None:
                lengths |= {int(length) for length in np.unique(np.asarray(column.drop_null().value_lengths()))}
            start += len(column)
        if len(lengths) > 1:
            listed = ", ".join(map(str, sorted(lengths)[:5]))
            raise DamagedCollectionError(
                f"{self.path}: the vectors in column {self.vector} have {len(lengths)} lengths ({listed})"
            )
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
        kind = str(_value_type(self.schema.field(self.vector).type))
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
            vectors[order] = np.concatenate([numbers_of(batch.column(0), vectors.shape[1]) for batch in batches])
        return vectors

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
        by_name = {name: to_json(batch.column(name)) for name in self.payload_columns}
        payloads: list[Payload | None] = []
        for row in range(len(batch)):
            fields = {name: values[row] for name, values in by_name.items() if values[row] is not None}
            payloads.append(fields or None)
        texts: list[str | None] = batch.column(self.text).to_pylist() if self.text else [None] * len(batch)
        numbers = np.zeros((len(batch), 0), np.float32)
        if vectors:
            numbers = numbers_of(batch.column(self.vector), self.dimension or 0)
        return Page([""] * len(batch), numbers, texts, payloads)

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows, by comparing with all."""
        return exact_nearest(self, queries, k, metric)


def numbers_of(column: Any, dimension: int) -> Vectors:
    """The vectors of an Arrow array without missing ones, float32 `(n, dimension)`."""
    flat = _storage(column).flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(column), dimension), np.float32)


def _storage(column: Any) -> Any:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _fixed_size(kind: Any) -> int | None:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return int(kind.list_size) if types.is_fixed_size_list(kind) else None


def _value_type(kind: Any) -> Any:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return kind.value_type


def _is_vector(kind: Any) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return isinstance(kind, pa.FixedShapeTensorType) and len(kind.shape) == 1 and _is_vector(kind.storage_type)
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed and types.is_floating(kind.value_type))


def _is_text(kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_id(kind: Any) -> bool:
    return bool(_is_text(kind) or types.is_integer(kind))
