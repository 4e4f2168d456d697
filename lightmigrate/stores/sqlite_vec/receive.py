"""Receive collections of other stores: a new vec0 table with ids of text, the texts, and the fields as JSON text."""

from __future__ import annotations

import abc
import secrets
from collections.abc import Mapping
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Collection, Payload, Role
from lightmigrate.stores.receive import INCOMING, TEXT_COLUMN, Fields, as_text
from lightmigrate.stores.sqlite_vec.collection import SqliteVecCollection
from lightmigrate.stores.sqlite_vec.declaration import METRICS
from lightmigrate.stores.sqlite_vec.exchange import move, require_readable
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import quoted
from lightmigrate.stores.sqlite_vec.tables import Catalog, VecTable, version_of
from lightmigrate.vectors import Metric

# Largest number of dimensions of a vec0 table.
_MOST_DIMENSIONS = 8192


class SqliteVecReceiver(abc.ABC):
    """See `stores.receive.Receiver`."""

    session: Session
    catalog: Catalog

    def new_id(self, record: str) -> str:
        """The same: any text."""
        return record

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """All fields as JSON text in the column `metadata`."""
        return as_text(fields)

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """The table that an interrupted run has filled; only reads."""
        table = self.catalog.tables().get(_incoming(address))
        if not isinstance(table, VecTable):
            return None
        declared = table.declaration
        if (declared.dimension, declared.metric) != (dimension, distance):
            return None
        return SqliteVecCollection(self.catalog, Address(table.name))

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create the table, and the file where there is none. SQLite records no embedding model. Writes."""
        if distance not in METRICS.values():
            raise LightmigrateError(
                f"sqlite-vec has no distance {distance}, which collection {address} has: add  --distance cosine"
            )
        if dimension > _MOST_DIMENSIONS:
            raise LightmigrateError(
                f"sqlite-vec takes vectors of up to {_MOST_DIMENSIONS} numbers, and those of collection {address} "
                f"would have {dimension}: choose a model of fewer dimensions"
            )
        self.session.create()
        name = _incoming(address)
        columns = f"id text primary key, embedding float[{dimension}] distance_metric={distance}"
        with self.session.transaction():
            self._require_free(address)
            self.session.execute(f"DROP TABLE IF EXISTS {quoted(name)}")
            self.session.execute(
                f"CREATE VIRTUAL TABLE {quoted(name)} USING vec0({columns}, +text text, +{TEXT_COLUMN} text)"
            )
        return SqliteVecCollection(self.catalog, Address(name))

    def complete(self, incoming: Collection) -> Collection:
        """Nothing: sqlite-vec compares all vectors, without an index."""
        return incoming

    def publish(self, incoming: Collection, address: Address) -> None:
        """Give the table its name, in one transaction. Writes.

        Raises:
            LightmigrateError: there is a table of that name meanwhile.
        """
        with self.session.transaction():
            self._require_free(address)
            count = incoming.count()
            move(self.session, self.catalog.table(incoming.address.name), address.name)
            self.catalog.register(address.name, secrets.token_hex(8), None, alone=True)
            require_readable(self.catalog, address.name, count)

    def _require_free(self, address: Address) -> None:
        if self.session.rows("SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE", [address.name]):
            raise LightmigrateError(f"{self.session.path} has a table {address.name} already: rename one of the two")


def _incoming(address: Address) -> str:
    return version_of(address.name, Role.BUILDING, INCOMING).address.name
