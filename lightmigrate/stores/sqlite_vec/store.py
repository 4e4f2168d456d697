"""An SQLite file with vec0 tables as a `Store`: versions of a collection are vec0 tables of the same file."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Capabilities, Collection, CollectionFacts, Metric, Role, Version
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.receive import INCOMING
from lightmigrate.stores.sqlite_vec.collection import SqliteVecCollection
from lightmigrate.stores.sqlite_vec.exchange import Exchange, copy_rows, drop_rows
from lightmigrate.stores.sqlite_vec.receive import SqliteVecReceiver
from lightmigrate.stores.sqlite_vec.related import RowsChoice, rows_in
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import ROWS_SUFFIX, quoted
from lightmigrate.stores.sqlite_vec.tables import Catalog, VecTable, version_of

CAPABILITIES = Capabilities(
    atomic_exchange=True,
    holds_writers=True,
    sees_changes=False,
    ordered=False,
    stale_handles=False,
    shared_records=False,
)


class SqliteVecStore(StoreDefaults, SqliteVecReceiver):
    """See `stores.base.Store`.

    Args:
        path: the file.
        rows: `TABLE.COLUMN`, the table with the texts and its column with the keys of the vec0 tables; empty to find
            them.
        text: the column with the texts, where it has no usual name.
        may_be_new: whether there may be no such file yet, which is made when it receives a collection.

    Attributes:
        session: the open file.
        catalog: what it holds.

    Raises:
        DatabaseError: SQLite cannot open the file.
        MissingExtraError: sqlite-vec, or an SQLite that loads extensions, is missing.
    """

    records_model = False

    def __init__(self, path: Path, *, rows: str = "", text: str = "", may_be_new: bool = False) -> None:
        table, _, key = rows.rpartition(".")
        if bool(rows or text) != bool(table and key):
            raise LightmigrateError(f"{rows or 'no table'} does not say which rows have the texts: rows=TABLE.COLUMN")
        self.session = Session(path, may_be_new=may_be_new)
        self._options = {name: value for name, value in (("rows", rows), ("text", text)) if value}
        self.catalog = Catalog(self.session, RowsChoice(table, key, text or None) if rows else None)

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    def unsupported(self) -> str | None:
        """That the file cannot be written, or that no table can be migrated, with the reason; `None` otherwise."""
        if not self.session.writable:
            return f"{self.session.path} is read-only for this user: give it write permission first"
        tables = self.catalog.tables()
        if tables and not any(isinstance(table, VecTable) for table in tables.values()):
            name, reason = next(iter(tables.items()))
            return f"none of {len(tables)} vec0 tables can be migrated; {name}: {reason}"
        return None

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """The collections of which sqlite-vec cannot read a few records. Only reads."""
        faults = {}
        for address in addresses:
            try:
                self.collection(address).sample(3)
            except (LightmigrateError, ValueError) as error:
                faults[address] = str(error)
        return faults

    @property
    def folder(self) -> Path | None:
        """A folder beside the file, which is made when there is something to keep about it."""
        return self.session.path.with_name(f"{self.session.path.name}.lightmigrate")

    def __str__(self) -> str:
        if not self._options:
            return str(self.session.path)
        return f"sqlite:///{urllib.parse.quote(str(self.session.path))}?{urllib.parse.urlencode(self._options)}"

    def close(self) -> None:
        """Close the file."""
        self.session.close()

    def collections(self) -> list[CollectionFacts]:
        """The vec0 tables that can be migrated, by name; only reads."""
        tables = [table for table in self.catalog.tables().values() if isinstance(table, VecTable)]
        return [self.collection(Address(table.name)).facts() for table in tables if table.version is None]

    def collection(self, address: Address) -> SqliteVecCollection:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads.

        Raises:
            DatabaseError: the table cannot be migrated.
        """
        return SqliteVecCollection(self.catalog, address)

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        tables = [table for table in self.catalog.tables().values() if isinstance(table, VecTable)]
        versions = [table.version for table in tables if table.version is not None]
        return by_age(version for version in versions if version.key != INCOMING)

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> SqliteVecCollection:
        """Create an empty vec0 table with the columns of another, and a table for its texts if that has one. Writes."""
        assert isinstance(like, SqliteVecCollection)  # noqa: S101  # a store copies its own kind only
        layout, rows = like.layout, None
        with self.session.transaction():
            self.session.execute(
                layout.table.declaration.with_dimension(dimension, distance).statement(quoted(address.name))
            )
            if layout.rows is not None:
                copy_rows(self.session, layout, "", address.name + ROWS_SUFFIX)
                rows = rows_in(self.session, address.name + ROWS_SUFFIX, "lightmigrate_key", layout.rows.text)
            self.catalog.register(address.name, "", rows)
        return self.collection(address)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> SqliteVecCollection:
        """Create an empty vec0 table, to be filled. Writes.

        Raises:
            LightmigrateError: the version exists already, or sqlite-vec has no such distance.
        """
        assert isinstance(source, SqliteVecCollection)  # noqa: S101  # its own kind only
        layout = source.layout
        own = layout.table.version.own.name if layout.table.version else layout.table.name
        version = version_of(own, Role.BUILDING, key)
        if version.address.name in self.catalog.tables():
            raise LightmigrateError(f"{own} has a version {key} already: delete it, or give another key")
        statement = layout.table.declaration.with_dimension(dimension, distance).statement(quoted(version.address.name))
        with self.session.transaction():
            self.session.execute(statement)
            copy_rows(self.session, layout, "", version.address.name + ROWS_SUFFIX)
            if layout.rows is not None and layout.table.version is None:
                self.catalog.register(version.address.name, "", layout.rows)
        return self.collection(version.address)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """Exchange the contents of two vec0 tables, in one transaction. Writes."""
        assert isinstance(incoming, SqliteVecCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, SqliteVecCollection)  # noqa: S101
        Exchange(self.catalog, incoming, live, key).run(settle)
        return 0

    def delete(self, address: Address) -> None:
        """Drop a vec0 table, and what lightmigrate keeps of its rows; the application's own table stays. Writes."""
        table = self.collection(address).layout.table
        with self.session.transaction():
            self.session.execute(f"DROP TABLE {quoted(table.name)}")
            drop_rows(self.session, table.name)
            self.catalog.forget(table.name)
