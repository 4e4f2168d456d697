"""Build the indexes of a version while the application reads and writes; what was interrupted is built again."""

from __future__ import annotations

from psycopg import sql

from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.memory import build, needed_bytes
from lightmigrate.stores.pgvector.partitions import relations_of
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
    existing = table.specs_of(column)
    wanted = [(number, spec) for number, spec in enumerate(incoming.specs()) if spec not in existing]
    if not wanted:
        return
    rows, dimension = incoming.count(), incoming.dimension or 0
    for number, spec in wanted:
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
        name: of the index; PostgreSQL chooses one where it is empty.
        how: `CONCURRENTLY`, or nothing.
        only: whether the index of a partitioned table is made without those of its partitions.
    """
    options = (option.partition("=") for option in spec.options)
    parameters = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, _, value in options
    )
    expression = spec.expression(column.sql)
    statement = sql.SQL("CREATE INDEX {}{}ON {}{} USING {} ({} {}){}").format(
        sql.SQL(how and f"{how} "),
        sql.SQL("{} ").format(sql.Identifier(name)) if name else sql.SQL(""),
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
    relations = relations_of(session, table)
    names: dict[int, sql.Identifier] = {}
    for relation in relations:
        own = name if relation.parent is None else f"{name}_{relation.oid}"
        names[relation.oid] = sql.Identifier(relation.schema, own)
        (valid,) = session.rows(
            sql.SQL("SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s))"),
            [names[relation.oid].as_string()],
        )[0]
        if relation.leaf:
            if valid is not True:  # there is none, or its build was interrupted
                drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(names[relation.oid])
                session.execute(drop)
                build(session, index_statement(relation.sql, column, spec, own, "CONCURRENTLY"), drop, needed)
        elif valid is None:
            _give_way(session, index_statement(relation.sql, column, spec, own, only=True))
    for relation in reversed(relations):
        if relation.parent is not None:
            attach = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(names[relation.parent], names[relation.oid])
            _give_way(session, attach)


def _give_way(session: Session, statement: sql.Composable) -> None:
    """Run a statement that takes no time and a lock on the table, for which nobody who comes later is to wait long."""
    session.yielding(lambda: session.execute(statement))
