"""Add and drop the columns that hold the versions of collections."""

from __future__ import annotations

import itertools

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Metric, Role
from lightmigrate.stores.pgvector import noting
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.column_settings import making_alike
from lightmigrate.stores.pgvector.exchange import comment
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, KeptColumn, Table, comment_of, read_table
from lightmigrate.stores.pgvector.triggers import yielding_quietly

# Rows of a deleted version that are emptied in one transaction.
_BATCH = 500


def add_version(session: Session, source: PgCollection, key: str, dimension: int, distance: Metric | None) -> Address:
    """Add an empty version of a collection, and start to log which rows are written. Writes.

    Args:
        session: the connection.
        source: the collection, or a version of it.
        key: see `Version`.
        dimension: of its vectors.
        distance: of its index; `None` for that of the collection.

    Returns:
        Where it is.

    Raises:
        LightmigrateError: the version exists already.
    """
    own, part = source.own, source.part.value
    stated = None if own.dimension is not None and not part else dimension
    kept = KeptColumn(own.name, part, Role.BUILDING.value, key, distance=distance, dimension=stated)
    before = _shared(read_table(session, source.address.name), kept) if part else None
    if before is not None:
        _empty(session, source, before)  # nobody reads them: there is no version of this part in the column yet
    with session.holding(_exclusive(source.table)):
        table = read_table(session, source.address.name)
        entries = [each for column in table.kept for each in column.kept]
        if any((each.own, each.part, each.role, each.key) == (own.name, part, kept.role, key) for each in entries):
            raise LightmigrateError(f"{source.address} has a version {key} already: delete it, or give another key")
        column = next((each for each in table.kept if before and each.number == before.number), None)
        if column is None or column.version(part) is not None:
            names = {each.name for each in table.columns}
            name = next(name for name in map(kept.column_name, itertools.count()) if name not in names)
            session.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    table.sql, sql.Identifier(name), _type(own, part, dimension)
                )
            )
            comment(session, table, name, comment_of([kept]))
            if not part:  # which the application's queries take by its name when it is exchanged
                added = read_table(session, table.name)
                for statement in making_alike(session, added, added.column(name), added.column(own.name)):
                    session.execute(statement)
        else:
            name = column.name
            comment(session, table, name, comment_of([*column.kept, kept]))
        text = source.text.name if source.text else None
        noting.ensure(session, read_table(session, table.name), source.use.part, text)
    return Address(table.name, vector=name, part=source.address.part)


def drop_version(session: Session, version: PgCollection) -> None:
    """Delete a version; its column goes with the last version in it. Writes."""
    with session.holding(_exclusive(version.table)):
        table = read_table(session, version.address.name)
        column = table.vector(version.column.name)
        others = [each for each in column.kept if each.part != version.part.value]
        if others:  # the rows keep these vectors until the column goes, or is used again
            comment(session, table, column.name, comment_of(others))
        else:
            session.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(table.sql, column.sql))
        if not others and len(table.kept) == 1:
            noting.stop(session, table)
        else:
            text = version.text.name if version.text else None
            noting.refresh(session, read_table(session, table.name), version.use.part, text)


def _shared(table: Table, kept: KeptColumn) -> Column | None:
    """A column of versions of other parts which has none of this one."""
    for column in table.kept:
        if all(each.own == kept.own and each.part for each in column.kept) and column.version(kept.part) is None:
            return column
    return None


def _type(own: Column, part: str, dimension: int) -> sql.Composable:
    """The type of the new column: like the application's, with the new dimension where that one states its own."""
    if own.dimension is None:
        return sql.SQL(own.base)
    return sql.SQL(own.base + "({})").format(sql.Literal(own.dimension if part else dimension))


def _empty(session: Session, source: PgCollection, column: Column) -> None:
    """Remove the vectors that a deleted version of the same part left in a column. Writes, a few rows at a time."""
    statement = sql.SQL(
        "UPDATE {0} t SET {1} = NULL WHERE t.ctid = ANY(ARRAY("
        "SELECT t.ctid FROM {0} t WHERE t.{1} IS NOT NULL{2} LIMIT {3})){2}"
    ).format(source.table.sql, column.sql, source.part.condition("t"), sql.Literal(_BATCH))
    values = [*source.part.values, *source.part.values]

    while yielding_quietly(session, source.table, [column], lambda: session.execute(statement, values)):
        pass


def _exclusive(table: Table) -> sql.Composed:
    return sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table.sql)
