"""The one form in which vectors travel through the house: float32, `(n, d)`, C-contiguous."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# Below this length the squares of a row's numbers have lost digits to underflow.
SHORTEST = np.float32(1e-15)


def as_vectors(values: Any) -> Vectors:
    """Bring vectors of any real type into the house's form.

    Args:
        values: `(n, d)` or `(d,)`: array of any real dtype, or nested lists.

    Returns:
        float32, C-contiguous, same number of axes; the input itself when it already is that.

    Raises:
        ValueError: when it is not a rectangular array of one or two axes of real numbers.
    """
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiub":
        raise ValueError(f"vectors must be real numbers of shape (n, d) or (d,), not {array.dtype} {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


def meaningful(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of `(n, d)` say something: finite and not all zero. bool `(n,)`."""
    squares = _squares(vectors)
    found: npt.NDArray[np.bool_] = (squares > 0) & (squares < np.inf)
    unsure = ~found  # or its squares left the range of float32
    if unsure.any():
        rows = vectors[unsure]
        found[unsure] = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
    return found


def evenly(total: int, most: int) -> list[int]:
    """Up to `most` of `total` rows, spread evenly from the first to the last."""
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
    return np.sqrt(_squares(rows))


def _squares(rows: Vectors) -> Vectors:
    with np.errstate(over="ignore"):  # infinity is what says that a row is extreme
        # one small product per row is faster than einsum's sum of products
        squares: Vectors = np.matmul(rows[:, None, :], rows[:, :, None])[:, 0, 0]
    return squares
