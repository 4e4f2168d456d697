"""Exact and projected vectors in one index: a shift that lets searches find both equally often.

Scaled to length 1, a vector projected from an extract is a little nearer to every query than the exact vector of the
same text: it lies closer to the centre of the space, and extracts resemble queries. Exact rows, above all new ones, are
then found too seldom. Shifting all projected vectors away from the centre removes the bias and hardly changes their
order (`benchmarks/added_documents.py`).
"""

from __future__ import annotations

import numpy as np

from lightmigrate.estimators.arrays import Array, as_numpy
from lightmigrate.quality.metrics import unit

# At most so many pairs are queries and documents.
MOST_ROWS = 1000

# Neighbours of each kind that a search returns, but at most one document in LEAST_PAIRS.
NEIGHBOURS = 10
LEAST_PAIRS = 6

# The shift is found by bisection between these shares of the centre, to .006.
LEAST, MOST = -0.5, 1.0
HALVINGS = 8


def centre_shift(target: Array, held_out: Array, seed: int) -> float:
    """The share of the centre to subtract from projected vectors so that searches find them as often as exact ones.

    Every true vector is a query. The documents are all other pairs, each twice: its true vector, and its held-out
    prediction.

    Args:
        target: `(K, d_out)`, true.
        held_out: `(K, d_out)`, held-out predictions, not normalised.
        seed: of the choice of pairs, when there are more than a thousand.

    Returns:
        A share of the mean of the targets.
    """
    rows = np.random.default_rng(seed).permutation(len(target))[:MOST_ROWS]
    true, projected = as_numpy(target)[rows], as_numpy(held_out)[rows]
    centre = as_numpy(target).mean(axis=0)
    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        share = (low + high) / 2
        exact_share = _exact_share(unit(true), unit(projected - share * centre))
        low, high = (share, high) if exact_share < 0.5 else (low, share)
    return (low + high) / 2


def _exact_share(true: np.typing.NDArray[np.float64], projected: np.typing.NDArray[np.float64]) -> float:
    """The share of true vectors among the neighbours of all true vectors, without the query itself."""
    n = len(true)
    similarity = np.hstack([true @ true.T, true @ projected.T])
    similarity[np.arange(n), np.arange(n)] = similarity[np.arange(n), n + np.arange(n)] = -np.inf
    k = 2 * min(NEIGHBOURS, max(1, n // LEAST_PAIRS))
    return float(np.mean(np.argpartition(-similarity, k - 1, axis=1)[:, :k] < n))
