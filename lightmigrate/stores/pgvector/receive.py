"""Receive collections of other stores: a new table with the columns id, content, embedding and metadata."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Collection, Payload
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.receive import Fields, without_envelope
from lightmigrate.vectors import Metric

# Tables of this prefix are being filled.
INCOMING = "lightmigrate_incoming_"

# Largest number of dimensions that an index takes.
_MOST_DIMENSIONS = 2000

# Longest name in bytes; PostgreSQL cuts longer ones off. The index takes `_embedding_idx` more.
_LONGEST_NAME = 63 - len("_embedding_idx")


class PgReceiver(abc.ABC):
    """See `stores.receive.Receiver`."""

    _session: Session

    @abc.abstractmethod
    def collection(self, address: Address) -> Collection:
        """See `Store`."""

    def new_id(self, record: str) -> str:
        """The same."""
        return record

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """All fields in the column `metadata`."""
        return {"metadata": dict(without_envelope(fields))} if fields else None

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """The table that an interrupted run has filled; only reads."""
        name = incoming_name(address)
        if self._described(name) != _description(dimension, distance):
            return None
        return self.collection(Address(name))

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create the table, without its index. PostgreSQL records no embedding model. Writes."""
        if dimension > _MOST_DIMENSIONS:
            raise LightmigrateError(
                f"pgvector's indexes take {_MOST_DIMENSIONS} dimensions, and collection {address} would have "
                f"{dimension}: choose a model of fewer dimensions"
            )
        if len(address.name.encode()) > _LONGEST_NAME:
            raise LightmigrateError(
                f"the name of collection {address} has {len(address.name.encode())} bytes, and the name of a table "
                f"with an index may have {_LONGEST_NAME}: rename the collection first"
            )
        name = incoming_name(address)
        statement = "CREATE TABLE {} (id text PRIMARY KEY, content text, embedding vector({}), metadata jsonb)"
        with self._session.transaction():
            self._session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(name)))
            self._session.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(dimension)))
            # until there is an index, only the comment says the distance
            description = sql.Literal(_description(dimension, distance))
            self._session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(name), description))
        return self.collection(Address(name))

    def complete(self, incoming: Collection) -> Collection:
        """Build the index. Writes."""
        name = incoming.address.name
        distance = str(self._described(name)).rpartition(" ")[2]
        self._session.execute(
            sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (embedding {})").format(
                sql.Identifier(f"{name}_embedding_idx"), sql.Identifier(name), sql.Identifier(f"vector_{distance}_ops")
            )
        )
        return self.collection(incoming.address)

    def publish(self, incoming: Collection, address: Address) -> None:
        """Rename the table, its key and its index in one transaction. Writes."""
        before, after = incoming.address.name, address.name
        rename = sql.SQL("ALTER {} {} RENAME TO {}")
        with self._session.transaction():
            self._session.execute(sql.SQL("COMMENT ON TABLE {} IS NULL").format(sql.Identifier(before)))
            for kind, suffix in (("TABLE", ""), ("INDEX", "_pkey"), ("INDEX", "_embedding_idx")):
                names = sql.Identifier(f"{before}{suffix}"), sql.Identifier(f"{after}{suffix}")
                self._session.execute(rename.format(sql.SQL(kind), *names))

    def _described(self, name: str) -> str | None:
        """The comment of a table; `None` where there is none."""
        query = sql.SQL("SELECT obj_description(to_regclass({})::oid, 'pg_class')")
        found: str | None = self._session.rows(query.format(sql.Literal(name)))[0][0]
        return found


def _description(dimension: int, distance: Metric) -> str:
    return f"lightmigrate: being filled with vectors of {dimension} numbers, by {distance}"


def incoming_name(address: Address) -> str:
    """The name of the table that is filled for an address."""
    return INCOMING + hashlib.sha256(address.name.encode()).hexdigest()[:16]
