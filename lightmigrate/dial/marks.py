"""What a vector is known by again: some of its numbers. A row that the application has written over has others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.vectors import Vectors, evenly

# Of one vector so many numbers are kept: two models, or a map and its model, agree in all of them never.
NUMBERS = 8
_KEPT = np.dtype("<f4")

# Chroma gives a vector back within 3e-7 of it; a map and its model are 1e-1 and more apart.
TOLERANCE = 1e-3


def marks_of(vectors: Vectors) -> list[bytes]:
    """The marks of some vectors `(n, d)`, one each."""
    return [row.tobytes() for row in _numbers(vectors).astype(_KEPT)]


def bear_a_mark(vectors: Vectors, marks: Sequence[bytes]) -> npt.NDArray[np.bool_]:
    """Which of some vectors `(n, d)` bear one of the marks noted for them; several may stand one after the other."""
    numbers = _numbers(vectors)
    found = np.zeros(len(vectors), dtype=bool)
    for row, noted in enumerate(marks):
        known = np.frombuffer(noted, _KEPT)
        if len(numbers[row]) and len(known) % len(numbers[row]) == 0:
            apart = np.abs(known.reshape(-1, len(numbers[row])) - numbers[row]).max(axis=1, initial=0.0)
            found[row] = bool((apart <= TOLERANCE * max(float(np.abs(numbers[row]).max()), 1e-30)).any())
    return found


def _numbers(vectors: Vectors) -> Vectors:
    """Some numbers of each vector, spread over it: `(n, 8)`, or all where there are fewer."""
    places = evenly(vectors.shape[1], NUMBERS)
    return np.asarray(vectors[:, places], dtype=np.float32)
