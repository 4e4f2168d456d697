"""Projected documents in one index with exact ones, as after the first document that the application adds.

A search has to find both. Vectors that are too short, too long, or too near to the centre keep their order among
themselves, and are found always or never beside exact ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.metrics import Array, is_ranked, search, without
from lightmigrate.vectors import Metric


def found_beside_exact(
    queries: Array, true: Array, projected: Array, own: npt.NDArray[np.int64], k: int, metric: Metric
) -> npt.NDArray[np.float64]:
    """How many true results searches find, and how many there are, where half of the documents are projected.

    Twice: each document is projected in one half of the measurement and exact in the other.

    Args:
        queries: `(q, d)`, of the new model.
        true: `(n, d)`, documents of the new model.
        projected: `(n, d)`, the same documents, projected; finite.
        own: for each query a document that does not count, -1 for none.
        k: length of the rankings.
        metric: the distance of the collection.

    Returns:
        `(2, 2, q)`: for projected and for exact documents the number found and the number that belongs there.
    """
    counts = np.zeros((2, 2, len(queries)))
    odd = np.arange(len(true)) % 2 == 1
    wanted = without(search(queries, true, k + 1, metric), own, k)
    for is_exact in (odd, ~odd):
        ranking = search(queries, np.where(is_exact[:, None], true, projected), k + 1, metric)
        found = is_ranked(wanted, without(ranking, own, k))
        for kind, members in enumerate((~is_exact[wanted], is_exact[wanted])):
            counts[kind] += (found & members).sum(axis=1), members.sum(axis=1)
    return counts
