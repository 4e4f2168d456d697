"""The relations that a table consists of: itself and, where it is partitioned, its partitions at every level.

An application can give a single partition what the table does not have: an index, a trigger, a view, NOT NULL, a grant.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Table


@dataclass(frozen=True)
class Relation:
    """A table or a partition.

    Attributes:
        oid: PostgreSQL's own number.
        parent: the number of the table that it is a partition of; `None` for the table itself.
        leaf: whether rows are in it, rather than in partitions of it.
        schema: the schema that it is in.
        name: its name within the schema.
    """

    oid: int
    parent: int | None
    leaf: bool
    schema: str
    name: str

    @property
    def sql(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.schema, self.name)


def numbers_of(table: Table) -> sql.Composed:
    """A query for the numbers of a table's relations, in parentheses; its column is `relid`."""
    if not table.partitioned:
        return sql.SQL("(SELECT {}::oid AS relid)").format(sql.Literal(table.oid))
    return sql.SQL(
        "(SELECT {0}::oid AS relid UNION SELECT relid::oid FROM pg_partition_tree({0}::oid::regclass))"
    ).format(sql.Literal(table.oid))


def relations_of(session: Session, table: Table) -> list[Relation]:
    """The relations of a table, each after the one that it is a partition of. Only reads."""
    if not table.partitioned:
        return [Relation(table.oid, None, True, table.schema, table.relation)]
    rows = session.rows(
        sql.SQL("""
        SELECT p.relid::oid::int8, CASE WHEN p.level > 0 THEN p.parentrelid::oid::int8 END, p.isleaf, n.nspname::text,
            c.relname::text
        FROM pg_partition_tree(%s::oid::regclass) p JOIN pg_class c ON c.oid = p.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY p.level, p.relid"""),
        [table.oid],
    )
    return [Relation(*row) for row in rows]
