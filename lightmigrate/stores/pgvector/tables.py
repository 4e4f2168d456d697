"""What PostgreSQL's catalog says about tables with vectors, and the columns that lightmigrate keeps in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import sql

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Metric
from lightmigrate.stores.pgvector.indexes import Index, IndexSpec, spec_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.values import kind_of

# The comment of lightmigrate's own columns is a JSON object with this key.
_MARK = "lightmigrate"

# Begins the names of CHECKs that stand for NOT NULL right after an exchange; see `not_null`.
FILLED = "lightmigrate_filled_"

# Usual names of the column with the embedded text.
_TEXTS = ("document", "content", "text", "page_content", "chunk", "body")


@dataclass(frozen=True)
class KeptColumn:
    """One version in a column that lightmigrate keeps: an object in the column's comment.

    A column of the versions of a whole table holds one. Versions of several parts share a column, because PostgreSQL
    allows a table 1,600 columns over its whole life, also those that are dropped.

    Attributes:
        own: name of the application's column.
        part: the value of the rows that it is for; empty for all rows.
        role: `new` or `old`; see `Role`.
        key: see `Version`.
        not_null: whether the application's column was declared NOT NULL.
        snapshot: a mark of the log from when it was replaced; for a part, PostgreSQL's snapshot alone.
        distance: that its index has, or is to get; `None` for that of the application's column.
        dimension: of its vectors; `None` where the column declares it.
    """

    own: str
    part: str
    role: str
    key: str
    not_null: bool = False
    snapshot: str = ""
    distance: Metric | None = None
    dimension: int | None = None

    def column_name(self, number: int = 0) -> str:
        """The name of a column for it.

        Args:
            number: tells columns of several parts apart.
        """
        names = ["parts", number] if self.part else [self.part, self.role, self.key]
        return f"{_MARK}_{hashlib.sha256(json.dumps([self.own, *names]).encode()).hexdigest()[:16]}"


def comment_of(kept: Sequence[KeptColumn]) -> str:
    """The comment of a column that holds these versions."""
    return json.dumps({_MARK: [asdict(each) for each in kept]})


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        number: PostgreSQL's number, which does not change with the name.
        name: its name.
        type: as SQL.
        base: its type without a modifier, such as `vector` or `halfvec`.
        kind: how its values are represented in a payload; `vector` for vectors of both kinds.
        not_null: whether it is declared NOT NULL, or is to be as soon as that was checked.
        dimension: of its vectors, where it is declared.
        written: whether a value can be written to it; a generated one cannot.
        comment: the application's.
        kept: the versions in it if lightmigrate keeps it; none in the application's own columns.
    """

    number: int
    name: str
    type: str
    base: str
    kind: str
    not_null: bool
    dimension: int | None
    written: bool
    comment: str | None
    kept: tuple[KeptColumn, ...]

    @property
    def sql(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.name)

    def version(self, part: str) -> KeptColumn | None:
        """The version of a part (or of all rows) in it; `None` when there is none."""
        return next((each for each in self.kept if each.part == part), None)


@dataclass(frozen=True)
class Table:
    """A table with vectors.

    Attributes:
        oid: PostgreSQL's own number.
        schema: the schema that it is in.
        relation: its name within the schema.
        name: as in an `Address`: with the schema if that is not on the search path.
        partitioned: whether its rows are in partitions.
        keys: the primary key; empty where there is none.
        columns: all of them.
        indexes: that name vector columns.
    """

    oid: int
    schema: str
    relation: str
    name: str
    partitioned: bool
    keys: tuple[Column, ...]
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]

    @property
    def sql(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.schema, self.relation)

    @property
    def own_vectors(self) -> list[Column]:
        """The application's vector columns."""
        return [column for column in self.columns if column.kind == "vector" and not column.kept]

    @property
    def kept(self) -> list[Column]:
        """The columns that lightmigrate keeps."""
        return [column for column in self.columns if column.kept]

    def vector(self, name: str) -> Column:
        """A vector column by name; an empty name means the application's only one."""
        own = self.own_vectors
        if not name and len(own) == 1:
            return own[0]
        for column in self.columns:
            if column.kind == "vector" and column.name == name:
                return column
        names = ", ".join(column.name for column in own)
        raise CollectionNotFoundError(f"table {self.name} has no vector column {name!r}; it has: {names}")

    def column(self, name: str) -> Column:
        """A column by name."""
        for column in self.columns:
            if column.name == name:
                return column
        names = ", ".join(column.name for column in self.columns if not column.kept)
        raise DatabaseError(f"table {self.name} has no column {name!r}; it has: {names}")

    def vector_name(self, column: str) -> str:
        """The name of a vector column in an address: empty where there is only one."""
        return "" if len(self.own_vectors) == 1 else column

    def text(self, name: str | None) -> Column | None:
        """The column of the embedded text: the named one, or one with a usual name; `None` when there is none."""
        if name is not None:
            return self.column(name)
        texts = {column.name: column for column in self.columns if column.type in ("text", "character varying")}
        free = [texts[usual] for usual in _TEXTS if usual in texts and texts[usual] not in self.keys]
        return free[0] if free else None

    def indexes_of(self, column: Column) -> list[Index]:
        """The valid indexes that name a vector column, by name."""
        return [index for index in self.indexes if index.column == column.number and index.valid]

    def specs_of(self, column: Column) -> list[IndexSpec]:
        """The settings of the valid indexes on a vector column, by name."""
        return [index.spec for index in self.indexes_of(column) if index.spec is not None]

    def metrics_of(self, column: Column) -> list[Metric]:
        """The distances that a column has indexes for, each once."""
        return list(dict.fromkeys(spec.metric for spec in self.specs_of(column) if spec.metric))


