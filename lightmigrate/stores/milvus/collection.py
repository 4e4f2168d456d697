"""One open collection of Milvus: its rows are records, and one of its vector fields is the vector."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.checks import require_dimension
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.rows import Id, RowFormat, literal
from lightmigrate.stores.milvus.schema import Description
from lightmigrate.stores.page import batches, requests
from lightmigrate.vectors import Vectors

# Ids, rows and queries per request. A server takes 64 MiB, and gives 16,384 rows or neighbours.
_IDS_AT_ONCE, _ROWS_AT_ONCE, _QUERIES_AT_ONCE = 1000, 10_000, 100
_BYTES_AT_ONCE = 16_000_000


class MilvusCollection(CollectionDefaults):
    """See `stores.base.Collection`. Refers to the collection that has the name, or that the alias leads to, at a call.

    Args:
        calls: the client.
        address: of the collection or version.
        description: of the collection that it leads to now.
        opened_id: identifies that collection.
        text: the field of its rows that holds the text.

    Raises:
        CollectionNotFoundError: it has no such vector.
    """

    def __init__(
        self, calls: MilvusCalls, address: Address, description: Description, opened_id: str, text: str
    ) -> None:
        self.calls = calls
        self.description = description
        self.vector = description.vector(address.vector, address)
        self.format = RowFormat(description, self.vector, text)
        self.opened_id = opened_id
        self._address = address
        self._divisions = description.divisions or [""]

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return self.description.dimension(self.vector)

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads. Milvus records no embedding model."""
        metric = self.description.metric(self.vector)
        return facts_at(self._address, self.count(), self.dimension, metric, own_id=self.opened_id)

    def count(self) -> int:
        """Number of records."""
        return self.calls.count(self._address.name)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order of their ids, one partition after the other; only reads."""
        fields = self.format.fields(vectors)
        for partition, rows in self._rows(min(size, _ROWS_AT_ONCE), after, fields):
            cursor = json.dumps([partition, rows[-1][self.description.primary]])
            yield self.format.page(rows, vectors, partition, cursor)

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads."""
        primary = self.description.primary
        return (str(row[primary]) for _, rows in self._rows(_ROWS_AT_ONCE, None, [primary]) for row in rows)

    def _rows(
        self, size: int, after: Cursor | None, fields: Sequence[str]
    ) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        self.calls.catch_up(self._address.name)
        first, last = (None, None) if after is None else json.loads(after)
        primary = self.description.primary
        for partition in self._divisions:
            if first is not None and partition < first:
                continue
            reached: Id | None = last if partition == first else None
            while True:
                begin = "" if reached is None else f"{primary} > {literal(reached)}"
                rows = self.calls.query(self._address.name, begin, fields, partition=partition, limit=size)
                if not rows:
                    break
                yield partition, rows
                reached = rows[-1][primary]
                if self.calls.lite and len(rows) < size:  # a server may give fewer rows than there are
                    break

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        pages = [
            self.format.page(rows, True, partition)
            for partition, rows in self._found(dict.fromkeys(ids), self.format.fields(True))
        ]
        return Page.joined(pages).in_order_of(ids)

    def _found(self, ids: Mapping[str, object], fields: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """The existing rows of some ids, by partition."""
        wanted = [value for record in ids if (value := self.format.id_of(record)) is not None]
        for some, partition in itertools.product(batches(wanted, _IDS_AT_ONCE), self._divisions):
            yield partition, self.calls.query(self._address.name, self._among(some), fields, partition=partition)

    def _among(self, ids: Sequence[Id]) -> str:
        return f"{self.description.primary} in [{', '.join(map(literal, ids))}]"

    def add(self, page: Page) -> None:
        """As `put`: Milvus's own `insert` takes an id twice."""
        self.put(page)

    def put(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced, also those in other partitions."""
        require_dimension(page.vectors, self.dimension, self._address)
        rows = sorted(self.format.rows(page), key=lambda row: row[0])
        for partition, group in itertools.groupby(rows, key=lambda row: row[0]):
            for some in _requests([row for _, row in group]):
                self.calls.put(self._address.name, some, partition)
                if not self.calls.lite:
                    ids = [row[self.description.primary] for row in some]
                    for other in set(self.description.divisions) - {partition}:
                        self.calls.remove(self._address.name, self._among(ids), other)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; ids without a record are ignored."""
        require_dimension(vectors, self.dimension, self._address)
        primary, place = self.description.primary, {record: row for row, record in enumerate(ids)}
        for partition, rows in self._found(place, [primary]):
            new = [{primary: row[primary], self.vector: vectors[place[str(row[primary])]]} for row in rows]
            for some in _requests(new):
                self.calls.update(self._address.name, some, partition)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete records; ids without a record are ignored."""
        wanted = [value for record in ids if (value := self.format.id_of(record)) is not None]
        for some in batches(wanted, _IDS_AT_ONCE):
            self.calls.remove(self._address.name, self._among(some))

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        require_dimension(vectors, self.dimension, self._address)
        index = self.description.index(self.vector) or {}
        parameters = {"ef": max(64, 2 * k)} if str(index.get("index_type", "")).startswith("HNSW") else {}
        found: list[list[tuple[Id, float]]] = []
        for start in range(0, len(vectors), _QUERIES_AT_ONCE):
            queries = vectors[start : start + _QUERIES_AT_ONCE]
            name, primary = self._address.name, self.description.primary
            found += self.calls.nearest(name, self.vector, queries, k, parameters, primary)
        square = self.description.metric(self.vector) == "l2"  # of which Milvus gives the square, too
        distances = [[score if square else 1 - score for _, score in row] for row in found]
        return [[str(record) for record, _ in row] for row in found], distances

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """Its schema without the dimension, its indexes, partitions and properties; only reads."""
        return self.calls.describe(self._address.name).settings(self.vector, distance)


def _requests(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows in portions of which each is one request."""
    return requests(rows, _ROWS_AT_ONCE, lambda row: sum(map(_bytes, row.values())), _BYTES_AT_ONCE)


def _bytes(value: object) -> int:
    """About how many bytes a value takes in a request."""
    size = getattr(value, "nbytes", None)
    return int(size) if size is not None else len(json.dumps(value, default=str))
