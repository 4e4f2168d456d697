"""A PostgreSQL database with pgvector as a `Store`: versions of a collection are vector columns of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from lightmigrate.errors import CollectionNotFoundError, DatabaseError, LightmigrateError
from lightmigrate.providers.functions import is_embedder
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Role,
    Version,
    WrittenRecords,
)
from lightmigrate.stores.pgvector import dependents, log
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.distances import OPERATORS
from lightmigrate.stores.pgvector.exchange import comment, exchange, index_statement
from lightmigrate.stores.pgvector.receive import INCOMING, PgReceiver
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import KeptColumn, Table, read_table, read_tables
from lightmigrate.stores.pgvector.triggers import require_quiet
from lightmigrate.stores.timestamp import order

CAPABILITIES = Capabilities(
    atomic_exchange=True,
    holds_writers=True,
    sees_changes=True,
    ordered=False,
    stale_handles=False,
    shared_records=True,
)

# The limit of pgvector's indexes.
_MOST_DIMENSIONS = 2000


class PgStore(PgReceiver):
    """See `stores.base.Store`.

    Args:
        conninfo: a URL or a `key=value` string, as libpq takes it.
        texts: for tables whose text column has no usual name: its name, by table.
        parts: for tables that hold several collections: the column that identifies them, by table.
        metric: the distance of columns without an index.

    Raises:
        DatabaseError: no server answers, or the database has no pgvector.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        texts: Mapping[str, str] | None = None,
        parts: Mapping[str, str] | None = None,
        metric: Metric = "cosine",
    ) -> None:
        self._session = Session(conninfo)
        self._texts = dict(texts or {})
        self._parts = dict(parts or {})
        self._metric = metric
        if not self._session.rows(sql.SQL("SELECT FROM pg_type WHERE typname = 'vector'")):
            self._session.close()
            raise DatabaseError(f"{self} has no pgvector:  CREATE EXTENSION vector")

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    def unsupported(self) -> None:
        """`None`: everything can be migrated."""

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """None: PostgreSQL stores vectors in the rows, and reads them without an index."""
        return {}

    @property
    def folder(self) -> Path | None:
        """`None`: a server."""
        return None

    def __str__(self) -> str:
        return str(self._session)

    def __repr__(self) -> str:
        return f"PgStore({str(self)!r})"

    def __enter__(self) -> PgStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def collections(self) -> list[CollectionFacts]:
        """Every vector column, of every part, of tables with a primary key; only reads."""
        tables = read_tables(self._session)
        tables = [table for table in tables if table.keys and not table.relation.startswith(INCOMING)]
        return [self.collection(address).facts() for table in tables for address in self._addresses(table)]

    def _addresses(self, table: Table) -> list[Address]:
        addresses = []
        for column in table.own_vectors:
            vector = table.vector_name(column.name)
            if table.name not in self._parts:
                addresses.append(Address(table.name, vector=vector))
                continue
            query = sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {2} IS NOT NULL AND {0} IS NOT NULL ORDER BY 1")
            part = sql.Identifier(self._parts[table.name])
            rows = self._session.rows(query.format(part, table.sql, column.sql))
            addresses += [Address(table.name, vector=vector, part=value) for (value,) in rows]
        return addresses

    def collection(self, address: Address) -> PgCollection:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads.

        Raises:
            DatabaseError: the table has no primary key.
        """
        return PgCollection(
            self._session,
            address,
            text_column=self._texts.get(address.name),
            part_column=self._parts.get(address.name),
            metric=self._metric,
        )

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        versions = []
        for table in read_tables(self._session):
            for column in table.kept:
                if column.kept is not None:
                    own = Address(table.name, vector=table.vector_name(column.kept.own), part=column.kept.part)
                    address = Address(table.name, vector=column.name, part=column.kept.part)
                    versions.append(Version(own, Role(column.kept.role), column.kept.key, address))
        return sorted(versions, key=lambda version: (order(version.key), version.key, str(version.own)))

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """`None`: PostgreSQL records no embedding model.

        Raises:
            LightmigrateError: the object is neither an embedding function nor a mapping.
        """
        if embedding_function is None or is_embedder(embedding_function) or isinstance(embedding_function, Mapping):
            return None
        raise LightmigrateError(f"{type(embedding_function).__name__} is no embedding function: give a callable")

    def fixed_distance(self, address: Address) -> str | None:
        """Why a collection's distance is not that of one index of its own; `None` where it is. Only reads."""
        collection = self.collection(address)
        metrics, operator = collection.table.metrics_of(collection.own), OPERATORS[collection.metric]
        if address.part:
            return f"table {address.name} holds several collections, and all of them share its indexes"
        if len(metrics) > 1:
            return f"{address} has indexes for {' and '.join(metrics)}: drop those that no query uses"
        if not metrics:
            return (
                f"{address} has no index, and the operator of a query (such as {operator}) chooses the distance: "
                "change the queries instead"
            )
        return None

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> PgCollection:
        """Create an empty table with the columns, the key and the vector indexes of another. Writes."""
        assert isinstance(like, PgCollection)  # noqa: S101  # a store copies its own kind only
        source, name = like.table, sql.Identifier(address.name)
        with self._session.transaction():
            self._session.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)").format(name, source.sql)
            )
            for column in source.kept:
                self._session.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(name, column.sql))
            self._session.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE vector({})").format(
                    name, like.own.sql, sql.Literal(dimension)
                )
            )
            keys = sql.SQL(", ").join(column.sql for column in source.keys)
            self._session.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, keys))
            created = read_table(self._session, address.name)
            for number, index in enumerate(source.indexes_of(like.own)):
                index_name = f"{address.name[:40]}_{like.own.name[:15]}_{number}"
                column = created.vector(like.own.name)
                self._session.execute(
                    index_statement(created, column, index.spec.by(distance), index_name, concurrently=False)
                )
        return self.collection(address)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> PgCollection:
        """Add an empty vector column, and start to log which rows are written. Writes.

        Raises:
            LightmigrateError: the version exists already, the column or its index cannot have the dimension, a trigger
                of the application would fire, or something depends on the column.
        """
        assert isinstance(source, PgCollection)  # noqa: S101  # its own kind only
        table, own, part = read_table(self._session, source.address.name), source.own, source.address.part
        kept = KeptColumn(own.name, part, Role.BUILDING.value, key, distance=distance)
        self._require_possible(table, source, kept, dimension)
        column_type = sql.SQL("vector") if part else sql.SQL("vector({})").format(sql.Literal(dimension))
        with self._session.transaction():
            self._session.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(table.sql, sql.Identifier(kept.name), column_type)
            )
            comment(self._session, table, kept.name, kept.comment())
            if not log.is_on(self._session, table):
                log.start(self._session, read_table(self._session, table.name), self._parts.get(table.name))
        return self.collection(Address(table.name, vector=kept.name, part=part))

    def _require_possible(self, table: Table, source: PgCollection, kept: KeptColumn, dimension: int) -> None:
        if any(column.name == kept.name for column in table.columns):
            raise LightmigrateError(
                f"{source.address} has a version {kept.key} already: delete it, or give another key"
            )
        if table.indexes_of(source.own) and dimension > _MOST_DIMENSIONS:
            raise LightmigrateError(
                f"{source.address} has an index, and pgvector's indexes take {_MOST_DIMENSIONS} dimensions, not "
                f"{dimension}: drop the index, or choose a model of fewer dimensions"
            )
        require_quiet(self._session, table, [source.own])
        if not kept.part:
            dependents.require_none(self._session, table, source.own)
        declared = source.own.dimension
        if kept.part and declared not in (None, dimension):
            raise LightmigrateError(
                f"table {table.name} holds several collections in a column of {declared} dimensions, which cannot take "
                f"{dimension} for one of them:  ALTER TABLE ... ALTER COLUMN ... TYPE vector"
            )

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """Exchange the names of the columns or, for a part of a table, their values, in one transaction. Writes."""
        assert isinstance(incoming, PgCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, PgCollection)  # noqa: S101
        part = self._parts.get(live.address.name) if live.address.part else None
        exchange(self._session, incoming, live, key, settle, part)
        return 0

    def restore(self, backup: Version, key: str) -> int:
        """Put a backup back in place. Writes."""
        return self.exchange(self.collection(backup.address), self.collection(backup.own), key)

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """What was written to a collection since `backup` was replaced; only reads."""
        table = read_table(self._session, backup.address.name)
        kept = table.vector(backup.address.vector).kept
        if kept is None or not log.is_on(self._session, table):
            return None
        return log.written(self._session, table, kept.part, kept.snapshot)

    def delete(self, address: Address) -> None:
        """Drop a version's column, a collection's table, or the rows of a part. Writes."""
        collection = self.collection(address)
        table, column = collection.table, collection.column
        with self._session.transaction():
            if column.kept is not None:
                self._session.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(table.sql, column.sql))
                if len(table.kept) == 1:
                    log.stop(self._session, table)
            elif address.part:
                collection.remove(collection.ids())
            elif len(table.own_vectors) > 1:
                raise CollectionNotFoundError(f"{address} is one of several columns of a table: drop it in PostgreSQL")
            else:
                log.stop(self._session, table)
                self._session.execute(sql.SQL("DROP TABLE {}").format(table.sql))

    def recover(self) -> str | None:
        """`None`: PostgreSQL rolls an interrupted transaction back."""
        return None

    def interrupted_exchange(self) -> bool:
        """`False`: PostgreSQL rolls an interrupted transaction back."""
        return False
