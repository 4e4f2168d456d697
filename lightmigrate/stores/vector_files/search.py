"""Exact search through vectors that have no index, a block at a time."""

from __future__ import annotations

import numpy as np

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
        numbers = np.broadcast_to(np.arange(len(vectors)) + number * PAGE, measured.shape)
        measured = np.concatenate([best, np.where(np.isnan(measured), np.inf, measured)], axis=1)
        numbers = np.concatenate([best_rows, numbers], axis=1)
        order = np.argsort(measured, axis=1, kind="stable")[:, :k]
        best, best_rows = np.take_along_axis(measured, order, 1), np.take_along_axis(numbers, order, 1)
    return best_rows.tolist(), best.tolist()
