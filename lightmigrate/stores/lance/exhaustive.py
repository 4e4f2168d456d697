"""Search without an index: all vectors are read once for all queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.distance import distances
from lightmigrate.vectors import Metric, Vectors

# How many more candidates than wanted get exact distances.
_MORE = 10


def search(
    queries: Vectors, blocks: Iterable[tuple[Sequence[str], Vectors]], k: int, metric: Metric
) -> tuple[list[list[str]], list[list[float]]]:
    """Ids and distances of the k nearest records to each of `queries` `(q, d)`; see `Collection.nearest`.

    Args:
        queries: float32 `(q, d)`.
        blocks: ids and vectors `(n, d)` of all records, some at a time.
        k: how many to find.
        metric: the distance.
    """
    best: list[list[tuple[float, str]]] = [[] for _ in queries]
    for ids, stored in blocks:
        approximate = _approximate(queries, stored, metric)
        for number, query in enumerate(queries.astype(np.float64)):
            chosen = _smallest(approximate[number], k + _MORE)
            exact = distances(query, stored[chosen].astype(np.float64), metric)
            found = [(float(far), ids[row]) for far, row in zip(exact, chosen.tolist(), strict=True)]
            best[number] = sorted([*best[number], *found])[:k]
    return [[record for _, record in row] for row in best], [[far for far, _ in row] for row in best]


def _smallest(numbers: Vectors, k: int) -> npt.NDArray[np.intp]:
    return np.arange(len(numbers)) if len(numbers) <= k else np.argpartition(numbers, k)[:k]


def _approximate(queries: Vectors, stored: Vectors, metric: Metric) -> Vectors:
    """Numbers `(q, n)` in the order of the distances, up to rounding."""
    with np.errstate(all="ignore"):
        order: Vectors = -np.matmul(queries, stored.T)
        if metric != "ip":
            squares: Vectors = np.sum(stored * stored, axis=1)
            if metric == "cosine":
                order /= np.maximum(np.sqrt(squares), np.finfo(np.float32).tiny)
            else:
                order += squares / 2
        return order
