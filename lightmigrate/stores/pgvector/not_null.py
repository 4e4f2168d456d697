"""NOT NULL for a column that takes the place of another: demanded from the exchange on, checked after it.

PostgreSQL reads a whole table before it declares a column NOT NULL, and all wait meanwhile, unless a validated CHECK
says the same; to validate one takes a lock that writers do not notice. Before the exchange there can be none: also one
that is not validated would refuse the rows that the application inserts, which have no new vector yet. So the exchange
itself adds it, without reading anything. Afterwards it is validated, the column declared NOT NULL, and it is dropped. A
run that is killed in between leaves it, and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.pgvector.session import QueryError, Session
from lightmigrate.stores.pgvector.tables import FILLED, Column, Table

# A row has no value, when a CHECK is validated.
_VIOLATED = "23514"

# Rows without a value that are remembered.
_SAMPLE = 1000


def missing(session: Session, table: Table, column: Column) -> list[str]:
    """Where some rows are that have no value in a column; reads the table once, while others write.

    Returns:
        Places as texts, for `lacks`.
    """
    query = sql.SQL("SELECT t.ctid::text FROM {} t WHERE t.{} IS NULL LIMIT {}")
    return [place for (place,) in session.rows(query.format(table.sql, column.sql, sql.Literal(_SAMPLE)))]


def lacks(session: Session, table: Table, column: Column, places: Sequence[str]) -> bool:
    """Whether rows that had no value have none still. Only reads these."""
    query = sql.SQL("SELECT FROM {} t WHERE t.ctid = ANY(%s::tid[]) AND t.{} IS NULL LIMIT 1")
    return bool(places and session.rows(query.format(table.sql, column.sql), [list(places)]))


def demanding(table: Table, column: Column) -> list[sql.Composed]:
    """The statements after which no row without a value in a column can be written; they read no rows."""
    add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID")
    return [*giving_up(table, column), add.format(table.sql, _name(table, column), column.sql)]


def giving_up(table: Table, column: Column) -> list[sql.Composed]:
    """The statements after which rows without a value can be written, where that was demanded and not declared yet."""
    return [sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(table.sql, _name(table, column))]


def declare(session: Session, table: Table) -> int:
    """Declare the columns of a table NOT NULL for which it was demanded, if no row lacks a value. Writes.

    Others write meanwhile. What cannot be done now is left to the next run, with a warning.

    Returns:
        Number of columns.
    """
    return _declare(session, sql.SQL("AND c.oid = {}").format(sql.Literal(table.oid)))


def recover(session: Session) -> str | None:
    """Go on with what a crash interrupted, in all tables. Writes only where there is something.

    Returns:
        What was done, in a sentence; `None` for nothing.
    """
    done = _declare(session, sql.SQL(""))
    if not done:
        return None
    return f"an exchange was interrupted before {done} columns were declared NOT NULL again; they are now"


def _declare(session: Session, condition: sql.Composable) -> int:
    rows = session.rows(
        sql.SQL("""
        SELECT n.nspname::text, c.relname::text, a.attname::text, k.conname::text
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
        WHERE k.contype = 'c' AND k.coninhcount = 0 AND starts_with(k.conname, {}) {} ORDER BY 4""").format(
            sql.Literal(FILLED), condition
        )
    )
    done = 0
    for schema, relation, column, constraint in rows:
        try:
            _declare_one(session, sql.Identifier(schema, relation), sql.Identifier(column), sql.Identifier(constraint))
            done += 1
        except LightmigrateError as error:
            logger.warning(
                "%s: column %s refuses NULL by a CHECK, and could not be declared NOT NULL again (%s): the next "
                "command that writes goes on with that", relation, column, error,
            )  # fmt: skip
    return done


def _declare_one(session: Session, table: sql.Identifier, column: sql.Identifier, constraint: sql.Identifier) -> None:
    def altering(*actions: str) -> sql.Composed:
        alter = [sql.SQL("ALTER TABLE {} " + action).format(table, c=column, k=constraint) for action in actions]
        return sql.SQL("; ").join(alter)

    session.end_vacuum(table)
    try:
        session.yielding(lambda: session.execute(altering("VALIDATE CONSTRAINT {k}")))
    except QueryError as error:
        if error.sqlstate != _VIOLATED:
            raise
        session.yielding(lambda: session.execute(altering("DROP CONSTRAINT {k}")))
        return
    # PostgreSQL takes over what the CHECK says as long as that is there
    session.yielding(lambda: session.execute(altering("ALTER {c} SET NOT NULL", "DROP CONSTRAINT {k}")))


def _name(table: Table, column: Column) -> sql.Identifier:
    return sql.Identifier(f"{FILLED}{table.oid}_{column.number}")
