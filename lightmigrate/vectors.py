"""The form of all vectors in this package: float32, `(n, d)`, C-contiguous."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# How far two vectors are from each other; smaller is nearer:
#   l2       squared Euclidean distance
#   cosine   1 - cosine
#   ip       1 - inner product
Metric = Literal["l2", "cosine", "ip"]
METRICS: tuple[Metric, ...] = get_args(Metric)

# In shorter rows the squares of the numbers lose digits to underflow.
SHORTEST = np.float32(1e-15)


def as_vectors(values: Any) -> Vectors:
    """Convert vectors of any real type to float32, C-contiguous.

    Args:
        values: `(n, d)` or `(d,)`: array of any real dtype, or nested lists.

    Returns:
        float32, C-contiguous, same number of axes; the input itself when it already is that.

    Raises:
        ValueError: not a rectangular array of real numbers with one or two axes.
    """
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiub":
        raise ValueError(f"vectors must be real numbers of shape (n, d) or (d,), not {array.dtype} {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


def meaningful(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of `(n, d)` are finite and not all zero: bool `(n,)`."""
    lengths = squares(vectors)
    valid: npt.NDArray[np.bool_] = np.asarray((lengths > 0) & (lengths < np.inf))
    unsure = ~valid  # invalid, or the squares left the range of float32
    if unsure.any():
        rows = vectors[unsure]
        valid[unsure] = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
    return valid


def with_direction(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of `(n, d)` have a length whose square float32 can hold, so that a cosine is defined: bool `(n,)`."""
    lengths = squares(vectors)
    return np.asarray((lengths > SHORTEST**2) & (lengths < np.inf))


def finite_rows(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of `(n, d)` hold neither NaN nor infinity: bool `(n,)`."""
    return np.asarray(np.isfinite(vectors).all(axis=1))


def evenly(total: int, most: int) -> list[int]:
    """Up to `most` of `total` row numbers, evenly spaced from the first to the last."""
    places: list[int] = np.linspace(0, total - 1, min(most, total)).astype(int).tolist()
    return places


def normalise_rows(rows: Vectors) -> None:
    """Scale every row of `(n, d)` to length 1, in place. An all-zero row stays zero, not NaN."""
    lengths = _lengths(rows)
    extreme = ~((lengths > SHORTEST) & (lengths < np.inf))  # the squares left the range of float32
    if extreme.any():
        largest = np.abs(rows[extreme]).max(axis=1, initial=0)
        largest[largest == 0] = 1
        rows[extreme] /= largest[:, None]
        lengths[extreme] = _lengths(rows[extreme])
        lengths[lengths == 0] = 1
    rows /= lengths[:, None]


def _lengths(rows: Vectors) -> Vectors:
    return np.asarray(np.sqrt(squares(rows)))


def squares(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The squared length of every row of `(n, d)`: `(n,)` of the same dtype; infinity where that cannot hold it."""
    with np.errstate(over="ignore"):  # infinity marks an extreme row
        # one small product per row is faster than einsum's sum of products
        return np.asarray(np.matmul(rows[:, None, :], rows[:, :, None])[:, 0, 0])
