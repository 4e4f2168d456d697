"""Write rows through a temporary table: one stream fills it, then one statement copies the rows from it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column
from lightmigrate.stores.pgvector.vectors import copy_rows
from lightmigrate.vectors import Vectors

STAGE = sql.Identifier("pg_temp", "lightmigrate_stage")

_numbers = itertools.count()

Result = TypeVar("Result")


@contextlib.contextmanager
def staged(
    session: Session, keys: Sequence[Sequence[str]], vectors: Vectors, values: Sequence[Sequence[str | None]] = ()
) -> Iterator[None]:
    """Fill `STAGE` with rows for the duration of a block, in one transaction. Writes to no other table.

    Args:
        session: the connection.
        keys: primary keys, a text for each column: `k0`, `k1`, ...
        vectors: float32 `(n, d)`: `v`.
        values: columns of texts, each n long: `c0`, `c1`, ...
    """
    with session.transaction():
        _fill(session, STAGE, keys, vectors, values)
        yield
        session.execute(sql.SQL("DROP TABLE {}").format(STAGE))


@contextlib.contextmanager
def staged_across(
    session: Session, keys: Sequence[Sequence[str]], vectors: Vectors, values: Sequence[Sequence[str | None]]
) -> Iterator[sql.Identifier]:
    """The same in a table of its own, which several transactions read. Writes to no other table.

    Yields:
        The name of the table. Other threads may use the connection meanwhile.
    """
    stage = sql.Identifier("pg_temp", f"lightmigrate_stage_{next(_numbers)}")
    _fill(session, stage, keys, vectors, values)
    drop = sql.SQL("DROP TABLE {}").format(stage)
    try:
        yield stage
    except BaseException:
        with contextlib.suppress(LightmigrateError):  # it ends with the session
            session.execute(drop)
        raise
    session.execute(drop)


def _fill(
    session: Session,
    stage: sql.Identifier,
    keys: Sequence[Sequence[str]],
    vectors: Vectors,
    values: Sequence[Sequence[str | None]],
) -> None:
    key_columns = list(zip(*keys, strict=True))
    names = [*(f"k{n}" for n in range(len(key_columns))), *(f"c{n}" for n in range(len(values)))]
    columns = sql.SQL(", ").join(sql.SQL(name + " text") for name in names)
    session.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({}, v vector)").format(stage, columns))
    session.copy(
        sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(stage), copy_rows([*key_columns, *values], vectors)
    )


def join_by_key(
    session: Session,
    keys: Sequence[Column],
    statement: Callable[[sql.Composed], sql.Composed],
    values: Sequence[object],
) -> None:
    """Run a statement on the rows `t` that have the key of a row `s` of a stage. Writes what the statement writes.

    Args:
        session: the connection, within `staged`.
        keys: the primary key.
        statement: builds the statement from the join condition.
        values: its parameters.
    """
    by_key(session, keys, lambda joined: session.execute(statement(joined), values))


def by_key(session: Session, keys: Sequence[Column], action: Callable[[sql.Composed], Result]) -> Result:
    """What an action returns for the condition that a row `t` has the key of a row `s` of a stage."""
    by_text = [sql.SQL("t.{}::text = s.k{}").format(column.sql, sql.SQL(str(n))) for n, column in enumerate(keys)]
    by_type = [
        sql.SQL("t.{} = s.k{}::" + column.type).format(column.sql, sql.SQL(str(n))) for n, column in enumerate(keys)
    ]
    both = sql.SQL(" AND ").join([*by_type, *by_text])  # the first uses the index, the second makes it exact
    return session.trying(lambda: action(both), lambda: action(sql.SQL(" AND ").join(by_text)))
