"""Exact and mapped vectors in one index: neither kind may be found for being of that kind.

Scaled to length 1, what a map makes of the first words of a text is a little nearer to every query than what the new
model says to the whole text: it keeps closer to the centre of the space, and first words are much like queries. Then
documents that are exact, new ones above all, are found too seldom. A shift of all mapped vectors away from the centre
takes some of their advantage and hardly touches their order (`benchmarks/newcomers.py`).
"""

from __future__ import annotations

import numpy as np

from lightmigrate.estimators.arrays import Array, as_numpy
from lightmigrate.quality.metrics import unit

# At most so many pairs are searched with and among.
MOST_ROWS = 1000

# Neighbours of each kind that a search looks at, but at most one of so many.
NEIGHBOURS = 10
LEAST_PAIRS = 6

# The shift is sought between these shares of the centre, and halved so often: to half a hundredth.
LEAST, MOST = -0.5, 1.0
HALVINGS = 8


def levelling(target: Array, held_out: Array, seed: int) -> float:
    """How much of the centre to take from mapped vectors so that searches find as many of them as of true ones.

    Every true vector is searched for among all others, each of which is there twice: true, and mapped without having
    been seen.

    Args:
        target: `(K, d_out)`, true.
        held_out: `(K, d_out)`, predicted without having been seen, not normalised.
        seed: of the choice of pairs, where there are more than a thousand.

    Returns:
        A share of the mean of the targets.
    """
    rows = np.random.default_rng(seed).permutation(len(target))[:MOST_ROWS]
    true, mapped = as_numpy(target)[rows], as_numpy(held_out)[rows]
    centre = as_numpy(target).mean(axis=0)
    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        share = (low + high) / 2
        low, high = (share, high) if _exact_found(unit(true), unit(mapped - share * centre)) < 0.5 else (low, share)
    return (low + high) / 2


def _exact_found(true: np.typing.NDArray[np.float64], mapped: np.typing.NDArray[np.float64]) -> float:
    """The share of true vectors among the neighbours of all true vectors, themselves left out."""
    n = len(true)
    similarity = np.hstack([true @ true.T, true @ mapped.T])
    similarity[np.arange(n), np.arange(n)] = similarity[np.arange(n), n + np.arange(n)] = -np.inf
    wanted = 2 * min(NEIGHBOURS, max(1, n // LEAST_PAIRS))
    return float(np.mean(np.argpartition(-similarity, wanted - 1, axis=1)[:, :wanted] < n))
