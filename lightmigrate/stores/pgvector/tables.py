"""What PostgreSQL's catalog says about tables with vectors, and the columns that lightmigrate keeps in them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from psycopg import sql

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Metric, Role
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.values import kind_of

# The comment of lightmigrate's own columns is a JSON object with this key.
_MARK = "lightmigrate"

# Usual names of the column with the embedded text.
_TEXTS = ("document", "content", "text", "page_content", "chunk", "body")

METRICS: dict[str, Metric] = {"vector_l2_ops": "l2", "vector_cosine_ops": "cosine", "vector_ip_ops": "ip"}


@dataclass(frozen=True)
class IndexSpec:
    """The settings of an index: method, operator class and parameters (`m=16`)."""

    method: str
    operators: str
    options: tuple[str, ...]

    @property
    def metric(self) -> Metric | None:
        """The distance it is for; `None` for another one than those of `Metric`."""
        return METRICS.get(self.operators)

    def by(self, distance: Metric | None) -> IndexSpec:
        """The same settings for another distance; `None` keeps it, and an index without a `Metric` stays as it is."""
        if distance is None or self.metric is None:
            return self
        return replace(self, operators=next(name for name, metric in METRICS.items() if metric == distance))


@dataclass(frozen=True)
class Index:
    """An index on a single vector column."""

    name: str
    column: int
    valid: bool
    spec: IndexSpec


@dataclass(frozen=True)
class KeptColumn:
    """The content of the comment of a column that lightmigrate keeps.

    Attributes:
        own: name of the application's column.
        part: the collection in the table; see `Address`.
        role: `new` or `old`; see `Role`.
        key: see `Version`.
        not_null: whether the application's column was declared NOT NULL.
        snapshot: PostgreSQL's snapshot at the time when it was replaced.
        distance: that its index has, or is to get; `None` for that of the application's column.
    """

    own: str
    part: str
    role: str
    key: str
    not_null: bool = False
    snapshot: str = ""
    distance: Metric | None = None

    @property
    def name(self) -> str:
        """The name of the column."""
        identity = json.dumps([self.own, self.part, self.role, self.key])
        return f"{_MARK}_{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    def comment(self) -> str:
        """The text of the comment."""
        return json.dumps({_MARK: asdict(self)})


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        number: PostgreSQL's number, which does not change with the name.
        name: its name.
        type: as SQL.
        kind: how its values are represented in a payload; `vector` for vectors.
        not_null: whether it is declared NOT NULL.
        dimension: of its vectors, where it is declared.
        written: whether a value can be written to it; a generated one cannot.
        comment: the application's.
        kept: the content of its comment if lightmigrate keeps it; `None` for the application's own columns.
    """

    number: int
    name: str
    type: str
    kind: str
    not_null: bool
    dimension: int | None
    written: bool
    comment: str | None
    kept: KeptColumn | None

    @property
    def sql(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.name)


@dataclass(frozen=True)
class Table:
    """A table with vectors.

    Attributes:
        oid: PostgreSQL's own number.
        schema: the schema that it is in.
        relation: its name within the schema.
        name: as in an `Address`: with the schema if that is not on the search path.
        keys: the primary key; empty where there is none.
        columns: all of them.
        indexes: on vector columns.
    """

    oid: int
    schema: str
    relation: str
    name: str
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
        return [column for column in self.columns if column.kind == "vector" and column.kept is None]

    @property
    def kept(self) -> list[Column]:
        """The columns that lightmigrate keeps."""
        return [column for column in self.columns if column.kept is not None]

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
        names = ", ".join(column.name for column in self.columns if column.kept is None)
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
        """The valid indexes on a vector column, by name."""
        return [index for index in self.indexes if index.column == column.number and index.valid]

    def metrics_of(self, column: Column) -> list[Metric]:
        """The distances that a column has indexes for, each once."""
        return list(dict.fromkeys(index.spec.metric for index in self.indexes_of(column) if index.spec.metric))

    def specs_for(self, version: Column, own: Column) -> list[IndexSpec]:
        """The settings of the indexes that a version gets: those of the application's column, for its distance."""
        distance = version.kept.distance if version.kept else None
        return [index.spec.by(distance) for index in self.indexes_of(own)]


def backup_of(column: Column, *, part: str, key: str, snapshot: str, distance: Metric | None) -> KeptColumn:
    """The comment of an application's column that becomes a backup."""
    return KeptColumn(column.name, part, Role.BACKUP.value, key, column.not_null, snapshot, distance)


def replaced(kept: KeptColumn, *, key: str, not_null: bool, snapshot: str) -> KeptColumn:
    """The comment of a version after its values were exchanged with the application's."""
    return replace(kept, role=Role.BACKUP.value, key=key, not_null=not_null, snapshot=snapshot)


def read_table(session: Session, name: str) -> Table:
    """A table by the name in an `Address`; `CollectionNotFoundError` when there is none with vectors. Only reads."""
    for table in read_tables(session):
        if table.name == name:
            return table
    raise CollectionNotFoundError(f"no table {name} with a vector column in {session}")


def read_tables(session: Session) -> list[Table]:
    """All tables with a vector column, by name; only reads."""
    rows = session.rows(
        sql.SQL("""
        SELECT c.oid::int8, n.nspname::text, c.relname::text, pg_table_is_visible(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND EXISTS (
            SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = c.oid AND t.typname = 'vector' AND a.attnum > 0 AND NOT a.attisdropped)""")
    )
    tables = [_table(session, oid, schema, name, visible) for oid, schema, name, visible in rows]
    return sorted(tables, key=lambda table: table.name)


def _table(session: Session, oid: int, schema: str, relation: str, visible: bool) -> Table:
    described = session.rows(
        sql.SQL("""
        SELECT a.attnum::int4, a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text, a.attnotnull,
            a.atttypmod::int4, a.attgenerated::text, col_description(a.attrelid, a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""),
        [oid],
    )
    columns = {}
    for number, name, type_sql, type_name, not_null, modifier, generated, comment in described:
        vector = type_name == "vector"
        kept = _kept(comment) if vector else None
        columns[number] = Column(
            number, name, type_sql, "vector" if vector else kind_of(type_name), not_null,
            modifier if vector and modifier > 0 else None, not generated, comment, kept,
        )  # fmt: skip
    keys = session.rows(
        sql.SQL("""
        SELECT k.number::int4 FROM pg_constraint c CROSS JOIN unnest(c.conkey) WITH ORDINALITY AS k (number, place)
        WHERE c.conrelid = %s AND c.contype = 'p' ORDER BY k.place"""),
        [oid],
    )
    indexes = session.rows(
        sql.SQL("""
        SELECT c.relname::text, i.indkey[0]::int4, i.indisvalid, m.amname::text, o.opcname::text,
            coalesce(c.reloptions, '{}')
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        JOIN pg_opclass o ON o.oid = i.indclass[0]
        WHERE i.indrelid = %s AND i.indnatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY c.relname"""),
        [oid],
    )
    return Table(
        oid=oid,
        schema=schema,
        relation=relation,
        name=relation if visible else f"{schema}.{relation}",
        keys=tuple(columns[number] for (number,) in keys),
        columns=tuple(columns.values()),
        indexes=tuple(
            Index(name, number, valid, IndexSpec(method, operators, tuple(sorted(options))))
            for name, number, valid, method, operators, options in indexes
            if columns[number].kind == "vector"
        ),
    )


def _kept(comment: str | None) -> KeptColumn | None:
    try:
        content = json.loads(comment or "")
    except ValueError:
        return None
    return KeptColumn(**content[_MARK]) if isinstance(content, dict) and _MARK in content else None
