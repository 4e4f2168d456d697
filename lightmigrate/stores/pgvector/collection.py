"""One collection in PostgreSQL: the rows of a table, or of a part of it, whose vector column is not NULL.

A version of a collection is another vector column of the same rows. Writing to a version writes only vectors, and
removing records from it sets their vectors to NULL: rows, texts and payloads belong to the live collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from psycopg import sql

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page, Payload, Role, WrittenRecords
from lightmigrate.stores.defaults import facts_at
from lightmigrate.stores.page import batches
from lightmigrate.stores.pgvector import log, noting
from lightmigrate.stores.pgvector.distances import OPERATORS, as_metric
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.layouts import TableUse
from lightmigrate.stores.pgvector.part import Part
from lightmigrate.stores.pgvector.session import Row, Session
from lightmigrate.stores.pgvector.tables import Column, Table
from lightmigrate.stores.pgvector.values import decode_key, encode, encode_key
from lightmigrate.stores.pgvector.vectors import (
    as_array,
    as_stored,
    padded,
    read_vectors,
    used_numbers,
    without_padding,
)
from lightmigrate.stores.pgvector.writing import key_texts, remove_rows, write_rows, write_vectors
from lightmigrate.vectors import Vectors

# Records per query, and ids alone.
_BATCH, _IDS_AT_ONCE = 2000, 20_000

# Vectors that one statement searches for.
_VECTORS_AT_ONCE = 500

# Vectors that show which of their numbers are padding.
_PADDED_ROWS = 64

# `ef_search` of an HNSW index: pgvector's default and its maximum.
_EF_SEARCH, _MOST_EF_SEARCH = 40, 1000


class PgCollection:
    """See `stores.base.Collection`. Bound to names: after an exchange it refers to the collection with that name.

    Args:
        session: the connection.
        address: of the collection or version.
        table: that holds it.
        use: how the application uses the table.
        metric: the distance where the column has no index.

    Raises:
        CollectionNotFoundError: there is no such column, or no such version in it.
        DatabaseError: the table has no primary key, or no column is known that identifies its collections.
    """

    def __init__(self, session: Session, address: Address, *, table: Table, use: TableUse, metric: Metric) -> None:
        self._session = session
        self._address = address
        self._fallback_metric = metric
        self.table, self.use = table, use
        if not table.keys:
            raise DatabaseError(
                f"table {table.name} has no primary key to tell its rows apart:  ALTER TABLE "
                f"{table.sql.as_string()} ADD PRIMARY KEY (…)"
            )
        if address.part and use.part is None:
            raise DatabaseError(f"{address}: no column is known that holds {address.part!r}; name one in `parts`")
        self.column = table.vector(address.vector)
        column = None if use.part is None else table.column(use.part)
        self.part = Part(column, use.value(address.part) if address.part else "")
        self.kept = self.column.version(self.part.value)
        if self.column.kept and self.kept is None:
            raise CollectionNotFoundError(f"there is no version {address}")
        self.text = None if use.no_text else table.text(use.text)
        self.opened_id = self.id

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def id(self) -> str:
        """Identifies the column's content: PostgreSQL's numbers and, for a part, the key of its newest backup."""
        number = f"{self.table.oid}.{self.column.number}"
        if not self.part.value:
            return number
        entries = [each for column in self.table.kept if (each := column.version(self.part.value))]
        kept = [each for each in entries if (each.own, each.role) == (self.column.name, Role.BACKUP.value)]
        newest = max((each.key for each in kept), default="" if self.kept is None else self.kept.key)
        return number + (f".{newest}" if newest else "")

    @property
    def own(self) -> Column:
        """The application's column: this column, or the one that it is a version of."""
        return self.column if self.kept is None else self.table.column(self.kept.own)

    @property
    def metric(self) -> Metric:
        """Its distance: that of an index on this column, that it is to get, or that of the application's column."""
        kept = self.kept.distance if self.kept else None
        of_this, of_own = (self.table.metrics_of(column) for column in (self.column, self.own))
        return next(metric for metric in (*of_this[:1], kept, *of_own[:1], self._fallback_metric) if metric)

    @property
    def dimension(self) -> int | None:
        """The declared one, that of its version, or that of its first vectors; only reads."""
        if self.kept is not None and self.kept.dimension is not None:
            return self.kept.dimension
        if self.column.dimension is not None and not self.use.padded:
            return self.column.dimension
        rows = self._select(sql.SQL("t.{}").format(self.column.sql), tail=sql.SQL(" LIMIT {}").format(_PADDED_ROWS))
        if not rows:
            return None
        vectors = read_vectors([row[0] for row in rows], self.column.base)
        return used_numbers(vectors) if self.use.padded else int(vectors.shape[1])

    @cached_property
    def used(self) -> int | None:
        """The numbers of a padded vector that are the model's; `None` where all are."""
        return self.dimension if self.use.padded else None

    def facts(self, count: int | None = None) -> CollectionFacts:
        """What the database says about it; only reads. PostgreSQL records no embedding model.

        Args:
            count: number of records, where it is known.
        """
        counted = self.count() if count is None else count
        return facts_at(self._address, counted, self.dimension, self.metric, None, self.id)

    def count(self) -> int:
        """Number of records."""
        return int(self._select(sql.SQL("count(*)"))[0][0])

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order of the primary key; only reads."""
        for rows in self._rows(self._expressions(vectors), size, after):
            page = self._page(rows, vectors)
            yield Page(page.ids, page.vectors, page.texts, page.payloads, page.ids[-1])

    def _rows(self, expressions: sql.Composable, size: int, after: Cursor | None) -> Iterator[list[Row]]:
        """Expressions of all rows, the key first, in its order, `size` at a time."""
        while True:
            start: tuple[str, ...] = ()
            condition: sql.Composable = sql.SQL("")
            if after is not None:
                start = decode_key(after, len(self._keys)) or ()
                condition = sql.SQL(" AND ({}) > ({})").format(self._order, self._typed_values())
            tail = sql.SQL("{} ORDER BY {} LIMIT {}").format(condition, self._order, sql.Literal(size))
            rows = self._select(expressions, start, tail)
            if not rows:
                return
            after = encode_key(rows[-1][: len(self._keys)])
            yield rows

    def sample(self, n: int, seed: int = 0) -> Page:
        """The n records whose keys have the smallest hashes, from all over the table. Reads all keys and n records."""
        keys = sql.SQL(", ").join(key_texts(self.table))
        hashed = sql.SQL("hashtextextended(ROW({})::text, {})").format(keys, sql.Literal(seed))
        tail = sql.SQL(" ORDER BY {}, {} LIMIT {}").format(hashed, self._order, sql.Literal(n))
        return self.records(sorted(encode_key(key) for key in self._select(keys, tail=tail)))

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads."""
        keys = sql.SQL(", ").join(key_texts(self.table))
        return (encode_key(row) for rows in self._rows(keys, _IDS_AT_ONCE, None) for row in rows)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        return Page.joined([self._some(part) for part in batches(list(dict.fromkeys(ids)), _BATCH)])

    def _some(self, ids: Sequence[str]) -> Page:
        keys = [key for record in ids if (key := decode_key(record, len(self._keys)))]
        if not keys:
            return self._page([], True)
        names = [sql.Identifier(f"k{place}") for place in range(len(self._keys))]
        join = sql.SQL(" JOIN unnest({}) WITH ORDINALITY AS asked ({}, place) ON {}")
        arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(names))
        exact, typed = (
            join.format(
                arrays,
                sql.SQL(", ").join(names),
                sql.SQL(" AND ").join(
                    sql.SQL("t.{}::text = asked.{}" + (" AND t.{} = asked.{}::" + column.type if cast_ else "")).format(
                        *[column.sql, name] * (2 if cast_ else 1)
                    )
                    for column, name in zip(self._keys, names, strict=True)
                ),
            )
            for cast_ in (False, True)
        )
        values = [list(column) for column in zip(*keys, strict=True)]
        query, parameters = self._query(self._expressions(True), sql.SQL(" ORDER BY asked.place"), typed)
        plain, _ = self._query(self._expressions(True), sql.SQL(" ORDER BY asked.place"), exact)
        given = [*values, *parameters]
        rows = self._session.trying(lambda: self._session.rows(query, given), lambda: self._session.rows(plain, given))
        return self._page(rows, True)

    def add(self, page: Page) -> None:
        """Write new rows; in a version, the vectors of existing rows."""
        write_rows(self._session, self, page, replace=False)

    def put(self, page: Page) -> None:
        """Write rows; rows of the same keys are replaced. In a version, write the vectors of existing rows."""
        write_rows(self._session, self, page, replace=True)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records."""
        write_vectors(self._session, self, ids, vectors, sql.SQL(" AND t.{} IS NOT NULL").format(self.column.sql))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete rows; in a version, set their vectors to NULL."""
        remove_rows(self._session, self, ids)

    def as_stored(self, vectors: Vectors) -> Vectors:
        """See `stores.base.Rounding`: a `halfvec` column stores float16."""
        return as_stored(vectors, self.column.base)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        metric, width = self.metric, self.column.dimension
        spec = next((each for each in self.table.specs_of(self.column) if each.metric == metric), None)
        column = sql.SQL("t.{}").format(self.column.sql)
        indexed = column if spec is None or spec.cast == "binary" else spec.expression(column)
        kind = "halfvec" if self.column.base == "halfvec" or (spec and spec.cast == "halfvec") else "vector"
        distance = sql.SQL("{}::vector " + OPERATORS[metric] + " asked.v").format(column)
        expressions = sql.SQL(", ").join([*key_texts(self.table), distance])
        ordered = sql.SQL(" ORDER BY {} " + OPERATORS[metric] + " asked.v::" + kind).format(indexed)
        search, values = self._query(expressions, ordered + sql.SQL(" LIMIT {}").format(sql.Literal(k)), sql.SQL(""))
        # one statement for all vectors, which the server plans once; it searches the index anew for each
        query = sql.SQL(
            "SELECT asked.place::int4, found.* FROM unnest(%s::vector[]) WITH ORDINALITY AS asked (v, place), "
            "LATERAL ({}) found"
        ).format(search)
        settings = {"hnsw.ef_search": str(min(max(k, _EF_SEARCH), _MOST_EF_SEARCH))}
        if not self.part.value:  # an index on the rows of all parts may find too few of one
            settings["enable_seqscan"] = "off"
        results: list[list[Row]] = [[] for _ in vectors]
        with self._session.transaction():
            self._session.set(settings, local=True)
            for some in batches(range(len(vectors)), _VECTORS_AT_ONCE):
                asked = vectors[list(some)] if width is None else padded(vectors[list(some)], width)
                given = as_array(asked, self._session.number_of("vector"))
                for place, *row in self._session.rows(query, [given, *values]):
                    results[some[place - 1]].append(tuple(row))
        nearest = [sorted(rows, key=lambda row: float(row[-1])) for rows in results]
        ids = [[encode_key(row[:-1]) for row in rows] for rows in nearest]
        return ids, [[as_metric(metric, row[-1]) for row in rows] for rows in nearest]

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its distance and the indexes on its vectors; for a version being built, the indexes that it will get."""
        building = self.kept is not None and (self.kept.role == Role.BUILDING.value or bool(self.part.value))
        specs = self.specs() if building else self.table.specs_of(self.column)
        indexes = [spec.by(distance).settings() for spec in specs]
        return {"metric": distance or self.metric, "indexes": sorted(indexes, key=str)}

    def specs(self) -> list[IndexSpec]:
        """The settings of the indexes that a version gets: those of the application's column, for its distance."""
        dimension = self.dimension or self.own.dimension or 0
        specs = self.table.specs_of(self.own)
        if self.part.value:  # the rows of a part go into the application's column, with its indexes
            return specs
        return [spec.by(self.kept.distance if self.kept else None).of(self.column.base, dimension) for spec in specs]

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written since an earlier `changes`; `None` while no version is kept and so no log."""
        if not noting.is_on(self._session, self.table):
            return None
        return log.written(self._session, self.table, self.part, since, touched=True)

    @property
    def _keys(self) -> tuple[Column, ...]:
        return self.table.keys

    @cached_property
    def payload_columns(self) -> list[Column]:
        """The columns that are neither vector, key, text nor the one that identifies collections."""
        text, part = (each.name if each else "" for each in (self.text, self.part.column if self.part.value else None))
        others = {*(key.name for key in self._keys), text, part}
        return [column for column in self.table.columns if column.kind != "vector" and column.name not in others]

    @property
    def _order(self) -> sql.Composed:
        # with `t`: the result has columns of the same names, which are text
        return sql.SQL(", ").join(sql.SQL("t.{}").format(column.sql) for column in self._keys)

    def _typed_values(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("%s::" + column.type) for column in self._keys)

    def _expressions(self, vectors: bool) -> sql.Composed:
        columns: list[sql.Composable] = [*key_texts(self.table)]
        columns.append(sql.SQL("t.{}").format(self.column.sql) if vectors else sql.SQL("NULL"))
        columns.append(sql.SQL("t.{}::text").format(self.text.sql) if self.text else sql.SQL("NULL"))
        for column in self.payload_columns:
            form = "to_jsonb(t.{})::text" if column.kind == "array" else "t.{}::text"
            columns.append(sql.SQL(form).format(column.sql))
        return sql.SQL(", ").join(columns)

    def _query(
        self, expressions: sql.Composable, tail: sql.Composable, join: sql.Composable
    ) -> tuple[sql.Composed, list[object]]:
        query = sql.SQL("SELECT {} FROM {} t{} WHERE t.{} IS NOT NULL{}{}").format(
            expressions, self.table.sql, join, self.column.sql, self.part.condition("t"), tail
        )
        return query, self.part.values

    def _select(
        self, expressions: sql.Composable, values: Sequence[object] = (), tail: sql.Composable | None = None
    ) -> list[Row]:
        query, parameters = self._query(expressions, tail or sql.SQL(""), sql.SQL(""))
        return self._session.rows(query, [*parameters, *values])

    def _page(self, rows: Sequence[Row], vectors: bool) -> Page:
        n = len(self._keys)
        return Page(
            ids=[encode_key(row[:n]) for row in rows],
            vectors=self._vectors([row[n] for row in rows]) if vectors else np.zeros((len(rows), 0), np.float32),
            texts=[row[n + 1] for row in rows],
            payloads=[self._payload(row[n + 2 :]) for row in rows],
        )

    def _vectors(self, sent: Sequence[bytes]) -> Vectors:
        vectors = read_vectors(sent, self.column.base)
        return vectors if self.used is None or not len(vectors) else without_padding(vectors, self.used)

    def _payload(self, values: Sequence[str | None]) -> Payload | None:
        named = zip(self.payload_columns, values, strict=True)
        return {column.name: encode(column.kind, value) for column, value in named if value is not None} or None
