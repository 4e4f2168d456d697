"""Build the indexes of a version while the application reads and writes; what was interrupted is built again."""

from __future__ import annotations

from psycopg import sql

from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.memory import build, needed_bytes
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table, read_table


def build_indexes(session: Session, incoming: PgCollection) -> None:
    """Build the indexes of the application's column on a version; writers need not wait. Writes; not in a transaction.

    An index whose build was interrupted is built again. The version of a part gets none: its vectors go into the
    application's column, with its indexes.
    """
    if incoming.part.value:
        return
    table = read_table(session, incoming.address.name)
    column = table.vector(incoming.column.name)
    existing, rows, dimension = table.specs_of(column), incoming.count(), incoming.dimension or 0
    for number, spec in enumerate(incoming.specs()):
        if spec in existing:
            continue
        name, needed = index_name(table, column, number), needed_bytes(spec, column.base, rows, dimension)
        if table.partitioned:
            _build_partitioned(session, table, column, spec, name, needed)
            continue
        drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(table.schema, name))
        session.execute(drop)
        build(session, index_statement(table.sql, column, spec, name, "CONCURRENTLY"), drop, needed)


def index_statement(
    on: sql.Composable, column: Column, spec: IndexSpec, name: str, how: str = "", *, only: bool = False
) -> sql.Composed:
    """The SQL statement that builds an index with these settings.

    Args:
        on: the quoted name of the table or partition.
        column: the vector column.
        spec: the settings.
        name: of the index.
        how: `CONCURRENTLY`, or nothing.
        only: whether the index of a partitioned table is made without those of its partitions.
    """
    options = (option.partition("=") for option in spec.options)
    parameters = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, _, value in options
    )
    expression = spec.expression(column.sql)
    statement = sql.SQL("CREATE INDEX {} {} ON {}{} USING {} ({} {}){}").format(
        sql.SQL(how),
        sql.Identifier(name),
        sql.SQL("ONLY " if only else ""),
        on,
        sql.Identifier(spec.method),
        sql.SQL("({})").format(expression) if spec.cast else expression,
        sql.Identifier(spec.operators),
        sql.SQL(" WITH ({})").format(parameters) if spec.options else sql.SQL(""),
    )
    where = spec.where(column.sql)
    return statement + sql.SQL(" WHERE " + where) if where else statement


def index_name(table: Table, column: Column, number: int) -> str:
    """What an index of a version is called; names of indexes are unique within a schema, not within a table."""
    return f"lightmigrate_{table.oid}_{column.number}_{number}"


def _build_partitioned(session: Session, table: Table, column: Column, spec: IndexSpec, name: str, needed: int) -> None:
    """Build an index on every partition, and attach each to that of the table above it."""
    parts = session.rows(
        sql.SQL("""
        SELECT p.relid::oid::int8, p.parentrelid::oid::int8, p.isleaf, n.nspname::text, c.relname::text
        FROM pg_partition_tree(%s::oid::regclass) p JOIN pg_class c ON c.oid = p.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY p.level"""),
        [table.oid],
    )
    names: dict[int, sql.Identifier] = {}
    for oid, _, leaf, schema, relation in parts:
        own = name if oid == table.oid else f"{name}_{oid}"
        names[oid] = sql.Identifier(schema, own)
        (valid,) = session.rows(
            sql.SQL("SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s))"),
            [names[oid].as_string()],
        )[0]
        on = sql.Identifier(schema, relation)
        if valid is False and leaf:  # its build was interrupted
            session.execute(sql.SQL("DROP INDEX {}").format(names[oid]))
        if valid is None or (valid is False and leaf):
            how = "CONCURRENTLY" if leaf else ""
            drop = sql.SQL("DROP INDEX IF EXISTS {}").format(names[oid])
            build(session, index_statement(on, column, spec, own, how, only=not leaf), drop, needed if leaf else 0)
    for oid, parent, *_ in reversed(parts):
        if oid != table.oid:
            session.execute(sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(names[parent], names[oid]))
