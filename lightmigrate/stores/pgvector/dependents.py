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
    """Check that nothing depends on a column, except indexes, NOT NULL and lightmigrate's trigger. Only reads.

    Raises:
        LightmigrateError: something does; the message names it.
    """
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
