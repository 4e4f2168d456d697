"""A store in memory, for tests. It shows that the protocol suits a store that shares no code with the others."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Cursor,
    Metric,
    Page,
    Role,
    Version,
    WrittenRecords,
)
from lightmigrate.stores.checks import require_dimension, require_unused
from lightmigrate.stores.defaults import StoreDefaults, facts_at, version_of
from lightmigrate.stores.distance import distances
from lightmigrate.stores.memory_tables import MemoryDatabase as MemoryDatabase
from lightmigrate.stores.memory_tables import Record, Table
from lightmigrate.vectors import Vectors, as_vectors, evenly

CAPABILITIES = Capabilities(
    atomic_exchange=True,
    holds_writers=True,
    sees_changes=True,
    ordered=True,
    stale_handles=False,
    shared_records=False,
)


class MemoryCollection:
    """The collection that is at an address at the time of each call. See `stores.base.Collection`."""

    def __init__(self, database: MemoryDatabase, address: Address) -> None:
        self._database = database
        self._address = address
        self.opened_id = database.table(address).id

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def _table(self) -> Table:
        return self._database.table(self._address)

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads."""
        with self._database.lock:
            table = self._table
            return facts_at(self._address, len(table.records), table.dimension, table.metric, table.model, table.id)

    def count(self) -> int:
        """Number of records."""
        return len(self._table.records)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records in the order in which they were added; only reads."""
        position = -1 if after is None else int(after)
        while True:
            with self._database.lock:
                table = self._table
                rest = (item for item in table.records.items() if item[1].position > position)
                chosen = dict(itertools.islice(rest, size))
            if not chosen:
                return
            position = max(record.position for record in chosen.values())
            yield _page(table, chosen, vectors, str(position))

    def sample(self, n: int, seed: int = 0) -> Page:
        """Evenly spaced records; only reads."""
        with self._database.lock:
            table = self._table
            ids = list(table.records)
            return _page(table, {ids[row]: table.records[ids[row]] for row in evenly(len(ids), n)} if n else {})

    def ids(self) -> Iterator[str]:
        """All ids; only reads."""
        with self._database.lock:
            return iter(list(self._table.records))

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        with self._database.lock:
            table = self._table
            return _page(table, {record: table.records[record] for record in ids if record in table.records})

    def add(self, page: Page) -> None:
        """Write new records. Raises `LightmigrateError` when an id exists already."""
        with self._database.lock:
            require_unused(page.ids, sum(record in self._table.records for record in set(page.ids)))
            self.put(page)

    def put(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced."""
        with self._database.lock:
            table = self._table
            require_dimension(page.vectors, table.dimension)
            columns = zip(page.ids, page.vectors, page.texts, page.payloads, strict=True)
            rows = [(record, vector.copy(), text, json.dumps(payload)) for record, vector, text, payload in columns]
            for record, vector, text, payload in rows:
                stored = table.records.get(record)
                position = stored.position if stored else next(self._database.numbers)
                table.records[record] = Record(position, vector, text, payload)
            self._note(page.ids, deleted=False)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; ids without a record are ignored."""
        with self._database.lock:
            table = self._table
            require_dimension(vectors, table.dimension)
            for record, vector in zip(ids, vectors, strict=True):
                if stored := table.records.get(record):
                    table.records[record] = Record(stored.position, vector.copy(), stored.text, stored.payload)
                    self._note([record], deleted=False)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids."""
        with self._database.lock:
            removed = [record for record in ids if self._table.records.pop(record, None)]
            self._note(removed, deleted=True)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, by exhaustive search."""
        with self._database.lock:
            table = self._table
            require_dimension(vectors, table.dimension)
            ids = list(table.records)
            stored = np.array([record.vector for record in table.records.values()], np.float64)
            stored = stored.reshape(len(ids), table.dimension)
            rows = [distances(query, stored, table.metric) for query in vectors.astype(np.float64)]
        orders = [np.argsort(row, kind="stable")[:k].tolist() for row in rows]
        nearest_ids = [[ids[row] for row in order] for order in orders]
        return nearest_ids, [row[order].tolist() for row, order in zip(rows, orders, strict=True)]

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its distance, or another one, and what it was created with."""
        return {"metric": distance or self._table.metric, "settings": json.loads(self._table.settings)}

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written since an earlier `changes`; only reads."""
        with self._database.lock:
            log = self._database.log.get(self._address, [])
            last = dict(log[len(log) if since is None else int(since) :])
            return WrittenRecords(
                written=[record for record, deleted in last.items() if not deleted],
                deleted=[record for record, deleted in last.items() if deleted],
                mark=str(len(log)),
            )

    def _note(self, ids: Sequence[str], *, deleted: bool) -> None:
        self._database.log.setdefault(self._address, []).extend((record, deleted) for record in ids)


class MemoryStore(StoreDefaults):
    """One client of a database in memory. See `stores.base.Store`.

    Args:
        database: shared by all its clients; a new one when left out.
    """

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    @property
    def folder(self) -> Path | None:
        """`None`: it has no folder."""
        return None

    def __str__(self) -> str:
        return f"memory:{id(self.database):x}"

    def collections(self) -> list[CollectionFacts]:
        """The application's collections, by name; only reads."""
        with self.database.lock:
            own = [address for address, table in self.database.tables.items() if table.version is None]
            return [self.collection(address).facts() for address in sorted(own, key=str)]

    def collection(self, address: Address) -> MemoryCollection:
        """Open a collection; `CollectionNotFoundError` when there is none. Only reads."""
        return MemoryCollection(self.database, address)

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        with self.database.lock:
            kept = sorted(self.database.tables.values(), key=lambda table: (table.replaced_at, int(table.id)))
            return [table.version for table in kept if table.version is not None]

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> MemoryCollection:
        """Create an empty collection with all the settings of another. Writes."""
        return self._create(address, like, dimension, model, distance, None)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> MemoryCollection:
        """Create an empty version of a collection, to be built. Writes."""
        with self.database.lock:
            kept = self.database.table(source.address).version
            version = version_of(kept.own if kept else source.address, Role.BUILDING, key)
            return self._create(version.address, source, dimension, model, distance, version)

    def _create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None,
        version: Version | None,
    ) -> MemoryCollection:
        assert isinstance(like, MemoryCollection)  # noqa: S101  # a store copies its own kind only
        with self.database.lock:
            table = like._table.like(str(next(self.database.numbers)), dimension, model, distance, version)
            self.database.put_table(address, table)
            return self.collection(address)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """`incoming` takes the place of `live`, while all other clients wait. Writes."""
        assert isinstance(live, MemoryCollection)  # noqa: S101  # its own kind only
        with self.database.lock:
            tables, own = self.database.tables, live.address
            DatabaseChangedError.require_same(own, live.opened_id, self.database.table(own).id)
            settle()
            backup = version_of(own, Role.BACKUP, key)
            if backup.address in tables:
                raise LightmigrateError(f"there is a backup {backup.address} already: give another key")
            new, old = tables.pop(incoming.address), tables[own]
            old.version, old.replaced_at = backup, len(self.database.log.get(own, []))
            new.version, new.replaced_at = None, 0
            tables[backup.address], tables[own] = old, new
        return 0

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """What was written to a collection since `backup` was replaced; only reads."""
        with self.database.lock:
            return self.collection(backup.own).changes(str(self.database.table(backup.address).replaced_at))

    def delete(self, address: Address) -> None:
        """Remove a collection or a version of one. Writes."""
        with self.database.lock:
            self.database.table(address)
            del self.database.tables[address]
            self.database.log.pop(address, None)


def _page(table: Table, records: Mapping[str, Record], vectors: bool = True, cursor: Cursor | None = None) -> Page:
    stored = [record.vector for record in records.values()] if vectors else []
    return Page(
        ids=list(records),
        vectors=as_vectors(stored) if stored else np.zeros((len(records), 0), np.float32),
        texts=[record.text for record in records.values()],
        payloads=[json.loads(record.payload) or None for record in records.values()],
        cursor=cursor,
    )
