"""Tables of known applications, recognised by their columns: where the text is, and which collections share a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from lightmigrate.stores.pgvector.readable import require_readable
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table


@dataclass(frozen=True)
class Layout:
    """The tables of one application.

    Attributes:
        columns: that such a table has, at least.
        text: the column with the embedded text; `None` where it is in the metadata.
        part: the column that identifies the collections in one table; `None` where a table is one collection.
        name: the column with a collection's name, in the table that `part` refers to; empty where `part` is the name.
        padded: whether vectors are filled up with zeros to the column's dimension.
    """

    columns: frozenset[str]
    text: str | None
    part: str | None = None
    name: str = ""
    padded: bool = False


LAYOUTS: Mapping[str, Layout] = {
    "LangChain (PGVector)": Layout(
        frozenset({"id", "collection_id", "embedding", "document", "cmetadata"}), "document", "collection_id", "name"
    ),
    "LangChain (PGVectorStore)": Layout(frozenset({"langchain_id", "content", "embedding"}), "content"),
    "LlamaIndex": Layout(frozenset({"id", "text", "metadata_", "node_id", "embedding"}), "text"),
    "Open WebUI": Layout(
        frozenset({"id", "vector", "collection_name", "text", "vmetadata"}), "text", "collection_name", padded=True
    ),
    "AnythingLLM": Layout(frozenset({"id", "namespace", "embedding", "metadata"}), None, "namespace"),
}


@dataclass(frozen=True)
class TableUse:
    """How an application uses a table.

    Attributes:
        text: the column with the embedded text; `None` for none, or for one with a usual name.
        part: the column that identifies the collections in it; `None` where it is one collection.
        labels: what a collection is called, by the value of `part`; for others the value itself.
        padded: whether vectors are filled up with zeros.
        no_text: whether no column holds the text.
    """

    text: str | None = None
    part: str | None = None
    labels: Mapping[str, str] | None = None
    padded: bool = False
    no_text: bool = False

    def label(self, value: str) -> str:
        """What the collection with this value is called."""
        return (self.labels or {}).get(value, value)

    def value(self, label: str) -> str:
        """The value of a collection that is called so."""
        return next((value for value, name in (self.labels or {}).items() if name == label), label)

    def splits(self, column: Column) -> bool:
        """Whether several collections share a vector column.

        Where the column has a dimension, all rows are of one model, unless they are padded: it is one collection.
        """
        return self.part is not None and (column.dimension is None or self.padded or self.labels is None)


def use_of(session: Session, table: Table, text: str | None, part: str | None) -> TableUse:
    """How an application uses a table. Only reads.

    Args:
        session: the connection.
        table: the table.
        text: the column with the text, if the caller named it.
        part: the column that identifies collections, if the caller named it.
    """
    names = {column.name for column in table.columns}
    layout = next((each for each in LAYOUTS.values() if each.columns <= names), None)
    if layout is None or part is not None:
        return TableUse(text, part)
    labels: Mapping[str, str] = {}
    if layout.part and layout.name:
        labels = _labels(session, table, layout.part, layout.name)
    no_text = layout.text is None and text is None
    return TableUse(text or layout.text, layout.part, labels, layout.padded, no_text)


def _labels(session: Session, table: Table, part: str, name: str) -> Mapping[str, str]:
    """The names of collections by the key that a column refers to; those that occur twice are left out."""
    referred = session.rows(
        sql.SQL("""
        SELECT r.oid::int8, n.nspname::text, r.relname::text, k.attname::text
        FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
        JOIN pg_attribute k ON k.attrelid = r.oid AND k.attnum = c.confkey[1]
        JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = %s
        WHERE c.conrelid = %s AND c.contype = 'f' AND c.conkey = ARRAY[%s]::int2[]"""),
        [name, table.oid, table.column(part).number],
    )
    if not referred:
        return {}
    oid, schema, relation, key = referred[0]
    require_readable(session, oid)
    rows = session.rows(
        sql.SQL("SELECT {}::text, {}::text FROM {}").format(
            sql.Identifier(key), sql.Identifier(name), sql.Identifier(schema, relation)
        )
    )
    times = Counter(label for _, label in rows)
    return {value: label for value, label in rows if label and times[label] == 1}
