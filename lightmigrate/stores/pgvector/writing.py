"""Write the rows of a collection, and the vectors of a version of it, in short transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Page, Payload
from lightmigrate.stores.checks import require_columns, require_dimension
from lightmigrate.stores.page import batches
from lightmigrate.stores.pgvector.part import Part
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.stage import key_condition, places, staged
from lightmigrate.stores.pgvector.tables import Column, KeptColumn, Table
from lightmigrate.stores.pgvector.triggers import yielding_quietly
from lightmigrate.stores.pgvector.turns import in_turns
from lightmigrate.stores.pgvector.values import decode, decode_key
from lightmigrate.stores.pgvector.vectors import padded
from lightmigrate.vectors import Vectors

# Rows per statement.
_BATCH = 2000

# A transaction that changes what the application may want to write at the same time has as many rows as take so long,
# at least and at most so many.
_SECONDS, _FEWEST, _MOST = 0.1, 10, 500

# So many rows are worth looking up in which blocks they are; see `turns`.
_WORTH_TURNS = 100

Item = TypeVar("Item")


class Rows(Protocol):
    """The collection that is written to; see `PgCollection`."""

    @property
    def address(self) -> Address:
        """Where it is."""

    @property
    def table(self) -> Table:
        """The table that holds it."""

    @property
    def column(self) -> Column:
        """The column with its vectors."""

    @property
    def kept(self) -> KeptColumn | None:
        """The version that it is; `None` for a live collection."""

    @property
    def part(self) -> Part:
        """Its rows in the table."""

    @property
    def text(self) -> Column | None:
        """The column with the text."""

    @property
    def dimension(self) -> int | None:
        """Of its vectors."""

    @property
    def used(self) -> int | None:
        """The numbers of a padded vector that are the model's."""

    @property
    def payload_columns(self) -> list[Column]:
        """The columns of the payload."""


def key_texts(table: Table) -> list[sql.Composed]:
    """The columns of the primary key of a row `t`, as text."""
    return [sql.SQL("t.{}::text").format(column.sql) for column in table.keys]


def write_rows(session: Session, rows: Rows, page: Page, *, replace: bool) -> None:
    """Write rows in one transaction; in a version, the vectors of existing rows, a few in each transaction. Writes.

    Args:
        session: the connection.
        rows: the collection.
        page: the records.
        replace: whether rows of the same keys are replaced; otherwise they are an error.
    """
    if rows.kept is not None:
        write_vectors(session, rows, page.ids, page.vectors, sql.SQL(""))
        return
    with session.transaction():
        for part in batches(range(len(page)), _BATCH):
            _insert(session, rows, page.rows(part), replace=replace)


def write_vectors(
    session: Session, rows: Rows, ids: Sequence[str], vectors: Vectors, condition: sql.Composable
) -> None:
    """Write the vectors `(n, d)` of existing rows; ids without a row are ignored. Writes, without firing triggers.

    A few rows in each transaction, because others who write to these rows have to wait for its end: as many as this
    server writes in a tenth of a second. In a version they are on the disk when the next transaction is: that of the
    exchange at the latest.
    """
    if not len(ids):
        return
    vectors = _fitting(rows, vectors)
    keyed = [(row, key) for row, record in enumerate(ids) if (key := decode_key(record, len(rows.table.keys)))]
    if not keyed:
        return
    with staged(session, [key for _, key in keyed], vectors[[row for row, _ in keyed]]) as stage:
        joined = key_condition(session, rows.table.keys, stage)
        # by their places, of which PostgreSQL knows how many they are: so it looks that many rows up by their keys
        # rather than reading the whole table in every transaction
        update = sql.SQL("UPDATE {} t SET {} = s.v FROM {} s WHERE s.ctid = ANY(%s::tid[]) AND {}").format(
            rows.table.sql, rows.column.sql, stage, joined + condition + rows.part.condition("t")
        )

        def write(some: Sequence[str]) -> None:
            session.execute(update, [list(some), *rows.part.values])

        at_once = session.in_transaction or len(keyed) < _WORTH_TURNS
        for turn in [places(session, stage)] if at_once else in_turns(session, rows.table, stage, joined):
            start = 0
            while start < len(turn):
                batch = turn[start : start + session.rows_at_once]
                start += len(batch)
                begun = time.perf_counter()
                yielding_quietly(session, rows.table, [rows.column], _bound(write, batch), flushed=rows.kept is None)
                fitting = len(batch) * _SECONDS / max(time.perf_counter() - begun, 1e-6)
                session.rows_at_once = int(min(max(fitting, len(batch) / 2, _FEWEST), 2 * session.rows_at_once, _MOST))


