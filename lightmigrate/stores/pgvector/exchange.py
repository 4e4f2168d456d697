"""Put a version in the place of a collection, in one transaction that makes readers and writers wait."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from psycopg import sql

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.pgvector import dependents, log
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.distances import OPERATORS
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import (
    Column,
    IndexSpec,
    KeptColumn,
    Table,
    backup_of,
    read_table,
    replaced,
)
from lightmigrate.stores.pgvector.triggers import quietly


def build_indexes(session: Session, incoming: PgCollection) -> None:
    """Build the indexes of the application's column on a version; writers need not wait. Writes; not in a transaction.

    An index whose build was interrupted is built again.
    """
    table = read_table(session, incoming.address.name)
    column = table.vector(incoming.column.name)
    existing = {index.spec for index in table.indexes_of(column)}
    for number, spec in enumerate(table.specs_for(column, incoming.own)):
        if spec in existing:
            continue
        name = _index_name(table, column, number)
        session.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(table.schema, name)))
        session.execute(index_statement(table, column, spec, name, concurrently=True))


def index_statement(table: Table, column: Column, spec: IndexSpec, name: str, *, concurrently: bool) -> sql.Composed:
    """The SQL statement that builds an index with these settings."""
    options = (option.partition("=") for option in spec.options)
    parameters = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, _, value in options
    )
    return sql.SQL("CREATE INDEX {} {} ON {} USING {} ({} {}){}").format(
        sql.SQL("CONCURRENTLY" if concurrently else ""),
        sql.Identifier(name),
        table.sql,
        sql.Identifier(spec.method),
        column.sql,
        sql.Identifier(spec.operators),
        sql.SQL(" WITH ({})").format(parameters) if spec.options else sql.SQL(""),
    )


def exchange(
    session: Session, incoming: PgCollection, live: PgCollection, key: str, settle: Callable[[], None], part: str | None
) -> None:
    """See `Store.exchange`. Writes.

    Args:
        session: the connection that both collections use, so that `settle` works within the transaction.
        incoming: the version.
        live: the collection.
        key: of the backup.
        settle: brings `incoming` up to date.
        part: the column that identifies the collections in one table; `None` where the table is one collection.
    """
    _require_same(session, live)
    if part is None:
        dependents.require_none(session, live.table, live.own)
        build_indexes(session, incoming)
    with session.transaction():
        session.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(live.table.sql))
        _require_same(session, live)
        settle()
        table = read_table(session, live.address.name)
        new, old = table.vector(incoming.column.name), table.column(live.column.name)
        if new.kept is None or (new.kept.own, new.kept.part) != (old.name, live.address.part):
            raise LightmigrateError(f"{incoming.address} is not a version of {live.address}: build one first")
        if part is None:
            _rename(session, table, new, new.kept, old, key)
        else:
            _swap(session, table, new, new.kept, old, key, part)


def _require_same(session: Session, live: PgCollection) -> None:
    current = copy.copy(live)
    current.table = read_table(session, live.address.name)
    current.column = current.table.vector(live.address.vector)
    DatabaseChangedError.require_same(live.address, live.opened_id, current.id)


def _rename(session: Session, table: Table, new: Column, kept: KeptColumn, old: Column, key: str) -> None:
    """Exchange the names of two columns, with comment, NOT NULL and the names of indexes."""
    dependents.require_none(session, table, old)
    distances = table.metrics_of(old)
    distance = distances[0] if len(distances) == 1 else None
    backup = backup_of(old, part="", key=key, snapshot=log.snapshot(session), distance=distance)
    if kept.distance not in (None, distance):
        logger.warning(
            "%s: its index is for %s now; queries must use %s, any other operator does not use the index",
            table.name, kept.distance, OPERATORS[kept.distance],
        )  # fmt: skip
    _alter(session, table, "RENAME {} TO {}", old.sql, sql.Identifier(backup.name))
    _alter(session, table, "RENAME {} TO {}", new.sql, old.sql)
    if old.not_null:  # the application writes only the new column
        _alter(session, table, "ALTER {} DROP NOT NULL", sql.Identifier(backup.name))
    missing = sql.SQL("SELECT FROM {} WHERE {} IS NULL LIMIT 1").format(table.sql, old.sql)
    if (old.not_null or kept.not_null) and not session.rows(missing):
        _alter(session, table, "ALTER {} SET NOT NULL", old.sql)
    _rename_indexes(session, table, new, old)
    comment(session, table, backup.name, backup.comment())
    comment(session, table, old.name, old.comment)
    log.start(session, read_table(session, table.name), None)


def _rename_indexes(session: Session, table: Table, new: Column, old: Column) -> None:
    before = table.indexes_of(old)
    specs = table.specs_for(new, old)
    places: Mapping[IndexSpec, str] = {spec: index.name for spec, index in zip(specs, before, strict=True)}
    for number, index in enumerate(before):
        _rename_index(session, table, index.name, _index_name(table, old, number))
    for index in table.indexes_of(new):
        if index.spec in places:
            _rename_index(session, table, index.name, places[index.spec])


def _index_name(table: Table, column: Column, number: int) -> str:
    """What an index of a version is called; names of indexes are unique within a schema, not within a table."""
    return f"lightmigrate_{table.oid}_{column.number}_{number}"


def _rename_index(session: Session, table: Table, name: str, to: str) -> None:
    session.execute(
        sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(table.schema, name), sql.Identifier(to))
    )


def _swap(session: Session, table: Table, new: Column, kept: KeptColumn, old: Column, key: str, part: str) -> None:
    """Exchange the values of two columns in the rows of a part; the rows of other collections keep theirs."""
    backup = replaced(kept, key=key, not_null=False, snapshot=log.snapshot(session))
    log.pause(session, table, on=True)
    with quietly(session, table, [old, new]):
        session.execute(
            sql.SQL("UPDATE {} SET {} = {}, {} = {} WHERE {}::text = %s").format(
                table.sql, old.sql, new.sql, new.sql, old.sql, sql.Identifier(part)
            ),
            [kept.part],
        )
    log.pause(session, table, on=False)
    _alter(session, table, "RENAME {} TO {}", new.sql, sql.Identifier(backup.name))
    comment(session, table, backup.name, backup.comment())


def _alter(session: Session, table: Table, action: str, *names: sql.Identifier) -> None:
    session.execute(sql.SQL("ALTER TABLE {} " + action).format(table.sql, *names))


def comment(session: Session, table: Table, column: str, text: str | None) -> None:
    """Set the comment of a column. Writes."""
    session.execute(
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table.sql, sql.Identifier(column), sql.Literal(text))
    )
