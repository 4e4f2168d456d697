"""Vectors that lie in a payload beside the own one, and that the database scales to length 1 whenever it likes.

A write scales them, opening a folder may, and a search, each in its own precision: their last bits change while nobody
writes. So they are no part of the contents, which are compared to the bit and by digests. They are compared as the own
vector is: up to that rounding.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lightmigrate.stores.page import Page, Payload
from lightmigrate.vectors import Vectors

# Where a payload holds them: by name the number of rows, 0 for a vector that is one, and the numbers.
SCALED = "lightmigrate:scaled"

_KIND = "<f4"


def encoded(rows: Vectors, *, several: bool) -> list[Any]:
    """A vector as JSON.

    Args:
        rows: `(n, d)`.
        several: whether it is one of several rows, of which there may be one.
    """
    numbers = base64.b64encode(np.ascontiguousarray(rows, _KIND).tobytes()).decode()
    return [len(rows) if several else 0, numbers]


def decoded(rows: int, numbers: str) -> Vectors:
    """The numbers of a vector: `(d,)`, or `(n, d)` for one of several rows."""
    values = np.frombuffer(base64.b64decode(numbers), _KIND)
    return values.reshape(rows, -1) if rows else values


def contents_alone(payload: Payload | None) -> Payload | None:
    """A payload without these vectors; `None` where nothing is left."""
    if payload is None or SCALED not in payload:
        return payload
    return {name: value for name, value in payload.items() if name != SCALED} or None


def scaled_in(payload: Payload | None) -> Mapping[str, Any]:
    """These vectors of a payload, as JSON by name."""
    found = None if payload is None else payload.get(SCALED)
    return found if isinstance(found, Mapping) else {}


def same_scaled(one: Payload | None, other: Payload | None, tolerance: float) -> bool:
    """Whether two payloads hold the same of these vectors.

    Args:
        one: a payload.
        other: of the same record elsewhere.
        tolerance: largest difference of two numbers, relative to the length of their row.
    """
    before, after = scaled_in(one), scaled_in(other)
    return before.keys() == after.keys() and all(
        vector == after[name] or _near(vector, after[name], tolerance) for name, vector in before.items()
    )


def differing_scaled(page: Page, other: Page, tolerance: float) -> list[str]:
    """The ids of those records that two pages hold with other ones of these vectors; of a record in one only, none."""
    there = dict(zip(other.ids, other.payloads, strict=True))
    return [
        record
        for record, payload in zip(page.ids, page.payloads, strict=True)
        if record in there and not same_scaled(payload, there[record], tolerance)
    ]


def with_scaled(page: Page) -> list[str]:
    """The ids of the records of a page that have such vectors."""
    return [record for record, payload in zip(page.ids, page.payloads, strict=True) if scaled_in(payload)]


def _near(one: Sequence[Any], other: Sequence[Any], tolerance: float) -> bool:
    before, after = decoded(*one), decoded(*other)
    if before.shape != after.shape:
        return False
    lengths = np.maximum(np.linalg.norm(before, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    return bool(np.all((np.abs(before - after) <= tolerance * lengths) | ((before != before) & (after != after))))
