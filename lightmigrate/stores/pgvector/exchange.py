"""Put a version in the place of a collection, in one transaction that makes writers wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from psycopg import sql

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Role
from lightmigrate.stores.pgvector import dependents, log
from lightmigrate.stores.pgvector.building import build_indexes, index_name
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.distances import OPERATORS
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, KeptColumn, Table, comment_of, read_table
from lightmigrate.stores.pgvector.triggers import quietly


def exchange(
    session: Session,
    incoming: PgCollection,
    live: PgCollection,
    key: str,
    settle: Callable[[], None],
    reopened: Callable[[], PgCollection],
) -> None:
    """See `Store.exchange`. Writes.

    Readers wait only while the names of two columns are exchanged; while the rows of a part are written they go on.

    Args:
        session: the connection that both collections use, so that `settle` works within the transaction.
        incoming: the version.
        live: the collection.
        key: of the backup.
        settle: brings `incoming` up to date.
        reopened: `live`, opened anew.
    """
    _require_same(live, reopened)
    whole = not live.part.value
    if whole:
        dependents.require_none(session, live.table, live.own)
        build_indexes(session, incoming)
    mode = sql.SQL("ACCESS EXCLUSIVE" if whole else "SHARE ROW EXCLUSIVE")
    with session.holding(sql.SQL("LOCK TABLE {} IN {} MODE").format(live.table.sql, mode)):
        _require_same(live, reopened)
        settle()
        table = read_table(session, live.address.name)
        new, old = table.vector(incoming.column.name), table.column(live.column.name)
        kept = new.version(live.part.value)
        if kept is None or kept.own != old.name:
            raise LightmigrateError(f"{incoming.address} is not a version of {live.address}: build one first")
        if whole:
            _rename(session, live, table, new, kept, key)
        else:
            _swap(session, live, table, new, kept, key)


def _require_same(live: PgCollection, reopened: Callable[[], PgCollection]) -> None:
    DatabaseChangedError.require_same(live.address, live.opened_id, reopened().id)


def _rename(session: Session, live: PgCollection, table: Table, new: Column, kept: KeptColumn, key: str) -> None:
    """Exchange the names of two columns, with comment, NOT NULL and the names of indexes."""
    old = table.column(kept.own)
    dependents.require_none(session, table, old)
    distances = table.metrics_of(old)
    distance = distances[0] if len(distances) == 1 else None
    backup = KeptColumn(
        old.name, "", Role.BACKUP.value, key, old.not_null, log.snapshot(session), distance,
        live.dimension if old.dimension is None else None,
    )  # fmt: skip
    _say_what_queries_need(table, new, old, kept)
    name = sql.Identifier(backup.column_name())
    _alter(session, table, "RENAME {} TO {}", old.sql, name)
    _alter(session, table, "RENAME {} TO {}", new.sql, old.sql)
    if old.not_null:  # the application writes only the new column
        _alter(session, table, "ALTER {} DROP NOT NULL", name)
    missing = sql.SQL("SELECT FROM {} WHERE {} IS NULL LIMIT 1").format(table.sql, old.sql)
    if (old.not_null or kept.not_null) and not session.rows(missing):
        _alter(session, table, "ALTER {} SET NOT NULL", old.sql)
    _rename_indexes(session, live, table, new, old)
    comment(session, table, backup.column_name(), comment_of([backup]))
    comment(session, table, old.name, old.comment)
    log.start(session, read_table(session, table.name), live.use.part)


def _say_what_queries_need(table: Table, new: Column, old: Column, kept: KeptColumn) -> None:
    """Warn where the application's queries have to change, or else do not use the index."""
    if kept.distance is not None and kept.distance not in table.metrics_of(old):
        logger.warning(
            "%s: its index is for %s now; queries must use %s, any other operator does not use the index",
            table.name, kept.distance, OPERATORS[kept.distance],
        )  # fmt: skip
    before = {spec.cast: spec.dimension for spec in table.specs_of(old)}
    for spec in table.specs_of(new):
        if spec.cast in ("vector", "halfvec") and before.get(spec.cast) != spec.dimension:
            cast = spec.expression(old.sql).as_string()
            operator = OPERATORS[spec.metric or "l2"]
            logger.warning(
                "%s: its index is on %s now; only queries that  ORDER BY %s %s $1  use it",
                table.name, cast, cast, operator,
            )  # fmt: skip


def _rename_indexes(session: Session, live: PgCollection, table: Table, new: Column, old: Column) -> None:
    """The indexes of the new column take the names of those of the old one."""
    kept = new.version("")
    distance, before = kept.distance if kept else None, table.indexes_of(old)
    dimension = (kept.dimension if kept else None) or new.dimension or 0
    places: dict[IndexSpec, str] = {}
    for index in before:
        if index.spec is not None:
            places[index.spec.by(distance).of(new.base, dimension)] = index.name
    for number, index in enumerate(before):
        _rename_index(session, table, index.name, index_name(table, old, number))
    _take_names(session, table, new, places)


def _take_names(session: Session, table: Table, new: Column, places: Mapping[IndexSpec, str]) -> None:
    free = list(places.values())
    for index in table.indexes_of(new):
        if index.spec is None or not free:
            continue
        name = places.get(index.spec, "")
        name = name if name in free else free[0]  # a backup's index need not be what is made today
        free.remove(name)
        _rename_index(session, table, index.name, name)


def _rename_index(session: Session, table: Table, name: str, to: str) -> None:
    session.execute(
        sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(table.schema, name), sql.Identifier(to))
    )


def _swap(session: Session, live: PgCollection, table: Table, new: Column, kept: KeptColumn, key: str) -> None:
    """Exchange the values of two columns in the rows of a part; the rows of other collections keep theirs."""
    old, part = table.column(kept.own), live.part
    backup = replace(
        kept, role=Role.BACKUP.value, key=key, not_null=False, snapshot=log.snapshot(session), dimension=live.dimension
    )
    condition = sql.SQL("WHERE true{}").format(part.condition("t"))
    missing = sql.SQL("SELECT FROM {} t {} AND {} IS NULL LIMIT 1").format(table.sql, condition, new.sql)
    if old.not_null and session.rows(missing, part.values):
        _alter(session, table, "ALTER {} DROP NOT NULL", old.sql)
    log.pause(session, table, on=True)
    with quietly(session, table, [old, new]):
        session.execute(
            sql.SQL("UPDATE {} t SET {} = {}, {} = {} {}").format(
                table.sql, old.sql, new.sql, new.sql, old.sql, condition
            ),
            part.values,
        )
    log.pause(session, table, on=False)
    others = [each for each in new.kept if each.part != part.value]
    comment(session, table, new.name, comment_of([*others, backup]))


def _alter(session: Session, table: Table, action: str, *names: sql.Identifier) -> None:
    session.execute(sql.SQL("ALTER TABLE {} " + action).format(table.sql, *names))


def comment(session: Session, table: Table, column: str, text: str | None) -> None:
    """Set the comment of a column. Writes."""
    session.execute(
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table.sql, sql.Identifier(column), sql.Literal(text))
    )
