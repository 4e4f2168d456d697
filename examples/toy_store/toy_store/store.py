"""The whole store: collections by name in one JSON file, which every write replaces while it holds a lock."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, LightmigrateError
from lightmigrate.files import locked, replacing
from lightmigrate.stores.base import Address, Capabilities, Collection, CollectionFacts, Metric, Page, Role, Version
from lightmigrate.stores.defaults import CollectionDefaults, StoreDefaults, require_dimension, version_of
from lightmigrate.stores.distance import distances
from lightmigrate.vectors import Vectors

Model = Mapping[str, Any] | None
Settle = Callable[[], object]


class ToyCollection(CollectionDefaults):
    def __init__(self, store: ToyStore, address: Address) -> None:
        self._store, self.address = store, address
        self.opened_id = self.facts().id

    def _table(self) -> Any:
        with self._store.lock:
            if self.address.name not in (tables := self._store.tables()):
                raise CollectionNotFoundError(
                    f"no collection {self.address}: list them with  lightmigrate doctor DATABASE"
                )
            return tables[self.address.name]

    def facts(self) -> CollectionFacts:
        table, place = self._table(), self.address
        return CollectionFacts(place.name, place.tenant, place.database, len(table["records"]), *table["facts"])

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        return {"metric": distance or self.facts().space}

    def scan(self, size: int, after: str | None = None, *, vectors: bool = True) -> Iterator[Page]:
        while rows := [row for row in self._table()["records"].items() if row[1][0] > int(after or 0)][:size]:
            after = str(rows[-1][1][0])
            yield _page(rows, after, vectors)

    def records(self, ids: Sequence[str]) -> Page:
        stored = self._table()["records"]
        return _page([(record, stored[record]) for record in ids if record in stored])

    def put(self, page: Page) -> None:
        with self._store.transaction() as tables:
            records = self._fitting(page.vectors)["records"]
            for record, *row in zip(page.ids, page.vectors.tolist(), page.texts, page.payloads, strict=True):
                tables[""] += 1  # the place of a new record
                records[record] = [records[record][0] if record in records else tables[""], *row]

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        with self._store.transaction():
            records = self._fitting(vectors)["records"]
            for record, vector in zip(ids, vectors.tolist(), strict=True):
                records[record][1] = vector

    def remove(self, ids: Sequence[str]) -> None:
        with self._store.transaction():
            for record in ids:
                self._table()["records"].pop(record, None)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        stored, metric = Page.joined(list(self.scan(1000))), self._table()["facts"][1]
        rows = [distances(query, stored.vectors.astype(np.float64), metric) for query in vectors.astype(np.float64)]
        orders = [np.argsort(row, kind="stable")[:k] for row in rows]
        ids = [[stored.ids[number] for number in order] for order in orders]
        return ids, [row[order].tolist() for row, order in zip(rows, orders, strict=True)]

    def _fitting(self, vectors: Vectors) -> Any:
        require_dimension(vectors, (table := self._table())["facts"][0])
        return table


class ToyStore(StoreDefaults):
    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=True, sees_changes=False, ordered=True, stale_handles=False,
        shared_records=False,
    )  # fmt: skip

    def __init__(self, path: Path) -> None:
        self.path, self.folder, self.lock = path, path.parent, threading.RLock()
        self._changing: dict[str, Any] | None = None

    def __str__(self) -> str:
        return str(self.path)

    def tables(self) -> dict[str, Any]:
        """All collections; within a transaction those that it changes."""
        return self._changing or (json.loads(self.path.read_text()) if self.path.exists() else {"": 0})

    @contextlib.contextmanager
    def transaction(self) -> Iterator[dict[str, Any]]:
        """All or nothing, while other writers wait; one within another is a part of it."""
        with self.lock, contextlib.ExitStack() as stack:
            if self._changing is not None:
                yield self._changing
                return
            stack.enter_context(locked(self.path.with_suffix(".lock")))
            stack.callback(setattr, self, "_changing", None)
            self._changing = self.tables()
            yield self._changing
            self.save(json.dumps(self._changing))

    def save(self, content: str) -> None:
        with replacing(self.path) as file:
            file.write(content.encode())

    def collections(self) -> list[CollectionFacts]:
        names = sorted(name for name, table in self.tables().items() if name and table["version"] is None)
        return [self.collection(Address(name)).facts() for name in names]

    def collection(self, address: Address) -> ToyCollection:
        return ToyCollection(self, address)

    def versions(self) -> list[Version]:
        kept = sorted(table["version"] for name, table in self.tables().items() if name and table["version"])
        return [version_of(Address(own), Role(role), key) for key, own, role in kept]

    def create(
        self, address: Address, like: Collection, dimension: int, model: Model, distance: Metric | None = None
    ) -> ToyCollection:
        facts = like.facts()
        return self.create_table(address, dimension, distance or facts.space, model or facts.embedding_function)

    def create_table(self, address: Address, dimension: int, metric: str, model: Model) -> ToyCollection:
        with self.transaction() as tables:
            if address.name in tables:
                raise LightmigrateError(f"there is a collection {address} already: choose another name")
            tables[""] += 1
            facts = [dimension, metric, model, str(tables[""])]
            tables[address.name] = {"facts": facts, "version": None, "records": {}}
            return self.collection(address)

    def create_version(
        self, source: Collection, key: str, dimension: int, model: Model, distance: Metric | None = None
    ) -> ToyCollection:
        version = version_of(source.address, Role.BUILDING, key)
        with self.transaction() as tables:
            created = self.create(version.address, source, dimension, model, distance)
            tables[version.address.name]["version"] = [key, source.address.name, "new"]
            return created

    def exchange(
        self, incoming: Collection, live: Collection, key: str, *, function: object = None, settle: Settle = bool
    ) -> int:
        with self.transaction() as tables:
            name = live.address.name
            opened = live.opened_id if isinstance(live, ToyCollection) else ""
            DatabaseChangedError.require_same(name, opened, self.collection(live.address).facts().id)
            settle()
            old, new = tables.pop(name), tables.pop(incoming.address.name)
            tables[name] = new | {"version": None}
            tables[version_of(live.address, Role.BACKUP, key).address.name] = old | {"version": [key, name, "old"]}
        return 0

    def delete(self, address: Address) -> None:
        with self.transaction() as tables:
            self.collection(address)
            del tables[address.name]


def _page(rows: Sequence[tuple[str, list[Any]]], cursor: str | None = None, vectors: bool = True) -> Page:
    stored = np.array([row[1] for _, row in rows] if vectors and rows else np.zeros((len(rows), 0)), np.float32)
    return Page(
        [record for record, _ in rows], stored, [row[2] for _, row in rows], [row[3] for _, row in rows], cursor
    )
