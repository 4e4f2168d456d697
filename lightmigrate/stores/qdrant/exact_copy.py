"""Copy all points of a collection exactly as they are read, and again what was written meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from qdrant_client import models

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.configuration import Configuration
from lightmigrate.stores.qdrant.ids import PointId, encode, following
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


def copy_others(calls: QdrantCalls, source: str, target: str, vector: str) -> None:
    """Copy the points that lack a vector and so are no records; delete others that lack it in the target. Writes."""
    without = models.Filter(must_not=[models.HasVectorCondition(has_vector=vector)])
    configuration = calls.configuration(source)
    ids = RecordTables().table()
    for points in _pages(calls, configuration, source, without):
        ids.put({encode(point.id): b"" for point in points})
        _write(calls, configuration, target, points)
    for points in _pages(calls, configuration, target, without):
        there = ids.get([encode(point.id) for point in points])
        if gone := [point.id for point in points if encode(point.id) not in there]:
            calls.remove(target, gone)


def copy_missing(calls: QdrantCalls, source: str, target: str) -> None:
    """Copy the points whose ids the target lacks; what others have written there stays. Writes to the target."""
    configuration = calls.configuration(source)
    for points in _pages(calls, configuration, source, None):
        found = calls.retrieve(target, [point.id for point in points], payloads=False, vectors=False)
        existing = {encode(point.id) for point in found}
        _write(calls, configuration, target, [point for point in points if encode(point.id) not in existing])


def holds_all(calls: QdrantCalls, name: str, of: str) -> bool:
    """Whether a collection has all ids of another one. Only reads."""
    for points in _pages(calls, calls.configuration(of), of, None, payloads=False):
        found = calls.retrieve(name, [point.id for point in points], payloads=False, vectors=False)
        if len(found) < len(points):
            return False
    return True


def _pass(calls: QdrantCalls, configuration: Configuration, source: str, target: str, known: RecordTable) -> int:
    """Copy what differs from an earlier pass; returns how many points differed.

    Args:
        calls: of the server.
        configuration: of the source.
        source: name of the collection.
        target: name of its copy.
        known: the digest of every point by id, of the earlier pass; becomes those of this one.
    """
    changed, round_ = 0, known.round()
    for points in _pages(calls, configuration, source, None):
        now = {encode(point.id): _digest(point) for point in points}
        before = round_.meet(list(now))
        new = [point for point in points if before.get(record := encode(point.id)) != now[record]]
        changed += len(new)
        _write(calls, configuration, target, new)
        known.put(now)
    for gone in round_.missed(_POINTS_AT_ONCE):
        calls.remove(target, [_point_id(record) for record in gone])
        known.remove(gone)
        changed += len(gone)
    return changed


def _write(calls: QdrantCalls, configuration: Configuration, target: str, points: Sequence[models.Record]) -> None:
    most = configuration.largest(_POINTS_AT_ONCE, writing=True)
    for start in range(0, len(points), most):
        calls.upsert(target, [_struct(point) for point in points[start : start + most]])


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
