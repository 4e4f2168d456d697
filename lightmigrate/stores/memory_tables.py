"""What several clients of one database in memory share."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.base import Address, Metric, Version
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Record:
    """One record; its place in the order of records."""

    position: int
    vector: Vectors
    text: str | None
    payload: str  # JSON, so that callers cannot change it in place


@dataclass
class Table:
    """A collection, or a version of one."""

    id: str
    dimension: int
    metric: Metric
    settings: str  # JSON
    model: Mapping[str, Any] | None
    version: Version | None = None
    replaced_at: int = 0  # length of the collection's log when a backup was replaced
    records: dict[str, Record] = field(default_factory=dict)

    def like(
        self,
        table_id: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None,
        version: Version | None,
    ) -> Table:
        """An empty one with the same settings, or with another distance."""
        model = self.model if model is None else model
        return Table(table_id, dimension, distance or self.metric, self.settings, model, version)


class MemoryDatabase:
    """What several clients of one database in memory share: collections, a log of what was written, a lock."""

    def __init__(self) -> None:
        self.tables: dict[Address, Table] = {}
        self.log: dict[Address, list[tuple[str, bool]]] = {}  # id, deleted
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)

    def create_collection(
        self,
        address: Address,
        dimension: int,
        metric: Metric = "l2",
        settings: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> None:
        """Create an empty collection, as an application does. Writes.

        Args:
            address: an unused address.
            dimension: of its vectors.
            metric: its distance.
            settings: its other settings, JSON.
            model: what to record about the embedding model.
        """
        with self.lock:
            table = Table(str(next(self.numbers)), dimension, metric, json.dumps(settings or {}), model)
            self.put_table(address, table)

    def put_table(self, address: Address, table: Table) -> None:
        """Create a collection; refused when the address is taken."""
        if address in self.tables:
            raise LightmigrateError(f"there is a collection {address} already: choose another name")
        self.tables[address] = table

    def table(self, address: Address) -> Table:
        """The table at an address; `CollectionNotFoundError` when there is none."""
        if address not in self.tables:
            raise CollectionNotFoundError(f"no collection {address} in memory; there are {len(self.tables)} others")
        return self.tables[address]
