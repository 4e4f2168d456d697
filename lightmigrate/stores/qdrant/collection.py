"""One open collection of Qdrant: its points that have the vector in question are records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qdrant_client import models

from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.checks import require_dimension
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.page import batches, requests
from lightmigrate.stores.qdrant.calls import BYTES_AT_ONCE, QdrantCalls
from lightmigrate.stores.qdrant.configuration import Configuration
from lightmigrate.stores.qdrant.ids import PointId, decode, encode, following
from lightmigrate.stores.qdrant.points import PointFormat, bytes_of
from lightmigrate.vectors import Vectors

# Ids and queries per request.
_IDS_AT_ONCE, _QUERIES_AT_ONCE = 10_000, 100

# Points per request.
_POINTS_AT_ONCE = 1000


class QdrantCollection(CollectionDefaults):
    """See `stores.base.Collection`. Refers to the collection that has the name, or that the alias leads to, at a call.

    Args:
        calls: the client.
        address: of the collection or version.
        physical: the name of the collection that it leads to now, which identifies it.
        text: the field of the payloads that holds the text.

    Raises:
        CollectionNotFoundError: there is no such collection, or it has no such vector.
    """

    def __init__(self, calls: QdrantCalls, address: Address, physical: str, text: str) -> None:
        self.calls = calls
        self.configuration = calls.configuration(address.name)
        self.vector = self.configuration.vector(address.vector, address)
        self.format = PointFormat(self.vector, text, _unit(self.configuration))
        self._address = address
        self.opened_id = _id(physical, self.configuration)

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def metric(self) -> Metric:
        """Its distance."""
        return self.configuration.metric(self.vector)

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return self.configuration.dense[self.vector].size

    @property
    def having(self) -> models.Filter:
        """Which points are records."""
        return models.Filter(must=[models.HasVectorCondition(has_vector=self.vector)])

    def facts(self) -> CollectionFacts:
        """What the database says about it; only reads. Qdrant records no embedding model."""
        return facts_at(self._address, self.count(), self.dimension, self.metric, None, self.opened_id)

    def count(self) -> int:
        """Number of records."""
        return self.calls.count(self._address.name, self.having)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, in the order of their ids; only reads."""
        size = self.configuration.largest(size)
        start: PointId | None = None if after is None else json.loads(after)
        while True:
            points = self.calls.scroll(self._address.name, size, start, self.having, vectors=vectors or self._others)
            if not points:
                return
            start = following(encode(points[-1].id))
            page = self._page(points, vectors, json.dumps(start))
            if len(page):
                yield page
            if start is None:
                return

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads."""
        size, start = self.configuration.largest(_IDS_AT_ONCE), None
        while points := self.calls.scroll(self._address.name, size, start, self.having, payloads=False, vectors=False):
            ids = [encode(point.id) for point in points]
            yield from ids
            if (start := following(ids[-1])) is None:
                return

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        wanted = [point for record in dict.fromkeys(ids) if (point := decode(record)) is not None]
        pages = [
            self._page(self.calls.retrieve(self._address.name, some), True)
            for some in batches(wanted, self.configuration.largest(_POINTS_AT_ONCE))
        ]
        return Page.joined(pages).in_order_of(ids)

    def _page(self, points: Sequence[models.Record], vectors: bool, cursor: Cursor | None = None) -> Page:
        return self.format.page(points, vectors, cursor)

    def add(self, page: Page) -> None:
        """Write records; existing records of the same ids are replaced. Returns when they are applied."""
        require_dimension(page.vectors, self.dimension, self._address)
        for points in self._requests(page):
            self.calls.upsert(self._address.name, points)

    def put(self, page: Page) -> None:
        """As `add`."""
        self.add(page)

    def _requests(self, page: Page) -> Iterator[list[models.PointStruct]]:
        most = self.configuration.largest(_POINTS_AT_ONCE, writing=True)
        points = self.format.points(page)
        return requests(points, most, lambda point: bytes_of(point.vector, point.payload), BYTES_AT_ONCE)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; ids without a record are ignored."""
        require_dimension(vectors, self.dimension, self._address)
        place = {point: row for row, record in enumerate(ids) if (point := decode(record)) is not None}
        most = self.configuration.largest(_POINTS_AT_ONCE, writing=True)
        for existing in self._existing(list(place)):
            points = [
                models.PointVectors(id=point, vector=self._named(vectors[place[point]].tolist())) for point in existing
            ]
            for some in requests(points, most, lambda point: bytes_of(point.vector), BYTES_AT_ONCE):
                self.calls.update_vectors(self._address.name, some)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete records, with all of their vectors; a point that lacks the vector is no record, and stays."""
        for existing in self._existing([point for record in ids if (point := decode(record)) is not None]):
            self.calls.remove(self._address.name, existing)

    def _existing(self, points: Sequence[PointId]) -> Iterator[list[PointId]]:
        """Those of some points that are records, in portions that one request may be about."""
        own = [self.vector] if self.vector else True
        for some in batches(points, self.configuration.largest(_POINTS_AT_ONCE, writing=True)):
            stored = self.calls.retrieve(self._address.name, some, payloads=False, vectors=own)
            if records := [point for record in self.format.page(stored).ids if (point := decode(record)) is not None]:
                yield records

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records to each of `vectors` `(q, d)`, through the index."""
        require_dimension(vectors, self.dimension, self._address)
        found: list[list[tuple[PointId, float]]] = []
        most = self.configuration.largest(k)
        for start in range(0, len(vectors), _QUERIES_AT_ONCE):
            queries = vectors[start : start + _QUERIES_AT_ONCE]
            found += self.calls.nearest(self._address.name, self.vector, queries, most)
        square = self.metric == "l2"
        distances = [[score**2 if square else 1 - score for _, score in row] for row in found]
        return [[encode(point) for point, _ in row] for row in found], distances

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """The whole configuration without the dimension, and the payload indexes; only reads."""
        return self.calls.configuration(self._address.name).settings(self.vector, distance)

    def _named(self, vector: list[float]) -> models.VectorStruct:
        return {self.vector: vector} if self.vector else vector

    @property
    def _others(self) -> list[str] | bool:
        """The vectors to read beside the own one, which are part of a record; `False` for none."""
        names = {*self.configuration.dense, *self.configuration.sparse} - {self.vector}
        return sorted(names) or False


def _unit(configuration: Configuration) -> frozenset[str]:
    cosine = models.Distance.COSINE
    return frozenset(name for name, params in configuration.dense.items() if params.distance == cosine)


def _id(physical: str, configuration: Configuration) -> str:
    """Identifies a collection; one that is created later under the same name has another time."""
    created = configuration.info.created_at
    return physical if created is None else f"{physical} {created.isoformat()}"
