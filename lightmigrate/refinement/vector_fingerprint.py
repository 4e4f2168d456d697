"""Fingerprints of vectors: some of their numbers, by which a row is recognised that the application did not write.

They are compared up to their length: some stores keep only the direction of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightmigrate.vectors import Vectors, evenly

# Numbers kept of each vector. Vectors of two models, or of a projection and its model, never agree in all of them.
NUMBERS = 8
_STORED = np.dtype("<f4")

# Chroma returns a vector within 3e-7 of what was written; a projection differs from its model by 1e-1 and more.
TOLERANCE = 1e-3


def fingerprints_of(vectors: Vectors) -> list[bytes]:
    """The fingerprint of each of some vectors `(n, d)`."""
    return [row.tobytes() for row in _numbers(vectors).astype(_STORED)]


def matches(vectors: Vectors, fingerprints: Sequence[bytes]) -> npt.NDArray[np.bool_]:
    """Which vectors match one of the fingerprints stored for them: bool `(n,)`.

    Args:
        vectors: `(n, d)`.
        fingerprints: for each vector one fingerprint, or several joined together.
    """
    numbers = _scaled(_numbers(vectors))
    matching = np.zeros(len(vectors), dtype=bool)
    for row, stored in enumerate(fingerprints):
        known = np.frombuffer(stored, _STORED)
        if len(numbers[row]) and len(known) % len(numbers[row]) == 0:
            given = _scaled(known.reshape(-1, len(numbers[row])).astype(np.float32))
            differences = np.abs(given - numbers[row]).max(axis=1, initial=0.0)
            allowed = TOLERANCE * max(float(np.abs(numbers[row]).max()), 1e-30)
            matching[row] = bool((differences <= allowed).any())
    return matching


def _scaled(numbers: Vectors) -> Vectors:
    """The numbers `(n, k)` of each vector with the largest of them at 1 or -1; zeros stay zeros."""
    largest = np.abs(numbers).max(axis=1, keepdims=True, initial=0)
    return np.asarray(numbers / np.where(largest > 0, largest, 1), np.float32)


def _numbers(vectors: Vectors) -> Vectors:
    """Some numbers of each vector, spread over it: `(n, 8)`, or all if there are fewer."""
    places = evenly(vectors.shape[1], NUMBERS)
    return np.asarray(vectors[:, places], dtype=np.float32)
