"""Write rows through a temporary table: one stream fills it, then one statement copies the rows from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from psycopg import sql

from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column
from lightmigrate.stores.pgvector.vectors import copy_rows
from lightmigrate.vectors import Vectors

STAGE = sql.Identifier("pg_temp", "lightmigrate_stage")


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
    key_columns = list(zip(*keys, strict=True))
    names = [*(f"k{n}" for n in range(len(key_columns))), *(f"c{n}" for n in range(len(values)))]
    columns = sql.SQL(", ").join(sql.SQL(name + " text") for name in names)
    with session.transaction():
        session.execute(sql.SQL("CREATE TEMPORARY TABLE lightmigrate_stage ({}, v vector)").format(columns))
        session.copy(
            sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(STAGE), copy_rows([*key_columns, *values], vectors)
        )
        yield
        session.execute(sql.SQL("DROP TABLE {}").format(STAGE))


def join_by_key(
    session: Session,
    keys: Sequence[Column],
    statement: Callable[[sql.Composed], sql.Composed],
    values: Sequence[object],
) -> None:
    """Run a statement on the rows `t` that have the key of a row `s` of `STAGE`. Writes what the statement writes.

    Args:
        session: the connection, within `staged`.
        keys: the primary key.
        statement: builds the statement from the join condition.
        values: its parameters.
    """
    by_text = [sql.SQL("t.{}::text = s.k{}").format(column.sql, sql.SQL(str(n))) for n, column in enumerate(keys)]
    by_type = [
        sql.SQL("t.{} = s.k{}::" + column.type).format(column.sql, sql.SQL(str(n))) for n, column in enumerate(keys)
    ]
    both = sql.SQL(" AND ").join([*by_type, *by_text])  # the first uses the index, the second makes it exact
    session.trying(
        lambda: session.execute(statement(both), values),
        lambda: session.execute(statement(sql.SQL(" AND ").join(by_text)), values),
    )
