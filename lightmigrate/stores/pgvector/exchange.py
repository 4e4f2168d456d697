"""Put a version in the place of a collection, in one transaction that makes writers wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from psycopg import sql

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Role
from lightmigrate.stores.pgvector import dependents, log, not_null, noting
from lightmigrate.stores.pgvector.building import build_indexes, index_name
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.column_settings import making_alike
from lightmigrate.stores.pgvector.distances import OPERATORS
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.partitions import relations_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, KeptColumn, Table, comment_of, read_table
from lightmigrate.stores.pgvector.triggers import quietly
from lightmigrate.stores.while_written import CatchingUp


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
        settle: brings `incoming` up to date; if it can, also ahead of every attempt to lock the table.
        reopened: `live`, opened anew.
    """
    DatabaseChangedError.require_same(live.address, live.opened_id, reopened().id)
    whole, unfilled = not live.part.value, list[str]()
    if whole:
        dependents.require_none(session, live.table, live.own)
        build_indexes(session, incoming)
        if live.own.not_null or (incoming.kept and incoming.kept.not_null):
            unfilled = not_null.missing(session, live.table, incoming.column)
    mode = sql.SQL("ACCESS EXCLUSIVE" if whole else "SHARE ROW EXCLUSIVE")

    def prepare() -> None:
        session.end_vacuum(live.table.sql)
        if isinstance(settle, CatchingUp):
            settle.ahead()

    with session.holding(sql.SQL("LOCK TABLE {} IN {} MODE").format(live.table.sql, mode), prepare):
        settle()
        current = reopened()  # all that was done is undone if it is another one now
        DatabaseChangedError.require_same(live.address, live.opened_id, current.id)
        table = current.table
        new, old = table.vector(incoming.column.name), table.column(live.column.name)
        kept = new.version(live.part.value)
        if kept is None or kept.own != old.name:
            raise LightmigrateError(f"{incoming.address} is not a version of {live.address}: build one first")
        if whole:
            dependents.require_none(session, table, old)
            _say_what_queries_need(table, new, old, kept)
            distances = table.metrics_of(old)
            backup = KeptColumn(
                old.name, "", Role.BACKUP.value, key, old.not_null, "",
                distances[0] if len(distances) == 1 else None, current.dimension if old.dimension is None else None,
            )  # fmt: skip
            # in one request, because all wait meanwhile
            session.execute(sql.SQL("; ").join(_renaming(session, current, new, kept, backup, unfilled)))
            name, others = backup.column_name(), []
        else:
            backup = replace(kept, role=Role.BACKUP.value, key=key, not_null=False, dimension=current.dimension)
            _swap(session, current, table, new, kept)
            name, others = new.name, [each for each in new.kept if each.part != live.part.value]
        # that of the next part is another trigger, and a comment with those of all parts and partitions would be long
        mark = log.mark(session, table) if whole else log.snapshot(session)
        comment(session, table, name, comment_of([*others, replace(backup, snapshot=mark)]))
        if not whole:
            text = current.text.name if current.text else None
            noting.refresh(session, read_table(session, table.name), current.use.part, text)
    if whole:
        not_null.declare(session, live.table)


def _renaming(
    session: Session, live: PgCollection, new: Column, kept: KeptColumn, backup: KeptColumn, unfilled: Sequence[str]
) -> list[sql.Composed]:
    """The statements that exchange the names of two columns, with settings, comment, NOT NULL, indexes and trigger."""
    table, old = live.table, live.table.column(kept.own)
    name = sql.Identifier(backup.column_name())
    named = {
        old.number: replace(old, name=backup.column_name(), kept=(backup,)),
        new.number: replace(new, name=old.name, kept=()),
    }
    after = replace(table, columns=tuple(named.get(each.number, each) for each in table.columns))
    part, text = noting.part_column(session, table) or live.use.part, live.text.name if live.text else None
    # a row that was written since with the application's column alone, and is not to be carried, has no vector
    filled = (old.not_null or kept.not_null) and not not_null.lacks(session, table, new, unfilled)
    return [
        *(not_null.demanding(table, new) if filled else []),
        *not_null.giving_up(table, old),
        *making_alike(session, table, new, old),  # as far as it was changed meanwhile
        _altering(table, "RENAME {} TO {}", old.sql, name),
        _altering(table, "RENAME {} TO {}", new.sql, old.sql),
        # the application writes only the new column
        *(_nullable(session, table, name) if old.not_null else []),
        *_renamed_indexes(table, new, old),
        commenting(table, old.name, old.comment),
        *noting.starting(after, part, text),
    ]


def _nullable(session: Session, table: Table, column: sql.Identifier) -> list[sql.Composed]:
    """The statements after which a column may be NULL; a partition can have a constraint of its own."""
    drop = sql.SQL("ALTER TABLE {} ALTER {} DROP NOT NULL")
    return [drop.format(relation.sql, column) for relation in relations_of(session, table)]


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


def _renamed_indexes(table: Table, new: Column, old: Column) -> list[sql.Composed]:
    """The indexes of the new column take the names of those of the old one."""
    kept = new.version("")
    distance, before = kept.distance if kept else None, table.indexes_of(old)
    dimension = (kept.dimension if kept else None) or new.dimension or 0
    places: dict[IndexSpec, str] = {}
    for index in before:
        if index.spec is not None:
            places[index.spec.by(distance).of(new.base, dimension)] = index.name
    free = list(places.values())
    statements = [_renamed(table, index.name, index_name(table, old, place)) for place, index in enumerate(before)]
    for index in table.indexes_of(new):
        if index.spec is None or not free:
            continue
        name = places.get(index.spec, "")
        name = name if name in free else free[0]  # a backup's index need not be what is made today
        free.remove(name)
        statements.append(_renamed(table, index.name, name))
    return statements


def _renamed(table: Table, name: str, to: str) -> sql.Composed:
    return sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(table.schema, name), sql.Identifier(to))


def _swap(session: Session, live: PgCollection, table: Table, new: Column, kept: KeptColumn) -> None:
    """Exchange the values of two columns in the rows of a part; the rows of other collections keep theirs."""
    old, part = table.column(kept.own), live.part
    condition = sql.SQL("WHERE true{}").format(part.condition("t"))
    missing = sql.SQL("SELECT FROM {} t {} AND {} IS NULL LIMIT 1").format(table.sql, condition, new.sql)
    if old.not_null and session.rows(missing, part.values):
        session.execute(sql.SQL("; ").join(_nullable(session, table, old.sql)))
    noting.pause(session, table, on=True)
    with quietly(session, table, [old, new]):
        session.execute(
            sql.SQL("UPDATE {} t SET {} = {}, {} = {} {}").format(
                table.sql, old.sql, new.sql, new.sql, old.sql, condition
            ),
            part.values,
        )
    noting.pause(session, table, on=False)


def _altering(table: Table, action: str, *names: sql.Identifier) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} " + action).format(table.sql, *names)


def comment(session: Session, table: Table, column: str, text: str | None) -> None:
    """Set the comment of a column. Writes."""
    session.execute(commenting(table, column, text))


def commenting(table: Table, column: str, text: str | None) -> sql.Composed:
    """The statement that sets the comment of a column."""
    return sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table.sql, sql.Identifier(column), sql.Literal(text))
