"""What depends on a vector column, and would stay with the old vectors when two columns exchange their names.

PostgreSQL binds views, constraints, generated columns, triggers, policies and functions to a column, not to its name.
In a partitioned table they can hang on the column of a single partition.
"""

from __future__ import annotations

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector import noting
from lightmigrate.stores.pgvector.building import index_statement
from lightmigrate.stores.pgvector.partitions import numbers_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import FILLED, Column, Table, read_partition_indexes


def require_none(session: Session, table: Table, column: Column) -> None:
    """Check that nothing depends on a column that cannot be carried over to another one. Only reads.

    Indexes on it, NOT NULL and lightmigrate's trigger can.

    Raises:
        LightmigrateError: something does; the message names it.
    """
    _require_no_object(session, table, column)
    require_carried(table, column)
    if table.partitioned:
        _require_no_index_of_a_partition(session, table, column)
        _require_same_null(session, table, column)


def require_carried(table: Table, column: Column, *, part: bool = False) -> None:
    """Check that every index of a table that names a column can be built for another one.

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
        raise _to_drop(index.name, table.schema, table.name, how)


# What depends on a column, and the views that depend on such views, which have to go before them. What a partition has
# from the table is named there. A view stands for its rule, and a generated column for its expression.
_OBJECTS = """
    WITH RECURSIVE found AS (
        SELECT d.classid, d.objid, d.objsubid, 0 AS depth
        FROM {table} m JOIN pg_attribute a ON a.attrelid = m.relid
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = m.relid AND d.refobjsubid = a.attnum
        LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        LEFT JOIN pg_constraint n ON d.classid = 'pg_constraint'::regclass AND n.oid = d.objid
        LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        WHERE a.attname = {column} AND NOT a.attisdropped
            AND d.classid <> 'pg_statistic_ext'::regclass AND c.relkind IS DISTINCT FROM 'i'
            AND c.relkind IS DISTINCT FROM 'I' AND n.contype IS DISTINCT FROM 'n'
            AND n.conislocal IS DISTINCT FROM false AND NOT starts_with(coalesce(n.conname, ''), {filled})
            AND (t.tgname IS NULL OR t.tgname <> ALL({triggers})) AND coalesce(t.tgparentid, 0) = 0
        UNION
        SELECT d.classid, d.objid, d.objsubid, f.depth + 1
        FROM found f JOIN pg_rewrite r ON f.classid = 'pg_rewrite'::regclass AND r.oid = f.objid
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.ev_class AND d.objid <> r.oid
        WHERE r.rulename = '_RETURN' AND d.classid = 'pg_rewrite'::regclass
    )
    SELECT replace(pg_describe_object(o.classid, o.objid, o.objsubid), 'rule _RETURN on ', ''), CASE
        WHEN r.rulename = '_RETURN' THEN 'DROP ' || CASE v.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END || 'VIEW '
            || (pg_identify_object('pg_class'::regclass, v.oid, 0)).identity
        WHEN n.oid IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I',
            (pg_identify_object('pg_class'::regclass, n.conrelid, 0)).identity, n.conname)
        WHEN g.attinhcount > 0 THEN NULL
        WHEN g.attnum > 0 THEN format('ALTER TABLE %s DROP COLUMN %I',
            (pg_identify_object('pg_class'::regclass, g.attrelid, 0)).identity, g.attname)
        WHEN p.oid IS NOT NULL THEN format('ALTER PUBLICATION %I DROP TABLE %s', b.pubname,
            (pg_identify_object('pg_class'::regclass, p.prrelid, 0)).identity)
        WHEN o.classid = 'pg_proc'::regclass THEN 'DROP ROUTINE ' || i.identity
        ELSE 'DROP ' || upper(i.type) || ' ' || i.identity END
    FROM (SELECT classid, objid, objsubid, max(depth) AS depth FROM found GROUP BY 1, 2, 3) o
    CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, o.objsubid) i
    LEFT JOIN pg_rewrite r ON o.classid = 'pg_rewrite'::regclass AND r.oid = o.objid
    LEFT JOIN pg_class v ON v.oid = r.ev_class
    LEFT JOIN pg_constraint n ON o.classid = 'pg_constraint'::regclass AND n.oid = o.objid
    LEFT JOIN pg_attrdef e ON o.classid = 'pg_attrdef'::regclass AND e.oid = o.objid
    LEFT JOIN pg_attribute g ON (g.attrelid, g.attnum) IN (
        (e.adrelid, e.adnum), (CASE o.classid WHEN 'pg_class'::regclass THEN o.objid END, o.objsubid))
    LEFT JOIN pg_publication_rel p ON o.classid = 'pg_publication_rel'::regclass AND p.oid = o.objid
    LEFT JOIN pg_publication b ON b.oid = p.prpubid
    ORDER BY o.depth DESC, 1"""


def _require_no_object(session: Session, table: Table, column: Column) -> None:
    rows = session.rows(
        sql.SQL(_OBJECTS).format(
            table=numbers_of(table), column=sql.Literal(column.name), filled=sql.Literal(FILLED),
            triggers=sql.Literal(list(noting.TRIGGERS)),
        ),
        prepare=True,
    )  # fmt: skip
    if rows:
        names, statements = ", ".join(name for name, _ in rows), "; ".join(drop for _, drop in rows if drop)
        depends, it = ("depends", "it") if len(rows) == 1 else ("depend", "them")
        raise LightmigrateError(
            f"{names} {depends} on column {column.name} of table {table.name} and would stay with the old vectors: "
            f"drop {it} first, and create {it} again afterwards:  {statements}"
        )


def _require_no_index_of_a_partition(session: Session, table: Table, column: Column) -> None:
    """Check that no partition has an index on the column that the table does not have.

    It is not built for the partition alone: PostgreSQL makes one of the table's own out of those that the partitions
    have, without building them again, and then new partitions get it, too.
    """
    rows = session.rows(
        sql.SQL("""
        SELECT m.relid::int8, n.nspname::text, c.relname::text
        FROM {} m JOIN pg_attribute a ON a.attrelid = m.relid JOIN pg_class c ON c.oid = m.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE m.relid <> {} AND a.attname = %s AND NOT a.attisdropped AND EXISTS (
            SELECT FROM pg_index i JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
            WHERE i.indrelid = m.relid AND i.indisvalid AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = m.relid AND d.refobjsubid = a.attnum
            AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid))
        ORDER BY 3 LIMIT 1""").format(numbers_of(table), sql.Literal(table.oid)),
        [column.name],
    )
    for oid, schema, relation in rows:
        index = next(each for each in read_partition_indexes(session, oid, column.name) if each.valid)
        if index.spec is None:
            raise _to_drop(
                index.name, schema, relation, f"names column {column.name} and would stay with the old vectors"
            )
        statement = index_statement(table.sql, column, index.spec, "").as_string()
        raise LightmigrateError(
            f"index {index.name} is on partition {relation} alone, and would stay with the old vectors; make it one of "
            f"table {table.name}, which takes over those that the partitions have:  {statement}"
        )


def _require_same_null(session: Session, table: Table, column: Column) -> None:
    rows = session.rows(
        sql.SQL("""
        SELECT n.nspname::text, c.relname::text
        FROM {} m JOIN pg_attribute a ON a.attrelid = m.relid JOIN pg_class c ON c.oid = m.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attname = %s AND NOT a.attisdropped AND a.attnotnull AND NOT %s ORDER BY 2 LIMIT 1""").format(
            numbers_of(table)
        ),
        [column.name, column.not_null],
    )
    for schema, relation in rows:
        statement = sql.SQL("ALTER TABLE {} ALTER {} DROP NOT NULL").format(
            sql.Identifier(schema, relation), column.sql
        )
        raise LightmigrateError(
            f"column {column.name} is NOT NULL in partition {relation} and not in table {table.name}, and would stay "
            f"so with the old vectors, which the application writes no more:  {statement.as_string()}"
        )


def _to_drop(index: str, schema: str, table: str, how: str) -> LightmigrateError:
    name = sql.Identifier(schema, index).as_string()
    return LightmigrateError(
        f"index {index} of table {table} {how}; drop it, and create it again afterwards:  DROP INDEX {name}"
    )
