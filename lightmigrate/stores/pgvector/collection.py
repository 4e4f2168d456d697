"""One collection in PostgreSQL: the rows of a table, or of a part of it, whose vector column is not NULL.

A version of a collection is another vector column of the same rows. Writing to a version writes only vectors, and
removing records from it sets their vectors to NULL: rows, texts and payloads belong to the live collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from typing import Any, cast

import numpy as np
from psycopg import sql

from lightmigrate.errors import DatabaseError, DimensionError, LightmigrateError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page, Payload, Role, WrittenRecords
from lightmigrate.stores.pgvector import log
from lightmigrate.stores.pgvector.distances import OPERATORS, as_metric
from lightmigrate.stores.pgvector.session import Row, Session
from lightmigrate.stores.pgvector.stage import STAGE, join_by_key, staged
from lightmigrate.stores.pgvector.tables import Column, read_table
from lightmigrate.stores.pgvector.triggers import quietly
from lightmigrate.stores.pgvector.values import decode, decode_key, encode, encode_key
from lightmigrate.stores.pgvector.vectors import as_literal, read_vectors
from lightmigrate.vectors import Vectors

# Rows per statement.
_BATCH = 2000

# `ef_search` of an HNSW index: pgvector's default and its maximum.
_EF_SEARCH, _MOST_EF_SEARCH = 40, 1000


class PgCollection:
    """See `stores.base.Collection`. Bound to names: after an exchange it refers to the collection with that name.

    Args:
        session: the connection.
        address: of the collection or version.
        text_column: holds the text that was embedded; `None` looks for a column with a usual name.
        part_column: identifies the collections in one table; `None` where the table is one collection.
        metric: the distance where the column has no index.
    """

    def __init__(
        self, session: Session, address: Address, *, text_column: str | None, part_column: str | None, metric: Metric
    ) -> None:
        self._session = session
        self._address = address
        self._part_column = part_column
        self._fallback_metric = metric
        self.table = read_table(session, address.name)
        if not self.table.keys:
            raise DatabaseError(
                f"table {address.name} has no primary key to tell its rows apart:  ALTER TABLE ... ADD PRIMARY KEY"
            )
        if address.part and part_column is None:
            raise DatabaseError(f"{address}: no column is known that holds {address.part!r}; name one in `parts`")
        self.column = self.table.vector(address.vector)
        self._text = self.table.text(text_column)
        self.opened_id = self.id

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def id(self) -> str:
        """Identifies the column's content: PostgreSQL's numbers and, for a part, the key of its newest backup."""
        newest = max((kept.key for kept in self._kept(Role.BACKUP)), default="") if self._address.part else ""
        return f"{self.table.oid}.{self.column.number}" + (f".{newest}" if newest else "")

    def _kept(self, role: Role) -> list[Any]:
        kept_columns = [column.kept for column in self.table.kept if column.kept is not None]
        version = (self.column.name, self._address.part, role.value)
        return [kept for kept in kept_columns if (kept.own, kept.part, kept.role) == version]

    @property
    def own(self) -> Column:
        """The application's column: this column, or the one that it is a version of."""
        return self.column if self.column.kept is None else self.table.column(self.column.kept.own)

    @property
    def metric(self) -> Metric:
        """Its distance: that of an index on this column, that it is to get, or that of the application's column."""
        kept = self.column.kept.distance if self.column.kept else None
        of_this, of_own = (self.table.metrics_of(column) for column in (self.column, self.own))
        return next(metric for metric in (*of_this[:1], kept, *of_own[:1], self._fallback_metric) if metric)

    @property
    def dimension(self) -> int | None:
        """The declared one, or that of its first vector; only reads."""
        if self.column.dimension is not None:
            return self.column.dimension
        rows = self._select(sql.SQL("vector_dims({})::int4").format(self.column.sql), tail=sql.SQL(" LIMIT 1"))
        return int(rows[0][0]) if rows else None

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads. PostgreSQL records no embedding model."""
        place = self._address
        return CollectionFacts(
            place.name, place.tenant, place.database, self.count(), self.dimension, self.metric, None, self.id,
            place.vector, place.part,
        )  # fmt: skip

    def count(self) -> int:
        """Number of records."""
        return int(self._select(sql.SQL("count(*)"))[0][0])

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order of the primary key; only reads."""
        while True:
            start: tuple[str, ...] = ()
            condition: sql.Composable = sql.SQL("")
            if after is not None:
                start = decode_key(after, len(self._keys)) or ()
                condition = sql.SQL(" AND ({}) > ({})").format(self._order, self._typed_values())
            tail = sql.SQL("{} ORDER BY {} LIMIT {}").format(condition, self._order, sql.Literal(size))
            rows = self._select(self._expressions(vectors), start, tail)
            if not rows:
                return
            page = self._page(rows, vectors)
            after = page.ids[-1]
            yield Page(page.ids, page.vectors, page.texts, page.payloads, after)

    def sample(self, n: int, seed: int = 0) -> Page:
        """The n records whose keys have the smallest hashes, from all over the table. Reads all keys and n records."""
        keys = sql.SQL(", ").join(self._key_texts())
        hashed = sql.SQL("hashtextextended(ROW({})::text, {})").format(keys, sql.Literal(seed))
        tail = sql.SQL(" ORDER BY {}, {} LIMIT {}").format(hashed, self._order, sql.Literal(n))
        return self.records(sorted(encode_key(key) for key in self._select(keys, tail=tail)))

    def ids(self) -> list[str]:
        """All ids, in the order of a scan; only reads."""
        keys, tail = sql.SQL(", ").join(self._key_texts()), sql.SQL(" ORDER BY {}").format(self._order)
        return [encode_key(key) for key in self._select(keys, tail=tail)]

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        return Page.joined([self._some(part) for part in _batches(list(dict.fromkeys(ids)))])

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
        self._write(page, replace=False)

    def put(self, page: Page) -> None:
        """Write rows; rows of the same keys are replaced. In a version, write the vectors of existing rows."""
        self._write(page, replace=True)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records."""
        self._set_vectors(ids, vectors, sql.SQL(" AND t.{} IS NOT NULL").format(self.column.sql))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete rows; in a version, set their vectors to NULL."""
        action = sql.SQL("DELETE FROM {0} t USING {2} s WHERE ")
        if self.column.kept is not None:
            action = sql.SQL("UPDATE {0} t SET {1} = NULL FROM {2} s WHERE ")
        statement = action.format(self.table.sql, self.column.sql, STAGE)
        rest = self._in_part("t")
        for part in _batches(ids):
            keys = [key for record in part if (key := decode_key(record, len(self._keys)))]
            if keys:
                quiet = quietly(self._session, self.table, [self.column]) if self.column.kept else nullcontext()
                with quiet, staged(self._session, keys, np.zeros((len(keys), 1), np.float32)):
                    join_by_key(self._session, self._keys, lambda joined: statement + joined + rest, self._part_values)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        metric = self.metric
        results = []
        with self._session.transaction():
            ef_search = str(min(max(k, _EF_SEARCH), _MOST_EF_SEARCH))
            self._session.rows(sql.SQL("SELECT set_config('hnsw.ef_search', {}, true)").format(ef_search))
            for vector in vectors:
                distance = sql.SQL("{} " + OPERATORS[metric] + " {}::vector").format(
                    self.column.sql, as_literal(vector)
                )
                expressions = sql.SQL(", ").join([*self._key_texts(), distance])
                tail = sql.SQL(" ORDER BY {} LIMIT {}").format(distance, sql.Literal(k))
                results.append(self._select(expressions, tail=tail))
        ids = [[encode_key(row[:-1]) for row in rows] for rows in results]
        return ids, [[as_metric(metric, row[-1]) for row in rows] for rows in results]

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its distance and the indexes on its vectors; for a version being built, the indexes that it will get."""
        building = self.column.kept is not None and self.column.kept.role == Role.BUILDING.value
        specs = [index.spec for index in self.table.indexes_of(self.column)]
        specs = [spec.by(distance) for spec in (self.table.specs_for(self.column, self.own) if building else specs)]
        indexes = [asdict(spec) | {"options": list(spec.options)} for spec in specs]
        return {"metric": distance or self.metric, "indexes": sorted(indexes, key=str)}

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written since an earlier `changes`; `None` while no version is kept and so no log."""
        if not log.is_on(self._session, self.table):
            return None
        return log.written(self._session, self.table, self._address.part, since)

    @property
    def _keys(self) -> tuple[Column, ...]:
        return self.table.keys

    @cached_property
    def _payload_columns(self) -> list[Column]:
        other_columns = {*(key.name for key in self._keys), self._text.name if self._text else "", self._part_column}
        return [column for column in self.table.columns if column.kind != "vector" and column.name not in other_columns]

    def _key_texts(self) -> list[sql.Composed]:
        return [sql.SQL("t.{}::text").format(column.sql) for column in self._keys]

    @property
    def _order(self) -> sql.Composed:
        # with `t`: the result has columns of the same names, which are text
        return sql.SQL(", ").join(sql.SQL("t.{}").format(column.sql) for column in self._keys)

    def _typed_values(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("%s::" + column.type) for column in self._keys)

    def _expressions(self, vectors: bool) -> sql.Composed:
        columns: list[sql.Composable] = [*self._key_texts()]
        columns.append(sql.SQL("t.{}").format(self.column.sql) if vectors else sql.SQL("NULL"))
        columns.append(sql.SQL("t.{}::text").format(self._text.sql) if self._text else sql.SQL("NULL"))
        for column in self._payload_columns:
            form = "to_jsonb(t.{})::text" if column.kind == "array" else "t.{}::text"
            columns.append(sql.SQL(form).format(column.sql))
        return sql.SQL(", ").join(columns)

    @property
    def _part_values(self) -> list[object]:
        return [self._address.part] if self._address.part else []

    def _in_part(self, row: str) -> sql.Composable:
        if not self._address.part:
            return sql.SQL("")
        return sql.SQL(" AND " + row + ".{}::text = %s").format(sql.Identifier(self._part_column or ""))

    def _query(
        self, expressions: sql.Composable, tail: sql.Composable, join: sql.Composable
    ) -> tuple[sql.Composed, list[object]]:
        query = sql.SQL("SELECT {} FROM {} t{} WHERE t.{} IS NOT NULL{}{}").format(
            expressions, self.table.sql, join, self.column.sql, self._in_part("t"), tail
        )
        return query, self._part_values

    def _select(
        self, expressions: sql.Composable, values: Sequence[object] = (), tail: sql.Composable | None = None
    ) -> list[Row]:
        query, parameters = self._query(expressions, tail or sql.SQL(""), sql.SQL(""))
        return self._session.rows(query, [*parameters, *values])

    def _page(self, rows: Sequence[Row], vectors: bool) -> Page:
        n = len(self._keys)
        return Page(
            ids=[encode_key(row[:n]) for row in rows],
            vectors=read_vectors([row[n] for row in rows]) if vectors else np.zeros((len(rows), 0), np.float32),
            texts=[row[n + 1] for row in rows],
            payloads=[self._payload(row[n + 2 :]) for row in rows],
        )

    def _payload(self, values: Sequence[str | None]) -> Payload | None:
        named = zip(self._payload_columns, values, strict=True)
        return {column.name: encode(column.kind, value) for column, value in named if value is not None} or None

    def _write(self, page: Page, *, replace: bool) -> None:
        if self.column.kept is not None:
            self._set_vectors(page.ids, page.vectors, sql.SQL(""))
            return
        with self._session.transaction():
            for rows in _batches(range(len(page))):
                self._insert(page.rows(rows), replace=replace)

    def _insert(self, page: Page, *, replace: bool) -> None:
        self._require_dimension(page.vectors)
        written = [column for column in self._payload_columns if column.written]
        self._require_columns(page, written)
        keys = [self._key_of(record) for record in page.ids]
        columns = [
            *([self._text] if self._text else []),
            *written,
            *([self.table.column(cast(str, self._part_column))] if self._address.part else []),
        ]
        values: list[list[str | None]] = []
        if self._text:
            values.append(list(page.texts))
        for column in written:
            payloads = [payload or {} for payload in page.payloads]
            values.append([_decoded(column, payload) for payload in payloads])
        if self._address.part:
            values.append([self._address.part] * len(page))
        targets = [*self._keys, self.column, *columns]
        sources = [
            *(sql.SQL("k{}::" + column.type).format(sql.SQL(str(n))) for n, column in enumerate(self._keys)),
            sql.SQL("v"),
            *(sql.SQL("c{}::" + column.type).format(sql.SQL(str(n))) for n, column in enumerate(columns)),
        ]
        statement = sql.SQL("INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}").format(
            self.table.sql,
            sql.SQL(", ").join(column.sql for column in targets),
            sql.SQL(", ").join(sources),
            STAGE,
        )
        if replace:
            statement += sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {} WHERE true{}").format(
                sql.SQL(", ").join(column.sql for column in self._keys),
                sql.SQL(", ").join(
                    sql.SQL("{} = excluded.{}").format(column.sql, column.sql) for column in targets[len(self._keys) :]
                ),
                self._in_part("t"),
            )
        with staged(self._session, keys, page.vectors, values):
            done = self._session.execute(statement, self._part_values if replace else [])
        if done != len(page):
            raise LightmigrateError(
                f"{len(page) - done} of {len(page)} ids belong to other collections of table {self.table.name}"
            )

    def _set_vectors(self, ids: Sequence[str], vectors: Vectors, condition: sql.Composable) -> None:
        """Write the vectors `(n, d)` of existing rows in this column; ids without a row are ignored."""
        if len(ids):
            self._require_dimension(vectors)
        update = sql.SQL("UPDATE {} t SET {} = s.v FROM {} s WHERE ").format(self.table.sql, self.column.sql, STAGE)
        rest = condition + self._in_part("t")
        with quietly(self._session, self.table, [self.column]):
            for rows in _batches(range(len(ids))):
                keyed = [(row, key) for row in rows if (key := decode_key(ids[row], len(self._keys)))]
                if keyed:
                    with staged(self._session, [key for _, key in keyed], vectors[[row for row, _ in keyed]]):
                        join_by_key(self._session, self._keys, lambda joined: update + joined + rest, self._part_values)

    def _key_of(self, record: str) -> tuple[str, ...]:
        key = decode_key(record, len(self._keys))
        if key is None:
            names = ", ".join(column.name for column in self._keys)
            raise LightmigrateError(f"an id is not a primary key of table {self.table.name} ({names})")
        return key

    def _require_columns(self, page: Page, written: Sequence[Column]) -> None:
        known = {column.name for column in self._payload_columns}
        unknown = {name for payload in page.payloads for name in payload or {} if name not in known}
        if unknown or (self._text is None and any(text is not None for text in page.texts)):
            missing = ", ".join(sorted(unknown)) or "of text"
            raise LightmigrateError(f"table {self.table.name} has no column {missing}: add one, or leave the value out")

    def _require_dimension(self, vectors: Vectors) -> None:
        dimension = self.dimension
        if dimension is not None and vectors.shape[1] != dimension and self.column.kept is None:
            raise self._wrong(dimension, vectors)
        if self.column.kept is not None and self.column.dimension not in (None, vectors.shape[1]):
            raise self._wrong(self.column.dimension or 0, vectors)

    def _wrong(self, dimension: int, vectors: Vectors) -> DimensionError:
        found = int(vectors.shape[1])
        return DimensionError(
            f"vectors of {found} numbers for {self._address}, which has {dimension}: project them first",
            expected=dimension,
            found=found,
        )


def _decoded(column: Column, payload: Payload) -> str | None:
    return decode(column.kind, payload[column.name]) if column.name in payload else None


def _batches(items: Sequence[Any]) -> Iterator[Any]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
