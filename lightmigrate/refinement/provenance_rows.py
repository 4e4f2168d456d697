"""One row of a provenance file: where its vector comes from, and what its vector was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lightmigrate.vectors import Vectors

# Half precision saves half of the space; its rounding error is far below the error of any projection.
_STORED = np.dtype("<f2")


class VectorOrigin(IntEnum):
    """Where a vector comes from.

    Attributes:
        PROJECTED: the projection, from the old vector, with or without the stored text.
        EXTRACT: the projection, from the old vector and an extract of the text that the new model embedded.
        EXACT: the new model, from the whole text.
    """

    PROJECTED = 0
    EXTRACT = 1
    EXACT = 2


# The origins of the vectors that a projection made.
NOT_EXACT = (VectorOrigin.PROJECTED, VectorOrigin.EXTRACT)


@dataclass(frozen=True)
class Row:
    """One row of a migrated collection.

    Attributes:
        id: of the record.
        origin: where its vector comes from.
        old_vector: float32 `(d_old,)`, its vector before the migration.
        fingerprints: of the vectors that this package may have given it; see `vector_fingerprint`.
        fitted: whether the newest projection was fitted to it.
    """

    id: str
    origin: VectorOrigin
    old_vector: Vectors
    fingerprints: bytes
    fitted: bool = False


def old_vectors_of(rows: Sequence[Row]) -> Vectors:
    """The old vectors of some rows, float32 `(n, d_old)`."""
    return np.stack([row.old_vector for row in rows])


def row_of(row_id: str, origin: int, old_vector: bytes, fingerprints: bytes, fitted: int) -> Row:
    """A row as the columns of its table hold it."""
    vector = np.frombuffer(old_vector, _STORED).astype(np.float32)
    return Row(row_id, VectorOrigin(origin), vector, fingerprints, bool(fitted))


def stored_vector(vector: Vectors) -> bytes:
    """An old vector as its column holds it."""
    return vector.astype(_STORED).tobytes()
