"""What depends on a vector column, and would stay with the old vectors when two columns exchange their names.

PostgreSQL binds views, constraints, generated columns, triggers, policies and functions to a column, not to its name.
"""

from __future__ import annotations

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector import log
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table


def require_none(session: Session, table: Table, column: Column) -> None:
    """Check that nothing depends on a column that cannot be carried over to another one. Only reads.

    Indexes on it, NOT NULL and lightmigrate's trigger can.

    Raises:
        LightmigrateError: something does; the message names it.
    """
    _require_no_object(session, table, column)
    require_carried(table, column)


def require_carried(table: Table, column: Column, *, part: bool = False) -> None:
    """Check that every index that names a column can be built for another one.

    Args:
        table: the table.
        column: the vector column.
        part: whether only the vectors of a part are replaced: what names the column goes on doing so.

    Raises:
        LightmigrateError: one cannot.
    """
    for index in table.indexes_of(column):
        if index.spec is not None or (part and not index.on_column):
            continue
        how = (
            "is on an expression that cannot be carried over to another column"
            if index.on_column
            else f"names column {column.name} in its condition or beside others, and would stay with the old vectors"
        )
        name = sql.Identifier(table.schema, index.name).as_string()
        raise LightmigrateError(
            f"index {index.name} of table {table.name} {how}; drop it, and create it again afterwards:  "
            f"DROP INDEX {name}"
        )


def _require_no_object(session: Session, table: Table, column: Column) -> None:
    rows = session.rows(
        sql.SQL("""
        SELECT DISTINCT replace(pg_describe_object(d.classid, d.objid, d.objsubid), 'rule _RETURN on ', '')
        FROM pg_depend d
        LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        LEFT JOIN pg_constraint n ON d.classid = 'pg_constraint'::regclass AND n.oid = d.objid
        LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %s AND d.refobjsubid = %s
            AND d.classid <> 'pg_statistic_ext'::regclass AND c.relkind IS DISTINCT FROM 'i'
            AND c.relkind IS DISTINCT FROM 'I' AND n.contype IS DISTINCT FROM 'n'
            AND (t.tgname IS NULL OR t.tgname <> ALL(%s))
        ORDER BY 1"""),
        [table.oid, column.number, list(log.TRIGGERS)],
    )
    if rows:
        names = ", ".join(name for (name,) in rows)
        raise LightmigrateError(
            f"{names} depends on column {column.name} of table {table.name} and would stay with the old vectors: drop "
            "it first, and create it again afterwards"
        )
