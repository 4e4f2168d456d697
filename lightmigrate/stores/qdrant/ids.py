"""Ids of points as text, and back: integers of 64 bits without sign, and UUIDs."""

from __future__ import annotations

import re
import uuid

from lightmigrate.errors import LightmigrateError

PointId = int | str | uuid.UUID

_INTEGER = re.compile(r"0|[1-9][0-9]{0,19}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LARGEST_INTEGER, _LARGEST_UUID = 2**64 - 1, 2**128 - 1


def encode(point: PointId) -> str:
    """The id of a point as text."""
    return str(point)


def decode(record: str) -> PointId | None:
    """The id of a point from its text; `None` when no point can have it."""
    if _INTEGER.fullmatch(record):
        return int(record) if int(record) <= _LARGEST_INTEGER else None
    return record if _UUID.fullmatch(record) else None


def require(record: str) -> PointId:
    """As `decode`.

    Raises:
        LightmigrateError: no point can have this id.
    """
    point = decode(record)
    if point is None:
        raise LightmigrateError(
            "an id is neither an integer from 0 to 2^64 - 1 nor a UUID in small letters, and Qdrant takes no other: "
            "use str(uuid.uuid5(...)) of it"
        )
    return point


def following(record: str) -> PointId | None:
    """The smallest id after another one, in the order of a scan: integers, then UUIDs; `None` after the last."""
    point = require(record)
    if isinstance(point, int):
        return point + 1 if point < _LARGEST_INTEGER else str(uuid.UUID(int=0))
    number = uuid.UUID(str(point)).int
    return str(uuid.UUID(int=number + 1)) if number < _LARGEST_UUID else None
