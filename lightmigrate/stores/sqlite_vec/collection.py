"""One collection: a vec0 table, with the rows of the table that has its texts.

A version of a collection is another vec0 table, and it has a copy of these rows: what an application writes to its own
table later is then seen as a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.checks import require_dimension, require_unused
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.page import batches, sample_ranges
from lightmigrate.stores.sqlite_vec.driver import Row
from lightmigrate.stores.sqlite_vec.layout import Layout
from lightmigrate.stores.sqlite_vec.parts import can_read, read
from lightmigrate.stores.sqlite_vec.sql import column_of, places, quoted
from lightmigrate.stores.sqlite_vec.tables import Catalog
from lightmigrate.stores.sqlite_vec.values import Key, decode_key, encode_key
from lightmigrate.vectors import Vectors

# Most neighbours that vec0 returns for one query.
_MOST_NEIGHBOURS = 4096

# Parameters of one statement.
_BATCH = 500
_IDS_AT_ONCE = 20_000


class SqliteVecCollection(CollectionDefaults):
    """The collection that is at an address at the time of each call. See `stores.base.Collection`.

    Args:
        catalog: of the open file.
        address: the table.

    Raises:
        CollectionNotFoundError: there is no such vec0 table.
        DatabaseError: it cannot be migrated.
    """

    def __init__(self, catalog: Catalog, address: Address) -> None:
        self._catalog = catalog
        self._session = catalog.session
        self._address = address
        self.opened_id = self.id

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def layout(self) -> Layout:
        """Where the parts of its records lie, as it is now. Only reads."""
        table = self._catalog.table(self._address.name)
        return Layout(table, self._catalog.rows_of(table))

    @property
    def id(self) -> str:
        """Its token and what the table was created with: a table that takes the name has another one."""
        table = self._catalog.table(self._address.name)
        return " ".join([table.token, *table.declaration.arguments])

    def facts(self) -> CollectionFacts:
        """What the file says about it; only reads."""
        declared = self._catalog.table(self._address.name).declaration
        return facts_at(self._address, self.count(), declared.dimension, declared.metric, None, self.id)

    def count(self) -> int:
        """Number of records."""
        return int(self._session.rows(f"SELECT count(*) FROM {self.layout.keys}")[0][0])  # noqa: S608

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records by key, each page in a transaction of its own; only reads."""
        while True:
            layout = self.layout
            where, values = "", []
            if after is not None:
                where, values = (
                    f"WHERE {layout.key} > ? ",
                    [decode_key(after, text_keys=layout.table.declaration.text_keys)],
                )
            rows = self._read(layout, f"{where}ORDER BY {layout.key} LIMIT ?", [*values, size], vectors=vectors)
            if not rows:
                return
            after = encode_key(rows[-1][0])
            yield self._page(layout, rows, vectors, after)

    def sample(self, n: int, seed: int = 0) -> Page:
        """Ranges of neighbouring keys from all over the table; only reads."""
        layout, rows = self.layout, []
        starts, each = sample_ranges(self.count(), n, seed)
        first = f"SELECT {layout.key} FROM {layout.keys} r ORDER BY {layout.key} LIMIT 1 OFFSET ?"  # noqa: S608
        tail = f"WHERE {layout.key} >= ? ORDER BY {layout.key} LIMIT ?"
        for start in starts:
            if key := self._session.rows(first, [start]):
                rows += self._read(layout, tail, [key[0][0], each])
        return self._page(layout, list({row[0]: row for row in rows}.values()), True)

    def ids(self) -> Iterator[str]:
        """All ids, by key; only reads."""
        layout, last = self.layout, list[object]()
        while True:
            where = f"WHERE {layout.key} > ? " if last else ""
            query = f"SELECT {layout.key} FROM {layout.keys} r {where}ORDER BY {layout.key} LIMIT ?"  # noqa: S608
            rows = self._session.rows(query, [*last, _IDS_AT_ONCE])
            yield from (encode_key(row[0]) for row in rows)
            if len(rows) < _IDS_AT_ONCE:
                return
            last = [rows[-1][0]]

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        layout, found = self.layout, {}
        for keys in batches(self._keys(ids), _BATCH):
            rows = self._read(layout, f"WHERE {layout.key} IN ({places(len(keys))})", keys)
            found.update({encode_key(row[0]): row for row in rows})
        return self._page(layout, [found[record] for record in ids if record in found], True)

    def add(self, page: Page) -> None:
        """Write new records. Raises `LightmigrateError` when an id exists already."""
        self._write(page, replace=False)

    def put(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced."""
        self._write(page, replace=True)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; ids without a record are ignored."""
        layout = self.layout
        require_dimension(vectors, layout.table.declaration.dimension, self._address)
        with self._session.transaction():
            existing = self._existing(layout, ids)
            written = [
                (_blob(vector), self._known_key(layout, record))
                for record, vector in zip(ids, vectors, strict=True)
                if record in existing
            ]
            vector_name = quoted(layout.table.declaration.vector)
            update = f"UPDATE {layout.vec} SET {vector_name} = ? WHERE {layout.vec_key} = ?"  # noqa: S608
            self._session.execute_many(update, written)
            if layout.rows is not None:
                for name in layout.rows.copies:
                    place = f"{quoted(layout.rows.table)} AS b SET {quoted(name)} = ?"
                    where = f"{column_of('b', layout.rows.key)} = ?"
                    self._session.execute_many(f"UPDATE {place} WHERE {where}", written)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids, with their rows in the table of the texts."""
        layout = self.layout
        keys = [(key,) for key in self._keys(ids)]
        with self._session.transaction():
            self._session.execute_many(f"DELETE FROM {layout.vec} WHERE {layout.vec_key} = ?", keys)  # noqa: S608
            if layout.rows is not None:
                rows = f"DELETE FROM {quoted(layout.rows.table)} AS b WHERE {column_of('b', layout.rows.key)} = ?"  # noqa: S608
                self._session.execute_many(rows, keys)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`; sqlite-vec compares all."""
        layout = self.layout
        declaration = layout.table.declaration
        query = (
            f"SELECT {layout.vec_key}, distance FROM {layout.vec} "  # noqa: S608
            f"WHERE {quoted(declaration.vector)} MATCH ? AND k = ? ORDER BY distance"
        )
        found = [self._session.rows(query, [_blob(vector), min(k, _MOST_NEIGHBOURS)]) for vector in vectors]
        power = 2 if declaration.metric == "l2" else 1  # sqlite-vec returns the root
        return (
            [[encode_key(key) for key, _ in rows] for rows in found],
            [[float(distance) ** power for _, distance in rows] for rows in found],
        )

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its distance and what it was created with, without the dimension."""
        declaration = self._catalog.table(self._address.name).declaration
        return {"metric": distance or declaration.metric, "columns": declaration.settings()}

    def _read(self, layout: Layout, tail: str, values: Sequence[object], *, vectors: bool = True) -> list[Row]:
        """Whole records, in the fastest way that is known to be right for the table."""
        checked = self._catalog.read_in_parts
        name = layout.table.name
        if name not in checked:
            found = can_read(self._session, layout)
            if found is None:
                return []
            checked[name] = found
        if checked[name]:
            return read(self._session, layout, tail, values, vectors=vectors)
        return self._session.rows(layout.select(tail, vectors=vectors), values)

    def _write(self, page: Page, *, replace: bool) -> None:
        layout = self.layout
        require_dimension(page.vectors, layout.table.declaration.dimension, self._address)
        if unknown := layout.unknown(page.texts, page.payloads):
            raise LightmigrateError(
                f"table {layout.table.name} has no column {', '.join(unknown)}: add one, or leave the value out"
            )
        keys = [self._known_key(layout, record) for record in page.ids]
        values = [layout.values(*each) for each in zip(page.texts, page.payloads, strict=True)]
        with self._session.transaction():
            taken = set() if replace else self._existing(layout, page.ids)
            require_unused(keys, len(taken))
            self._write_rows(layout, keys, page.vectors, [others for _, others in values])
            # also of new rows: a trigger of the application may have inserted a vector for them
            present = self._keys(sorted(self._existing(layout, page.ids)))
            delete = f"DELETE FROM {layout.vec} WHERE {layout.vec_key} = ?"  # noqa: S608
            self._session.execute_many(delete, [(key,) for key in present])
            names = [quoted(layout.table.declaration.vector), *map(quoted, layout.own_columns)]
            insert = (
                f"INSERT INTO {layout.vec} ({', '.join([layout.vec_key, *names])}) VALUES ({places(1 + len(names))})"  # noqa: S608
            )
            columns = zip(keys, page.vectors, values, strict=True)
            self._session.execute_many(insert, ((key, _blob(vector), *own) for key, vector, (own, _) in columns))

    def _write_rows(
        self, layout: Layout, keys: Sequence[Key], vectors: Vectors, values: Sequence[Sequence[object]]
    ) -> None:
        """Write the rows of the table with the texts."""
        if layout.rows is None:
            return
        key, table = layout.rows.key, quoted(layout.rows.table)
        key_name = key if key == "rowid" else quoted(key)
        existing: set[object] = set()
        for some in batches(keys, _BATCH):
            query = f"SELECT {key_name} FROM {table} WHERE {key_name} IN ({places(len(some))})"  # noqa: S608
            existing |= {row[0] for row in self._session.rows(query, some)}
        names = [quoted(name) for name in (*layout.row_columns, *layout.rows.copies)]
        rows = [[*row, *[_blob(v)] * len(layout.rows.copies)] for row, v in zip(values, vectors, strict=True)]
        pairs = list(zip(keys, rows, strict=True))
        insert = f"INSERT INTO {table} ({', '.join([key_name, *names])}) VALUES ({places(1 + len(names))})"  # noqa: S608
        self._session.execute_many(insert, [(key, *row) for key, row in pairs if key not in existing])
        if names:
            update = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in names)} WHERE {key_name} = ?"  # noqa: S608
            self._session.execute_many(update, [(*row, key) for key, row in pairs if key in existing])

    def _existing(self, layout: Layout, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for keys in batches(self._keys(ids), _BATCH):
            query = f"SELECT {layout.key} FROM {layout.keys} r WHERE {layout.key} IN ({places(len(keys))})"  # noqa: S608
            found |= {encode_key(row[0]) for row in self._session.rows(query, keys)}
        return found

    def _keys(self, ids: Sequence[str]) -> list[Key]:
        text_keys = self._catalog.table(self._address.name).declaration.text_keys
        decoded = (decode_key(record, text_keys=text_keys) for record in ids)
        return [key for key in decoded if key is not None]

    def _known_key(self, layout: Layout, record: str) -> Key:
        key = decode_key(record, text_keys=layout.table.declaration.text_keys)
        if key is None:
            raise LightmigrateError(f"an id is no integer, which the keys of table {self._address.name} are")
        return key

    def _page(self, layout: Layout, rows: Sequence[Row], vectors: bool, cursor: Cursor | None = None) -> Page:
        found = np.zeros((len(rows), 0), np.float32)
        if vectors:
            dimension = layout.table.declaration.dimension
            stored = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), dimension)
            found = np.array(stored, np.float32)
        return Page(
            ids=[encode_key(row[0]) for row in rows],
            vectors=found,
            texts=[row[2] for row in rows],
            payloads=[layout.payload(row) for row in rows],
            cursor=cursor,
        )


def _blob(vector: Vectors) -> bytes:
    return vector.astype("<f4").tobytes()
