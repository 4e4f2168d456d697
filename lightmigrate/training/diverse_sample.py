"""Which documents to calibrate on: those that represent many others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.vectors import Vectors

Rows = npt.NDArray[np.int64]

# k-means hardly changes after so many rounds, and every round costs n·k·d multiplications.
ROUNDS = 8
BLOCK_ROWS = 4096

# Medoids are chosen from at most so many rows, random ones where there are more: that bounds time and memory.
MOST_ROWS = 20_000


def diverse_sample(vectors: Vectors, k: int, seed: int = 0) -> Rows:
    """The medoids of k clusters: for each cluster the row nearest to its centre.

    They are a little better to calibrate on than random rows; extreme rows, which farthest-point methods choose, are
    much worse. k-means (Lloyd 1982) from random rows, deterministic for a seed. Of more than 20,000 rows it uses
    20,000, or k if that is more, drawn at random.

    Args:
        vectors: `(n, d)`, finite.
        k: how many, at least 1.
        seed: of every random choice.

    Returns:
        k different row numbers in ascending order.

    Raises:
        NotEnoughTextsError: n is smaller than k.
        ValueError: k is smaller than 1.
    """
    n = len(vectors)
    if k < 1:
        raise ValueError(f"k must be at least 1 row, not {k}")
    if k > n:
        raise NotEnoughTextsError(f"{k} rows are needed, there are {n}; ask for at most {n}", asked=k, available=n)
    if k == n:
        return np.arange(n, dtype=np.int64)
    rng = np.random.default_rng(seed)
    if n > (most := max(MOST_ROWS, k)):
        candidates = np.sort(rng.permutation(n)[:most])
        return candidates[diverse_sample(vectors[candidates], k, seed)]
    centres = vectors[np.sort(rng.permutation(n)[:k])].astype(np.float32)
    for _ in range(ROUNDS):
        cluster, _ = _nearest(vectors, centres)
        order = np.argsort(cluster, kind="stable")
        filled, starts = np.unique(cluster[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, axis=0)
        centres[filled] = sums / np.diff([*starts, n])[:, None]
    cluster, distance = _nearest(vectors, centres)
    order = np.lexsort((distance, cluster))
    _, first = np.unique(cluster[order], return_index=True)
    chosen = order[first]
    # A centre that is nearest to no row has no medoid; a random row takes its place.
    others = rng.permutation(np.setdiff1d(np.arange(n), chosen))[: k - len(chosen)]
    return np.sort(np.concatenate([chosen, others])).astype(np.int64)


def _nearest(vectors: Vectors, centres: Vectors) -> tuple[Rows, Vectors]:
    """The nearest centre of every row, and half of its squared distance to it."""
    halves = 0.5 * np.sum(centres**2, axis=1)
    cluster, distance = np.empty(len(vectors), dtype=np.int64), np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        distances = halves - vectors[start : start + BLOCK_ROWS] @ centres.T
        best = distances.argmin(axis=1)
        cluster[start : start + BLOCK_ROWS] = best
        distance[start : start + BLOCK_ROWS] = distances[np.arange(len(best)), best]
    squares = 0.5 * np.sum(vectors**2, axis=1)
    return cluster, distance + squares
