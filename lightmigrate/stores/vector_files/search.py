"""Exact search through vectors that have no index, a block at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Metric
from lightmigrate.stores.distance import all_distances
from lightmigrate.stores.vector_files.table import PAGE, Nearest, Rows, blocks_of
from lightmigrate.vectors import Vectors


def exact_nearest(rows: Rows, queries: Vectors, k: int, metric: Metric) -> Nearest:
    """The `k` nearest rows to each of `queries` `(q, d)`, nearest first; reads all vectors."""
    wide = queries.astype(np.float64)
    best_rows = np.zeros((len(queries), 0), np.int64)
    best = np.zeros((len(queries), 0), np.float64)
    for number, vectors in enumerate(blocks_of(rows)):
        measured = all_distances(wide, vectors.astype(np.float64), metric)
        measured[np.isnan(measured)] = np.inf
        numbers = _smallest(measured, k)
        measured = np.concatenate([best, np.take_along_axis(measured, numbers, 1)], axis=1)
        numbers = np.concatenate([best_rows, numbers + number * PAGE], axis=1)
        order = np.argsort(measured, axis=1, kind="stable")[:, :k]
        best, best_rows = np.take_along_axis(measured, order, 1), np.take_along_axis(numbers, order, 1)
    return best_rows.tolist(), best.tolist()


def _smallest(numbers: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.int64]:
    """Where the `k` smallest of each row `(n,)` are, in order of their places; of equal ones the first, `(q, k)`."""
    if numbers.shape[1] <= k:
        return np.broadcast_to(np.arange(numbers.shape[1]), numbers.shape)
    limit = np.partition(numbers, k - 1, axis=1)[:, k - 1 : k]
    # all that are smaller, and as many that are equal as are left
    smaller, equal = numbers < limit, numbers == limit
    equal &= np.cumsum(equal, axis=1) <= k - smaller.sum(axis=1, keepdims=True)
    return np.nonzero(smaller | equal)[1].reshape(-1, k)