def read_table(session: Session, name: str) -> Table:
    """A table by the name in an `Address`; `CollectionNotFoundError` when there is none with vectors. Only reads."""
    for table in _tables(session, name):
        return table
    raise CollectionNotFoundError(f"no table {name} with a vector column in {session}")


def read_tables(session: Session) -> list[Table]:
    """All tables with a vector column, by name; only reads."""
    return sorted(_tables(session, None), key=lambda table: table.name)


# All about a table in one row, so that the server is asked once, and plans that once; lists are JSON as text, which has
# the encoding of the connection.
_TABLES = """
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind = 'p', named.name,
        ARRAY(SELECT k.number::int4 FROM pg_constraint p
            CROSS JOIN unnest(p.conkey) WITH ORDINALITY AS k (number, place)
            WHERE p.conrelid = c.oid AND p.contype = 'p' ORDER BY k.place),
        ({columns})::text, ({indexes})::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
        SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname ELSE n.nspname || '.' || c.relname END::text) named (
        name)
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND EXISTS (
        SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND t.typname IN ('vector', 'halfvec') AND a.attnum > 0 AND NOT a.attisdropped)"""

_COLUMNS = """
    SELECT json_agg(json_build_array(
            a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), t.typname,
            a.attnotnull OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid
                AND k.conkey = ARRAY[a.attnum] AND starts_with(k.conname, {filled})),
            a.atttypmod, a.attgenerated, col_description(a.attrelid, a.attnum)) ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped"""

_INDEXES = """
    SELECT json_agg(json_build_array(
            x.relname, i.indisvalid, m.amname, o.opcname, coalesce(x.reloptions, '{{}}'),
            pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid), i.indnatts, i.indkey[0],
            ARRAY(SELECT DISTINCT d.refobjsubid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
                AND d.refobjsubid > 0)) ORDER BY x.relname)
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE i.indrelid = {table} AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)"""


def _tables(session: Session, wanted: str | None) -> list[Table]:
    number = sql.SQL("c.oid")
    query = sql.SQL(_TABLES).format(columns=_columns_query(number), indexes=_indexes_query(number))
    if wanted is not None:
        parts = wanted.split(".")  # a name may have a point in it, too
        relations = [".".join(parts[place:]) for place in range(len(parts))]  # by which the catalog has an index
        query += sql.SQL(" AND c.relname = ANY({}) AND named.name = {}").format(
            sql.Literal(relations), sql.Literal(wanted)
        )
    return [_table(*row) for row in session.rows(query, prepare=True)]


def _columns_query(table: sql.Composable) -> sql.Composed:
    return sql.SQL(_COLUMNS).format(filled=sql.Literal(FILLED), table=table)


def _indexes_query(table: sql.Composable) -> sql.Composed:
    return sql.SQL(_INDEXES).format(table=table)


def read_partition_indexes(session: Session, oid: int, column: str) -> list[Index]:
    """The indexes of one partition, and not of its table, that name a vector column; only reads.

    Args:
        session: the connection.
        oid: the partition's number.
        column: the name of the column.
    """
    number = sql.Literal(oid)
    query = sql.SQL("SELECT ({})::text, ({})::text").format(_columns_query(number), _indexes_query(number))
    described, indexes = session.rows(query)[0]
    columns = _columns(described)
    return [index for index in _indexes(indexes, columns) if columns[index.column].name == column]


def _table(
    oid: int,
    schema: str,
    relation: str,
    partitioned: bool,
    name: str,
    keys: list[int],
    described: str | None,
    indexes: str | None,
) -> Table:
    columns = _columns(described)
    return Table(
        oid=oid,
        schema=schema,
        relation=relation,
        name=name,
        partitioned=partitioned,
        keys=tuple(columns[number] for number in keys),
        columns=tuple(columns.values()),
        indexes=tuple(_indexes(indexes, columns)),
    )


def _columns(described: str | None) -> dict[int, Column]:
    return {column.number: column for column in map(_column, json.loads(described or "[]"))}


def _column(described: list[Any]) -> Column:
    number, name, type_sql, type_name, not_null, modifier, generated, comment = described
    vector = type_name in ("vector", "halfvec")
    kind = "vector" if vector else kind_of(type_name)
    dimension = modifier if vector and modifier > 0 else None
    kept = _kept(comment) if vector else ()
    return Column(number, name, type_sql, type_name, kind, not_null, dimension, not generated, comment, kept)


def _indexes(described: str | None, columns: dict[int, Column]) -> list[Index]:
    indexes = []
    for index in json.loads(described or "[]"):
        name, valid, method, operators, options, expression, predicate, width, first, numbers = index
        for number in numbers:
            column = columns[number]
            if column.kind == "vector":
                # the first key is 0 where it is an expression, of this column or of another that has an entry, too
                alone = width == 1 and first in (0, number)
                spec = spec_of(column.name, method, operators, options, expression, predicate) if alone else None
                indexes.append(Index(name, number, valid, alone, spec))
    return indexes


def _kept(comment: str | None) -> tuple[KeptColumn, ...]:
    try:
        content = json.loads(comment or "")
    except ValueError:
        return ()
    kept = content.get(_MARK) if isinstance(content, dict) else None
    kept = [kept] if isinstance(kept, dict) else kept  # an earlier version kept one
    return tuple(KeptColumn(**each) for each in kept) if isinstance(kept, list) else ()
