"""Points as records: which part of a payload is the text, and how the other vectors of a point travel with it.

A record's payload is the point's payload without the text. Where a point has other vectors than the one that is
migrated, the payload also holds them: under one name those that Qdrant keeps as they are, so that they are copied and
compared with the rest, and under another those that it scales; see `stores.scaled`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Cursor, Page, Payload
from lightmigrate.stores.qdrant.ids import encode, require
from lightmigrate.stores.scaled import SCALED, decoded, encoded
from lightmigrate.vectors import Vectors

# Where a record's payload holds the other vectors of a point that Qdrant keeps as they are.
OTHERS = "lightmigrate:vectors"

_MEM0_FIELDS = {"data", "hash", "created_at"}

# Qdrant leaves a vector as it is whose squared length is this near to 1.
_NEAR_ONE = 1e-6

# Servers store numbers of 32 bits, local mode keeps all 64 of those in sparse vectors.
_INDICES, _VALUES, _WIDE_VALUES = "<u4", "<f4", "<f8"

# About how many characters a number of 32 bits takes as JSON.
_BYTES_PER_NUMBER = 22

Vector = Any  # a list of numbers, a list of such rows, or a `SparseVector`


def needs_own_name(payloads: Sequence[Mapping[str, Any]]) -> bool:
    """Whether most payloads are mem0's, which looks for its collection in a list that has no aliases."""
    return 2 * sum(each.keys() >= _MEM0_FIELDS for each in payloads) > len(payloads)


def bytes_of(vector: Vector, payload: Mapping[str, Any] | None = None) -> int:
    """About how many bytes a point takes in a request, with all of its vectors."""
    return _numbers(vector) * _BYTES_PER_NUMBER + len(json.dumps(payload, default=str))


def _numbers(vector: Vector) -> int:
    if isinstance(vector, models.SparseVector):
        return 2 * len(vector.indices)
    if isinstance(vector, Mapping):
        return sum(map(_numbers, vector.values()))
    if isinstance(vector, Sequence):
        return sum(map(_numbers, vector)) if vector and isinstance(vector[0], Sequence) else len(vector)
    return 0


@dataclass(frozen=True)
class PointFormat:
    """How the points of a collection are read as records, and written.

    Attributes:
        vector: the name in Qdrant of the vector that is migrated; empty for the unnamed one.
        text: the field of the payload that holds the text.
        unit: the names of the dense vectors that are compared by cosine, which Qdrant stores with length 1.
    """

    vector: str
    text: str
    unit: frozenset[str]

    def page(self, points: Sequence[models.Record], vectors: bool = True, cursor: Cursor | None = None) -> Page:
        """Points as records, without those that lack the vector (if `vectors`)."""
        named = [_named(point.vector) for point in points]
        kept = [row for row in range(len(points)) if not vectors or self.vector in named[row]]
        read = [self._read(points[row].payload or {}, named[row]) for row in kept]
        own = np.array([named[row][self.vector] for row in kept], np.float32) if vectors and kept else None
        return Page(
            ids=[encode(points[row].id) for row in kept],
            vectors=np.zeros((len(kept), 0), np.float32) if own is None else self._scaled(self.vector, own),
            texts=[text for text, _ in read],
            payloads=[payload for _, payload in read],
            cursor=cursor,
        )

    def points(self, page: Page) -> list[models.PointStruct]:
        """Records as points.

        Raises:
            LightmigrateError: an id is not one of Qdrant's, or a payload already has the field of the text.
        """
        rows = zip(page.ids, page.vectors.tolist(), page.texts, page.payloads, strict=True)
        return [self._point(*row) for row in rows]

    def _point(self, record: str, vector: list[float], text: str | None, payload: Payload | None) -> models.PointStruct:
        fields = dict(payload or {})
        others = {name: _decoded(*parts) for name, *parts in fields.pop(OTHERS, ())}
        others |= {name: decoded(*parts).tolist() for name, parts in fields.pop(SCALED, {}).items()}
        if text is not None:
            if self.text in fields:
                raise LightmigrateError(f"a payload has a field {self.text!r}, which is to hold the text: rename it")
            fields[self.text] = text
        stored: Vector = {self.vector: vector, **others} if self.vector or others else vector
        return models.PointStruct(id=require(record), vector=stored, payload=fields)

    def _read(self, payload: Mapping[str, Any], vectors: Mapping[str, Vector]) -> tuple[str | None, Payload | None]:
        fields = dict(payload)
        text = fields.pop(self.text) if isinstance(fields.get(self.text), str) else None
        names = sorted(vectors.keys() - {self.vector})
        others = [[name, *self._encoded(name, vectors[name])] for name in names if name not in self.unit]
        scaled = {name: self._encoded(name, vectors[name]) for name in names if name in self.unit}
        for field, found in ((OTHERS, others), (SCALED, scaled)):
            if field in fields:
                raise LightmigrateError(f"a payload has a field {field!r}, which is not the application's: remove it")
            if found:
                fields[field] = found
        return text, fields or None

    def _encoded(self, name: str, vector: Vector) -> list[Any]:
        if isinstance(vector, models.SparseVector):
            order = np.argsort(vector.indices, kind="stable")
            indices, values = np.array(vector.indices)[order], np.array(vector.values)[order]
            kind = _VALUES if (values.astype(_VALUES) == values).all() else _WIDE_VALUES
            return [_base64(indices, _INDICES), _base64(values, kind)]
        numbers = np.array(vector, np.float32)
        return encoded(self._scaled(name, numbers.reshape(-1, numbers.shape[-1])), several=numbers.ndim == 2)

    def _scaled(self, name: str, rows: Vectors) -> Vectors:
        """Vectors `(n, d)` as Qdrant keeps them, which local mode does only until its folder is opened again."""
        return unit_rows(rows) if name in self.unit else rows


def unit_rows(rows: Vectors) -> Vectors:
    """Vectors `(n, d)` scaled to length 1; those that have it already, and zeros, stay as they are."""
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    near = np.abs(lengths**2 - 1) <= _NEAR_ONE
    lengths[near | (lengths == 0)] = 1
    return np.ascontiguousarray(wide / lengths, np.float32)


def _named(vector: Vector) -> Mapping[str, Vector]:
    """The vectors of a point by name."""
    if vector is None:
        return {}
    return vector if isinstance(vector, Mapping) else {"": vector}


def _base64(numbers: Any, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, kind).tobytes()).decode()


def _decoded(first: int | str, second: str) -> Vector:
    """A vector from its parts: indices and values of a sparse one; a number of rows (0 for none) and numbers."""
    if isinstance(first, str):
        stored = base64.b64decode(second)
        indices = np.frombuffer(base64.b64decode(first), _INDICES)
        kind = _VALUES if len(stored) == indices.nbytes else _WIDE_VALUES
        return models.SparseVector(indices=indices.tolist(), values=np.frombuffer(stored, kind).tolist())
    return decoded(first, second).tolist()