def remove_rows(session: Session, rows: Rows, ids: Sequence[str]) -> None:
    """Delete rows; in a version, set their vectors to NULL. Writes."""
    action = sql.SQL("DELETE FROM {0} t USING {2} s WHERE {3}")
    if rows.kept is not None:
        action = sql.SQL("UPDATE {0} t SET {1} = NULL FROM {2} s WHERE {3}")

    def delete(keys: Sequence[tuple[str, ...]]) -> None:
        with staged(session, keys, np.zeros((len(keys), 1), np.float32)) as stage:
            condition = key_condition(session, rows.table.keys, stage) + rows.part.condition("t")
            statement = action.format(rows.table.sql, rows.column.sql, stage, condition)
            session.execute(statement, rows.part.values)

    for batch in batches(ids, _BATCH if rows.kept is None else session.rows_at_once):
        keys = [key for record in batch if (key := decode_key(record, len(rows.table.keys)))]
        if keys and rows.kept is None:
            delete(keys)
        elif keys:
            yielding_quietly(session, rows.table, [rows.column], _bound(delete, keys))


def _bound(action: Callable[[Item], None], argument: Item) -> Callable[[], None]:
    return lambda: action(argument)


def _insert(session: Session, rows: Rows, page: Page, *, replace: bool) -> None:
    vectors = _fitting(rows, page.vectors)
    written = [column for column in rows.payload_columns if column.written]
    _require_columns(rows, page)
    keys = [_key_of(rows.table, record) for record in page.ids]
    part = rows.part.column if rows.part.value else None
    columns = [*([rows.text] if rows.text else []), *written, *([part] if part else [])]
    values: list[list[str | None]] = []
    if rows.text:
        values.append(list(page.texts))
    for column in written:
        payloads = [payload or {} for payload in page.payloads]
        values.append([_decoded(column, payload) for payload in payloads])
    if part:
        values.append([rows.part.value] * len(page))
    targets = [*rows.table.keys, rows.column, *columns]
    sources = [
        *(sql.SQL("k{}::" + column.type).format(sql.SQL(str(n))) for n, column in enumerate(rows.table.keys)),
        sql.SQL("v"),
        *(sql.SQL("c{}::" + column.type).format(sql.SQL(str(n))) for n, column in enumerate(columns)),
    ]
    insert = sql.SQL("INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM ").format(
        rows.table.sql, sql.SQL(", ").join(column.sql for column in targets), sql.SQL(", ").join(sources)
    )
    conflict: sql.Composable = sql.SQL("")
    if replace:
        conflict = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {} WHERE true{}").format(
            sql.SQL(", ").join(column.sql for column in rows.table.keys),
            sql.SQL(", ").join(
                sql.SQL("{} = excluded.{}").format(column.sql, column.sql) for column in targets[len(rows.table.keys) :]
            ),
            rows.part.condition("t"),
        )
    with staged(session, keys, vectors, values) as stage:
        done = session.execute(insert + stage + conflict, rows.part.values if replace else [])
    if done != len(page):
        raise LightmigrateError(
            f"{len(page) - done} of {len(page)} ids belong to other collections of table {rows.table.name}"
        )


def _key_of(table: Table, record: str) -> tuple[str, ...]:
    key = decode_key(record, len(table.keys))
    if key is None:
        names = ", ".join(column.name for column in table.keys)
        raise LightmigrateError(f"an id is not a primary key of table {table.name} ({names})")
    return key


def _require_columns(rows: Rows, page: Page) -> None:
    columns = {column.name for column in rows.payload_columns}
    require_columns(page, rows.table.name, columns, text=rows.text is not None)


def _fitting(rows: Rows, vectors: Vectors) -> Vectors:
    """The vectors as the column takes them; `DimensionError` when they are not of the collection's dimension."""
    require_dimension(vectors, rows.used or rows.dimension, rows.address)
    return vectors if rows.column.dimension is None else padded(vectors, rows.column.dimension)


def _decoded(column: Column, payload: Payload) -> str | None:
    return decode(column.kind, payload[column.name]) if column.name in payload else None
