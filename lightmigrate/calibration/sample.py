"""Which documents to calibrate on: those that stand for many others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.projection.vectors import Vectors

Rows = npt.NDArray[np.int64]

# k-means moves little after so many rounds, and every round costs n·k·d multiplications.
ROUNDS = 8
BLOCK_ROWS = 4096


def diverse_sample(vectors: Vectors, k: int, seed: int = 0) -> Rows:
    """The medoids of k clusters: for each the row nearest to its centre, where the data are dense.

    A little better to calibrate on than random rows; extreme rows, which farthest-point methods choose, are
    much worse. k-means (Lloyd 1982) from random rows, deterministic for a seed.

    Args:
        vectors: `(n, d)`, finite.
        k: how many.
        seed: of the rows it begins with.

    Returns:
        k different row numbers in ascending order.

    Raises:
        NotEnoughTextsError: n is smaller than k.
    """
    n = len(vectors)
    if k > n:
        raise NotEnoughTextsError(f"{k} rows to choose from {n}; ask for at most {n}", asked=k, available=n)
    rng = np.random.default_rng(seed)
    centres = vectors[np.sort(rng.permutation(n)[:k])].astype(np.float32)
    for _ in range(ROUNDS if k < n else 0):
        cluster, _ = _nearest(vectors, centres)
        order = np.argsort(cluster, kind="stable")
        filled, starts = np.unique(cluster[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        centres[filled] = sums / np.diff([*starts, n])[:, None]
    cluster, distance = _nearest(vectors, centres)
    order = np.lexsort((distance, cluster))
    _, first = np.unique(cluster[order], return_index=True)
    chosen = order[first]
    # A centre nobody is nearest to stands for nothing; random rows take the places of such centres.
    others = rng.permutation(np.setdiff1d(np.arange(n), chosen))[: k - len(chosen)]
    return np.sort(np.concatenate([chosen, others])).astype(np.int64)


def _nearest(vectors: Vectors, centres: Vectors) -> tuple[Rows, Vectors]:
    """For every row the nearest centre, and half the squared distance to it less half the row's own square."""
    halves = 0.5 * np.sum(centres**2, axis=1)
    cluster, distance = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        away = halves - vectors[start : start + BLOCK_ROWS] @ centres.T
        best = away.argmin(axis=1)
        cluster[start : start + BLOCK_ROWS] = best
        distance[start : start + BLOCK_ROWS] = away[np.arange(len(best)), best]
    squares = 0.5 * np.sum(vectors**2, axis=1)
    return cluster, distance + squares
