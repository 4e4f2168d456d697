"""A PostgreSQL database with pgvector as a `Store`: versions of a collection are vector columns of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from lightmigrate.errors import CollectionNotFoundError, DatabaseError, LightmigrateError
from lightmigrate.progress import logger
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
from lightmigrate.stores.defaults import StoreDefaults, by_age, facts_at
from lightmigrate.stores.page import in_batches
from lightmigrate.stores.pgvector import extension, log, not_null, noting
from lightmigrate.stores.pgvector.building import build_indexes, index_statement
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.distances import OPERATORS
from lightmigrate.stores.pgvector.exchange import exchange
from lightmigrate.stores.pgvector.layouts import use_of
from lightmigrate.stores.pgvector.readable import is_of_a_table, require_readable, suppressing_of_a_table
from lightmigrate.stores.pgvector.receive import INCOMING, PgReceiver
from lightmigrate.stores.pgvector.rights import require_possible
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table, read_table, read_tables
from lightmigrate.stores.pgvector.versions import add_version, drop_version

CAPABILITIES = Capabilities(
    atomic_exchange=True,
    holds_writers=True,
    sees_changes=True,
    ordered=False,
    stale_handles=False,
    shared_records=True,
)

# Rows deleted at once.
_IDS_AT_ONCE = 20_000

# Records whose vectors are looked at where the column does not state their length.
_LOOKED_AT = 500

# The first one that numbers transactions without wrapping around.
_OLDEST_SERVER = 130000


class PgStore(StoreDefaults, PgReceiver):
    """See `stores.base.Store`.

    Args:
        conninfo: a URL or a `key=value` string, as libpq takes it.
        texts: for tables whose text column has no usual name: its name, by table.
        parts: for tables that hold several collections: the column that identifies them, by table.
        metric: the distance of columns without an index.

    Raises:
        DatabaseError: no server answers, or the database has no pgvector.
    """

    records_model = False

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
        if not extension.find(self._session):
            self._session.close()
            raise DatabaseError(f"{self} has no pgvector:  CREATE EXTENSION vector")

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    def unsupported(self) -> str | None:
        """Why nothing can be migrated here: an old server, one that follows another, a missing right; only reads."""
        version, standby = self._session.rows(
            sql.SQL("SELECT current_setting('server_version_num')::int4, pg_is_in_recovery()")
        )[0]
        if version < _OLDEST_SERVER:
            return f"PostgreSQL {version // 10000} is too old, {_OLDEST_SERVER // 10000} is needed: upgrade the server"
        if standby:
            return "the server is a standby, which cannot be written to: give the address of its primary"
        return extension.hidden(self._session)

    @property
    def folder(self) -> Path | None:
        """`None`: a server."""
        return None

    def __str__(self) -> str:
        return str(self._session)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def collections(self) -> list[CollectionFacts]:
        """Every vector column, of every part, of tables with a primary key; only reads.

        What cannot be read has no dimension; see `damaged`.
        """
        tables = read_tables(self._session)
        tables = [table for table in tables if table.keys and not table.relation.startswith(INCOMING)]
        return [facts for table in tables for column in table.own_vectors for facts in self._listed(table, column)]

    def _listed(self, table: Table, column: Column) -> list[CollectionFacts]:
        """The collections in a vector column; the column as one where it cannot even be told which there are."""
        address = Address(table.name, vector=table.vector_name(column.name))
        with suppressing_of_a_table():
            return self._in_column(table, column)
        return [self._unread(table, column, address, 0)]

    def _facts(self, table: Table, column: Column, address: Address, count: int) -> CollectionFacts:
        with suppressing_of_a_table():
            return self._opened(table, address).facts(count)
        return self._unread(table, column, address, count)

    def _unread(self, table: Table, column: Column, address: Address, count: int) -> CollectionFacts:
        metric = next(iter(table.metrics_of(column)), self._metric)
        return facts_at(address, count, None, metric, own_id=f"{table.oid}.{column.number}")

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """Those of some collections of which the role may not read all rows, or whose rows cannot be read."""
        faults = {}
        for address in addresses:
            try:
                collection = self.collection(address)
                require_readable(self._session, collection.table.oid)
                if collection.column.dimension is None or collection.use.padded:
                    collection.sample(_LOOKED_AT)  # its vectors may be of several lengths
                next(collection.scan(1), None)
            except LightmigrateError as error:
                if not is_of_a_table(error):
                    raise
                faults[address] = str(error)
        return faults

    def _in_column(self, table: Table, column: Column) -> list[CollectionFacts]:
        """The collections in a vector column, by name."""
        use, vector = use_of(self._session, table, *self._named(table.name)), table.vector_name(column.name)
        if use.part is None or not use.splits(column):
            collection = self._opened(table, Address(table.name, vector=vector))
            return [self._facts(table, column, collection.address, collection.count())]
        rows = self._session.rows(
            sql.SQL("SELECT coalesce({0}::text, ''), count(*) FROM {1} WHERE {2} IS NOT NULL GROUP BY 1").format(
                sql.Identifier(use.part), table.sql, column.sql
            )
        )
        named = sorted((use.label(value), count) for value, count in rows if value)
        if unnamed := sum(count for value, count in rows if not value):
            logger.warning("%s: %d rows have no %s, and so are in no collection", table.name, unnamed, use.part)
        return [self._facts(table, column, Address(table.name, vector=vector, part=part), n) for part, n in named]

    def collection(self, address: Address) -> PgCollection:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads.

        Raises:
            DatabaseError: the table has no primary key.
        """
        return self._opened(read_table(self._session, address.name), address)

    def _opened(self, table: Table, address: Address) -> PgCollection:
        use = use_of(self._session, table, *self._named(table.name))
        return PgCollection(self._session, address, table=table, use=use, metric=self._metric)

    def _named(self, table: str) -> tuple[str | None, str | None]:
        """The columns with the text and with the names of collections, if the caller named them."""
        return self._texts.get(table), self._parts.get(table)

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        versions = []
        for table in read_tables(self._session):
            use = None
            with suppressing_of_a_table():  # the parts then have their values for names
                use = use_of(self._session, table, *self._named(table.name)) if table.kept else None
            for column, kept in [(each, kept) for each in table.kept for kept in each.kept]:
                part = use.label(kept.part) if use and kept.part else kept.part
                own = Address(table.name, vector=table.vector_name(kept.own), part=part)
                versions.append(
                    Version(own, Role(kept.role), kept.key, Address(table.name, vector=column.name, part=part))
                )
        return by_age(versions)

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
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}({})").format(
                    name, like.own.sql, sql.SQL(like.own.base), sql.Literal(dimension)
                )
            )
            keys = sql.SQL(", ").join(column.sql for column in source.keys)
            self._session.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(name, keys))
            created = read_table(self._session, address.name)
            for number, spec in enumerate(source.specs_of(like.own)):
                column = created.vector(like.own.name)
                wanted, index_name = (
                    spec.by(distance).of(column.base, dimension),
                    f"{address.name[:40]}_{number}_vector",
                )
                self._session.execute(index_statement(created.sql, column, wanted, index_name))
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
        require_possible(self._session, source, dimension)
        return self.collection(add_version(self._session, source, key, dimension, distance))

    def refusal(self, address: Address, dimension: int | None) -> str | None:
        """See `stores.base.Refusing`: a missing right, a trigger, a view on the column, a dimension."""
        try:
            require_possible(self._session, self.collection(address), dimension)
        except LightmigrateError as error:
            return str(error)
        return None

    def finish(self, incoming: Collection) -> None:
        """See `stores.base.Finishing`: builds the indexes of a filled version, while others read and write. Writes."""
        assert isinstance(incoming, PgCollection)  # noqa: S101  # its own kind only
        build_indexes(self._session, incoming)

    def unequal(self, live: Collection, incoming: Collection, since: str, *, written: bool) -> int:
        """See `stores.while_written.Reconciling`."""
        assert isinstance(incoming, PgCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, PgCollection)  # noqa: S101
        columns = live.column, incoming.column
        return log.unequal(self._session, live.table, columns, live.part, since, written=written)

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
        exchange(self._session, incoming, live, key, settle, lambda: self.collection(live.address))
        return 0

    def recover(self) -> str | None:
        """Declare columns NOT NULL for which a crash left that to be done; an exchange itself is whole. Writes.

        Returns:
            What was done; `None` for nothing.
        """
        return not_null.recover(self._session)

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """What was written to a collection since `backup` was replaced; only reads."""
        collection = self.collection(backup.address)
        table, kept = collection.table, collection.kept
        if kept is None or not noting.is_known(self._session, table):
            return None
        if not noting.is_on(self._session, table):
            logger.warning(
                "%s: its trigger is disabled, so that vectors which were replaced since then are not known:  %s",
                table.name, noting.way_to_enable(table),
            )  # fmt: skip
        noted = log.written(self._session, table, collection.part, kept.snapshot, touched=False)
        columns = collection.own, collection.column
        noted = log.with_unnoted(self._session, table, columns, collection.part, kept.snapshot, noted)
        return log.with_shared(self._session, table, columns, collection.part, kept.snapshot, noted)

    def delete(self, address: Address) -> None:
        """Drop a version's column, a collection's table, or the rows of a part. Writes."""
        collection = self.collection(address)
        table = collection.table
        if collection.kept is not None:
            drop_version(self._session, collection)
        elif address.part:
            for ids in in_batches(collection.ids(), _IDS_AT_ONCE):
                collection.remove(ids)
        elif len(table.own_vectors) > 1:
            raise CollectionNotFoundError(f"{address} is one of several columns of a table: drop it in PostgreSQL")
        else:
            with self._session.transaction():
                noting.stop(self._session, table)
                self._session.execute(sql.SQL("DROP TABLE {}").format(table.sql))
