"""Copy all points of a collection exactly as they are read, and again what was written meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from qdrant_client import models

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.page import batches, requests
from lightmigrate.stores.qdrant.calls import BYTES_AT_ONCE, QdrantCalls
from lightmigrate.stores.qdrant.configuration import Configuration
from lightmigrate.stores.qdrant.ids import PointId, encode, following
from lightmigrate.stores.qdrant.points import bytes_of
from lightmigrate.stores.record_tables import RecordTable, RecordTables

# Points per request.
_POINTS_AT_ONCE = 250

# Largest number of passes over a collection that is written to while it is copied.
PASSES = 10


def copy_points(calls: QdrantCalls, source: str, target: str) -> None:
    """Copy all points with all of their vectors; returns after a pass that finds nothing new. Writes to the target.

    Raises:
        DatabaseChangedError: the source was written to in every pass.
    """
    configuration = calls.configuration(source)
    known = RecordTables().table()
    for _ in range(PASSES):
        changed = _pass(calls, configuration, source, target, known)
        if not changed:
            return
    raise DatabaseChangedError(
        f"collection {source} was written to in every one of {PASSES} passes while it was copied, {changed} points in "
        "the last one: nothing was exchanged; pause the writers, and run this again to go on"
    )


class OtherPoints:
    """The points of a collection that lack a vector and so are no records; an exchange carries them, too.

    Args:
        calls: of the server.
        vector: the name of the vector in Qdrant.
    """

    def __init__(self, calls: QdrantCalls, vector: str) -> None:
        self._calls = calls
        self._without = models.Filter(must_not=[models.HasVectorCondition(has_vector=vector)])
        self._copied = RecordTables().table()

    def copy(self, source: str, target: str) -> None:
        """Copy them, and delete others in the target that the source lacks. Writes to the target."""
        configuration = self._calls.configuration(source)
        _pass(self._calls, configuration, source, target, self._copied, self._without)
        for points in _pages(self._calls, configuration, target, self._without):
            _remove_absent(self._calls, configuration, source, target, [encode(point.id) for point in points])

    def copy_late(self, source: str, target: str) -> None:
        """Copy what was written to them since `copy`, to a target that applications write to. Writes to the target.

        One that had the vector then loses it in the target, too, so that it is no record there, either.
        """
        _pass(self._calls, self._calls.configuration(source), source, target, self._copied, self._without)


def copy_missing(calls: QdrantCalls, source: str, target: str) -> None:
    """Copy the points whose ids the target lacks; what others have written there stays. Writes to the target."""
    configuration = calls.configuration(source)
    for points in _pages(calls, configuration, source, None):
        found = calls.retrieve(target, [point.id for point in points], payloads=False, vectors=False)
        existing = {encode(point.id) for point in found}
        _write(calls, configuration, target, [point for point in points if encode(point.id) not in existing])


def count_held(calls: QdrantCalls, name: str, of: str) -> int:
    """How many of the ids of another collection a collection has. Only reads."""
    return sum(
        len(calls.retrieve(name, [point.id for point in points], payloads=False, vectors=False))
        for points in _pages(calls, calls.configuration(of), of, None, payloads=False)
    )


def _pass(
    calls: QdrantCalls,
    configuration: Configuration,
    source: str,
    target: str,
    known: RecordTable,
    having: models.Filter | None = None,
) -> int:
    """Copy what differs from an earlier pass; returns how many points differed.

    Args:
        calls: of the server.
        configuration: of the source.
        source: name of the collection.
        target: name of its copy.
        known: the digest of every point by id, of the earlier pass; becomes those of this one.
        having: which points; the same in every pass.
    """
    changed, round_ = 0, known.round()
    for points in _pages(calls, configuration, source, having):
        now = {encode(point.id): _digest(point) for point in points}
        before = round_.meet(list(now))
        new = [point for point in points if before.get(record := encode(point.id)) != now[record]]
        changed += len(new)
        _write(calls, configuration, target, new)
        known.put(now)
    for gone in round_.missed(_POINTS_AT_ONCE):
        _remove_absent(calls, configuration, source, target, gone)
        known.remove(gone)
        changed += len(gone)
    return changed


def _remove_absent(
    calls: QdrantCalls, configuration: Configuration, source: str, target: str, records: Sequence[str]
) -> None:
    """Delete those of some points in the target that the source has not got in any form."""
    for some in batches(records, configuration.largest(_POINTS_AT_ONCE, writing=True)):
        found = calls.retrieve(source, [_point_id(record) for record in some], payloads=False, vectors=False)
        there = {encode(point.id) for point in found}
        if absent := [_point_id(record) for record in some if record not in there]:
            calls.remove(target, absent)


def _write(calls: QdrantCalls, configuration: Configuration, target: str, points: Sequence[models.Record]) -> None:
    most = configuration.largest(_POINTS_AT_ONCE, writing=True)
    for some in requests(points, most, lambda point: bytes_of(point.vector, point.payload), BYTES_AT_ONCE):
        calls.upsert(target, [_struct(point) for point in some])


def _point_id(record: str) -> PointId:
    return int(record) if record.isdecimal() else record


def _pages(
    calls: QdrantCalls, configuration: Configuration, name: str, having: models.Filter | None, *, payloads: bool = True
) -> Iterator[Sequence[models.Record]]:
    size, start = configuration.largest(_POINTS_AT_ONCE), None
    while points := calls.scroll(name, size, start, having, payloads=payloads, vectors=payloads):
        yield points
        if (start := following(encode(points[-1].id))) is None:
            return


def _struct(point: models.Record) -> models.PointStruct:
    vector: Any = point.vector or {}
    return models.PointStruct(id=point.id, vector=vector, payload=point.payload)


def _digest(point: models.Record) -> bytes:
    content = json.dumps([point.payload, point.vector], sort_keys=True, default=_plain)
    return hashlib.sha256(content.encode()).digest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"{type(value).__name__} is not JSON")
