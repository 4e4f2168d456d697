"""One collection in a Lance table: the rows whose vector column is not null, in the newest version or in a kept one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page, WrittenRecords
from lightmigrate.stores.checks import require_columns, require_dimension, require_unused
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.lance.changes import written_between
from lightmigrate.stores.lance.exhaustive import search
from lightmigrate.stores.lance.indexes import NAMES, IndexSpec, indexes_of
from lightmigrate.stores.lance.layout import Layout
from lightmigrate.stores.lance.model import recorded_model
from lightmigrate.stores.lance.pages import read_ids, read_pages, take_page
from lightmigrate.stores.lance.table import Dataset, Table
from lightmigrate.stores.lance.values import as_ids, as_vectors_column, decode, ids_of
from lightmigrate.stores.page import sample_ranges
from lightmigrate.vectors import Vectors

# LanceDB's default distance, where no index says another one.
DEFAULT_METRIC: Metric = "l2"

# Rows that a search without an index reads at once.
_BLOCK = 4000

# What LanceDB searches by default, and how many times as many candidates are read again from compressed indexes.
_PROBES, _REFINE = 20, 10


class LanceCollection(CollectionDefaults):
    """See `stores.base.Collection`.

    Args:
        table: the table.
        address: of the collection or backup.
        column: the vector column.
        version: of the table, for a backup; `None` follows the newest one.
    """

    def __init__(self, table: Table, address: Address, column: str, version: int | None = None) -> None:
        self.table, self.column = table, column
        self._address, self._version = address, version
        self._kept = None if version is None else table.at(version)
        self._specs: tuple[int, list[IndexSpec]] | None = None
        layout = self.layout
        layout.vector(column)
        _ = layout.id
        self.opened_id = self.id

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def is_backup(self) -> bool:
        """Whether it is a kept version."""
        return self._kept is not None

    @property
    def dataset(self) -> Dataset:
        """The version of the table that is read."""
        return self.table.latest() if self._kept is None else self._kept

    @property
    def layout(self) -> Layout:
        """The columns of the table."""
        return self.table.layout(self.dataset)

    @property
    def id(self) -> str:
        """Identifies the vectors: the folder, Lance's number of the column, and the migration that made it."""
        number, token = self.made
        return f"{self.table.path.stat().st_ino}.{'' if number is None else number}" + (f".{token}" if token else "")

    @property
    def made(self) -> tuple[int | None, str]:
        """Lance's number of the column, and the migration that made it; see `Layout.token`."""
        dataset = self.dataset
        field = dataset.lance_schema.field(self.column)
        return (None, "") if field is None else (field.id(), self.table.layout(dataset).token(self.column))

    def indexes(self) -> list[IndexSpec]:
        """The vector indexes on its column; only reads."""
        dataset = self.dataset
        if self._specs is None or self._specs[0] != dataset.version:
            self._specs = dataset.version, indexes_of(dataset, self.column)
        return self._specs[1]

    @property
    def metric(self) -> Metric:
        """The distance of its index, or LanceDB's default."""
        return next((spec.metric for spec in self.indexes()), DEFAULT_METRIC)

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return self.layout.dimension(self.column)

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads."""
        model = recorded_model(self.dataset.schema, self.column)
        return facts_at(self._address, self.count(), self.dimension, self.metric, model, self.id)

    def count(self) -> int:
        """Number of rows with a vector."""
        dataset = self.dataset
        return int(dataset.count_rows()) - self.table.nulls(dataset, self.column)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records of one version of the table, the newest when the scan begins, in order; only reads."""
        dataset, offset = self.dataset, 0
        if after is not None:
            version, offset = map(int, after.split("."))
            if version != dataset.version:
                dataset = self._at(version)
        layout, nulls = self.table.layout(dataset), self.table.nulls(dataset, self.column) > 0
        pages = read_pages(dataset, layout, self.column, size, vectors=vectors, offset=offset, nulls=nulls)
        for page in pages:
            offset += len(page)
            yield Page(page.ids, page.vectors, page.texts, page.payloads, f"{dataset.version}.{offset}")

    def _at(self, version: int) -> Dataset:
        try:
            return self.table.at(version)
        except (ValueError, OSError):
            raise DatabaseChangedError(
                f"version {version} of table {self.table.name} was deleted meanwhile (the newest is "
                f"{self.table.latest().version}): run this again, and let nothing clean up old versions until it ends"
            ) from None

    def sample(self, n: int, seed: int = 0) -> Page:
        """Rows from all over the table; only reads."""
        dataset = self.dataset
        total = int(dataset.count_rows())
        starts, each = sample_ranges(total, n, seed)
        rows = sorted({row for start in starts for row in range(start, min(total, start + each))})
        nulls = self.table.nulls(dataset, self.column) > 0
        return take_page(dataset, self.table.layout(dataset), self.column, rows, nulls=nulls)

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads their column."""
        dataset = self.dataset
        nulls = self.table.nulls(dataset, self.column) > 0
        return read_ids(dataset, self.table.layout(dataset), self.column, nulls=nulls)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        return self.records_of(ids)

    def records_of(self, ids: Sequence[str], *, vectors: bool = True) -> Page:
        """The same, with or without vectors."""
        dataset = self.dataset
        layout, nulls = self.table.layout(dataset), self.table.nulls(dataset, self.column) > 0
        wanted = list(dict.fromkeys(ids))
        rows = self.table.index_of_ids(dataset).rows(wanted)
        page = take_page(dataset, layout, self.column, rows, vectors=vectors, nulls=nulls)
        place = {record: row for row, record in enumerate(page.ids)}
        return page.rows([place[record] for record in wanted if record in place])

    def add(self, page: Page) -> None:
        """Append rows. Raises `LightmigrateError` when an id exists already."""
        rows = self._rows(page)
        require_unused(page.ids, len(self.records(page.ids)))
        if len(page):
            self._writable().insert(rows)

    def put(self, page: Page) -> None:
        """Write rows; rows of the same ids are replaced, except for other vectors that they have."""
        rows = self._rows(page)
        if len(page):
            merge = self._writable().merge_insert(self.layout.id.name)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records."""
        if not len(ids):
            return
        require_dimension(vectors, self.dimension, self._address)
        known = self.records(ids).ids
        place = {record: row for row, record in enumerate(ids)}
        layout = self.layout
        rows = pa.table(
            {
                layout.id.name: as_ids(known, layout.id.type),
                self.column: as_vectors_column(vectors[[place[record] for record in known]], self._vector_type),
            }
        )
        if len(known):
            self._writable().merge_insert(layout.id.name).when_matched_update_all().execute(rows)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete rows."""
        known, field = self.records(ids).ids, self.layout.id
        if len(known):
            rows = pa.table({field.name: as_ids(known, field.type)})
            self._writable().merge_insert(field.name).when_matched_delete().execute(rows)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        if not self.indexes():
            return search(vectors, ((page.ids, page.vectors) for page in self.scan(_BLOCK)), k, self.metric)
        dataset, id_column = self.dataset, self.layout.id.name
        query: dict[str, Any] = {"column": self.column, "k": k, "metric": NAMES[self.metric], "nprobes": _PROBES}
        if any(not spec.exact for spec in self.indexes()):
            query["refine_factor"] = _REFINE
        all_ids, all_distances = [], []
        for vector in vectors:
            found = dataset.to_table(columns=[id_column, "_distance"], nearest={**query, "q": vector})
            distances = np.asarray(found.column("_distance"), np.float64)
            order = np.argsort(distances, kind="stable")
            ids = ids_of(found.column(id_column))
            all_ids.append([ids[row] for row in order])
            all_distances.append(distances[order].tolist())
        return all_ids, all_distances

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its distance and the indexes on its column."""
        indexes = [dict(spec.by(distance).settings()) for spec in self.indexes()]
        return {"metric": distance or self.metric, "indexes": indexes}

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written since an earlier version of the table; only reads."""
        dataset = self.dataset
        states: Mapping[str, bool] = {}
        if since is not None and int(since) != dataset.version:
            states = written_between(self._at(int(since)), dataset, self.table.name, self.column)
        return as_written(states, str(dataset.version))

    def _writable(self) -> Dataset:
        if self._kept is not None:
            raise LightmigrateError(f"{self._address} is a backup, which cannot be written to: restore it first")
        return self.table.latest()

    @property
    def _vector_type(self) -> pa.DataType:
        return self.layout.schema.field(self.column).type

    def _rows(self, page: Page) -> pa.Table:
        layout = self.layout
        known = {field.name for field in layout.payload}
        require_dimension(page.vectors, self.dimension, self._address)
        require_columns(page, layout.table, known, text=layout.text is not None)
        columns: dict[str, pa.Array] = {}
        for field in layout.schema:
            if field.name == layout.id.name:
                columns[field.name] = as_ids(page.ids, field.type)
            elif field.name == layout.text:
                columns[field.name] = pa.array(page.texts, field.type)
            elif field.name == self.column:
                columns[field.name] = as_vectors_column(page.vectors, field.type) if len(page) else None
            elif field.name in known:
                columns[field.name] = decode([(payload or {}).get(field.name) for payload in page.payloads], field.type)
        return pa.table(columns) if len(page) else None


def as_written(states: Mapping[str, bool], mark: str) -> WrittenRecords:
    """Ids, each with whether it was deleted, as the protocol has them."""
    return WrittenRecords(
        written=[record for record, deleted in states.items() if not deleted],
        deleted=[record for record, deleted in states.items() if deleted],
        mark=mark,
    )
