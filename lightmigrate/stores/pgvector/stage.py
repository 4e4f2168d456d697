"""Write rows through a temporary table: one stream fills it, then one statement copies the rows from it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column
from lightmigrate.stores.pgvector.vectors import copy_rows
from lightmigrate.vectors import Vectors

_numbers = itertools.count()

# Rows of up to a whole block stay in one piece: PostgreSQL would put longer vectors aside, and fetch them again.
_WHOLE = sql.SQL("WITH (toast_tuple_target = 8160)")


@contextlib.contextmanager
def staged(
    session: Session, keys: Sequence[Sequence[str]], vectors: Vectors, values: Sequence[Sequence[str | None]] = ()
) -> Iterator[sql.Identifier]:
    """Fill a table of its own with rows for the duration of a block. Writes to no other table.

    Within a transaction it is a part of that; otherwise several transactions, and other threads, may read it.

    Args:
        session: the connection.
        keys: primary keys, a text for each column: `k0`, `k1`, ...
        vectors: float32 `(n, d)`: `v`.
        values: columns of texts, each n long: `c0`, `c1`, ...

    Yields:
        The name of the table.
    """
    stage = sql.Identifier("pg_temp", f"lightmigrate_stage_{next(_numbers)}")
    key_columns = list(zip(*keys, strict=True))
    names = [*(f"k{n}" for n in range(len(key_columns))), *(f"c{n}" for n in range(len(values)))]
    columns = sql.SQL(", ").join(sql.SQL(name + " text") for name in names)
    session.execute_unflushed(sql.SQL("CREATE TEMPORARY TABLE {} ({}, v vector) {}").format(stage, columns, _WHOLE))
    drop = sql.SQL("DROP TABLE {}").format(stage)
    try:
        session.copy(
            sql.SQL("COPY {} FROM STDIN (FORMAT BINARY)").format(stage), copy_rows([*key_columns, *values], vectors)
        )
        yield stage
    except BaseException:
        with contextlib.suppress(LightmigrateError):  # it ends with the transaction, or with the session
            session.execute_unflushed(drop)
        raise
    session.execute_unflushed(drop)


def places(session: Session, stage: sql.Identifier) -> list[str]:
    """Where the rows of a stage are in it, as `tid` texts. Only reads."""
    return [place for (place,) in session.rows(sql.SQL("SELECT s.ctid::text FROM {} s").format(stage))]


def key_condition(session: Session, keys: Sequence[Column], stage: sql.Identifier) -> sql.Composed:
    """The condition that a row `t` has the key of a row `s` of a stage. Only reads.

    It compares values of the keys' types, which uses the index of the primary key, where all staged keys are such.

    Args:
        session: the connection.
        keys: the primary key.
        stage: see `staged`.
    """
    typed = [sql.SQL("s.k{}::" + column.type).format(sql.SQL(str(n))) for n, column in enumerate(keys)]
    by_type = [sql.SQL("t.{} = {}").format(column.sql, value) for column, value in zip(keys, typed, strict=True)]
    by_text = [sql.SQL("t.{}::text = s.k{}").format(column.sql, sql.SQL(str(n))) for n, column in enumerate(keys)]
    conversion = sql.SQL("SELECT count(ROW({})) FROM {} s").format(sql.SQL(", ").join(typed), stage)
    convertible = session.trying(lambda: bool(session.rows(conversion)), lambda: False)
    # the text makes it exact: several texts can be the same value
    return sql.SQL(" AND ").join([*(by_type if convertible else []), *by_text])
