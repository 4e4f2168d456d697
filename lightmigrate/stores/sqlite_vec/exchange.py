"""Put a version in the place of a collection, in one transaction that makes other writers wait.

vec0 tables cannot be renamed, and filling a new one takes minutes for a hundred thousand vectors. The tables that hold
its content are plain ones, which can: a new, empty vec0 table gets the content of another in milliseconds. What
sqlite-vec then reads is checked before the transaction ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from lightmigrate.errors import DatabaseChangedError, LightmigrateError, VerificationError
from lightmigrate.stores.base import Address, Role
from lightmigrate.stores.sqlite_vec.collection import SqliteVecCollection
from lightmigrate.stores.sqlite_vec.layout import Layout
from lightmigrate.stores.sqlite_vec.session import Session
from lightmigrate.stores.sqlite_vec.sql import ROWS_SUFFIX, column_of, quoted
from lightmigrate.stores.sqlite_vec.tables import Catalog, VecTable, version_of
from lightmigrate.stores.sqlite_vec.values import decode_key


class Exchange:
    """One exchange. See `Store.exchange`.

    Args:
        catalog: of the connection that both collections use, so that the last update is within the transaction.
        incoming: the version.
        live: the collection.
        key: of the backup.
    """

    def __init__(self, catalog: Catalog, incoming: SqliteVecCollection, live: SqliteVecCollection, key: str) -> None:
        self._catalog, self._session = catalog, catalog.session
        self._incoming, self._live = incoming, live
        self._own, self._backup = live.address.name, version_of(live.address.name, Role.BACKUP, key).address.name

    def run(self, settle: Callable[[], None]) -> None:
        """All of it, in one transaction. Writes.

        Args:
            settle: brings `incoming` up to date.

        Raises:
            DatabaseChangedError: another process has replaced `live` meanwhile.
            VerificationError: sqlite-vec does not read the tables as expected; nothing was changed.
        """
        with self._session.transaction():
            DatabaseChangedError.require_same(self._live.address, self._live.opened_id, self._live.id)
            settle()
            if self._backup in self._catalog.tables():
                raise LightmigrateError(f"there is a backup {self._backup} already: give another key")
            old, new = self._live.layout, self._incoming.layout
            old_count, new_count = self._live.count(), self._incoming.count()
            move(self._session, old.table, self._backup)
            move(self._session, new.table, self._own)
            self.keep_rows(old)
            self.replace_copies(old)
            self.register(old)
            require_readable(self._catalog, self._backup, old_count)
            require_readable(self._catalog, self._own, new_count)

    def keep_rows(self, old: Layout) -> None:
        """Keep a copy of the rows with the texts beside the backup; the version's own copy is not needed. Writes."""
        copy_rows(self._session, old, quoted(self._backup + "_rowids"), self._backup + ROWS_SUFFIX)
        drop_rows(self._session, self._incoming.address.name)

    def replace_copies(self, old: Layout) -> None:
        """Replace copies of the old vectors in the application's own table, which it may read some day. Writes."""
        rows, key = old.rows, old.vec_key
        for name in rows.copies if rows else ():
            assert rows is not None  # noqa: S101
            before, after = (
                f"(SELECT {quoted(old.table.declaration.vector)} FROM {quoted(table)} v "  # noqa: S608
                f"WHERE v.{key} = {column_of('b', rows.key)})"
                for table in (self._backup, self._own)
            )
            self._session.execute(
                f"UPDATE {quoted(rows.table)} AS b SET {quoted(name)} = {after} "  # noqa: S608
                f"WHERE {quoted(name)} = {before} AND {after} IS NOT NULL"
            )

    def register(self, old: Layout) -> None:
        """Let every process see that the collection is another one now. Writes."""
        self._catalog.forget(self._incoming.address.name)
        alone = self._catalog.is_alone(self._own)
        self._catalog.register(self._own, secrets.token_hex(8), old.rows, alone=alone)


def move(session: Session, table: VecTable, name: str) -> None:
    """Give a vec0 table another name, a free one, with all its content. Writes; in a transaction.

    Raises:
        VerificationError: sqlite-vec keeps its content in other tables by now.
    """
    before = _tables(session)
    session.execute(table.declaration.statement(quoted(name)))
    made = {part.removeprefix(name) for part in _tables(session) - before - {name}}
    held = {suffix for suffix in made if table.name + suffix in before}
    if made != held or not made:
        raise VerificationError(
            f"sqlite-vec {session.version} keeps {len(made)} tables and {table.name} has {len(held)} of them: copy "
            "the table with this version, and run this again; nothing was changed"
        )
    for suffix in sorted(made):
        session.execute(f"DROP TABLE {quoted(name + suffix)}")
        session.execute(f"ALTER TABLE {quoted(table.name + suffix)} RENAME TO {quoted(name + suffix)}")
        session.execute(f"CREATE TABLE {quoted(table.name + suffix)} (placeholder)")  # goes with the vec0 table
    session.execute(f"DROP TABLE {quoted(table.name)}")


def require_readable(catalog: Catalog, name: str, count: int) -> None:
    """Read and search through sqlite-vec what was moved.

    Raises:
        VerificationError: it has not so many records.
    """
    session, collection = catalog.session, SqliteVecCollection(catalog, Address(name))
    counted = session.rows(f"SELECT count(*) FROM {quoted(name)}")[0][0]  # noqa: S608
    layout, sample = collection.layout, collection.sample(3)
    for record, vector in zip(sample.ids, sample.vectors, strict=True):
        key = decode_key(record, text_keys=layout.table.declaration.text_keys)
        found_vectors = session.rows(layout.select(f"WHERE {layout.key} = ?", vectors=True), [key])
        counted -= found_vectors[0][1] != vector.tobytes()
    found = collection.nearest(sample.vectors, 1)[0]
    if counted != count or collection.count() != count or (count and (not len(sample) or not all(found))):
        raise VerificationError(f"{name} has {count} records, and sqlite-vec reads {counted}: nothing was changed")


def _tables(session: Session) -> set[str]:
    return {name for (name,) in session.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


def copy_rows(session: Session, layout: Layout, keys: str, name: str) -> None:
    """Copy the rows that belong to a collection to a table of lightmigrate's own, without its constraints. Writes.

    Args:
        session: the open file.
        layout: of the collection.
        keys: the table with the keys of the rows, quoted; empty to copy none.
        name: of the new table.
    """
    if layout.rows is None:
        return
    columns = layout.row_columns
    key_type = "TEXT" if layout.table.declaration.text_keys else "INTEGER"  # without one, a join reads all rows
    names = [f"lightmigrate_key {key_type} PRIMARY KEY", *map(quoted, columns)]
    session.execute(f"CREATE TABLE {quoted(name)} ({', '.join(names)})")
    if keys:
        key = layout.key
        values = ", ".join([key, *(column_of("b", column) for column in columns)])
        session.execute(
            f"INSERT INTO {quoted(name)} SELECT {values} FROM {keys} r "  # noqa: S608
            f"JOIN {quoted(layout.rows.table)} b ON {column_of('b', layout.rows.key)} = {key}"
        )


def drop_rows(session: Session, table: str) -> None:
    """Drop the copy of the rows of a version, if it has one. Writes."""
    session.execute(f"DROP TABLE IF EXISTS {quoted(table + ROWS_SUFFIX)}")
