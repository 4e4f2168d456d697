"""Exact and mapped vectors in one index: neither kind may be found for being of that kind.

Scaled to length 1, what a map makes of the first words of a text is a little nearer to every query than what the new
model says to the whole text: it keeps closer to the centre of the space, and first words are much like queries. Then
documents that are exact, new ones above all, are found too seldom. A shift of all mapped vectors away from the centre
takes their advantage and hardly touches their order.
"""

from __future__ import annotations

import numpy as np

from lightmigrate.estimators.arrays import Array, as_numpy, beside, namespace
from lightmigrate.quality.metrics import unit

# At most so many pairs are searched with and among.
MOST_ROWS = 1000

# Neighbours of each kind that a search looks at.
NEIGHBOURS = 10

# The shift is sought between these shares of the centre, and halved so often: to half a hundredth.
LEAST, MOST = -0.5, 1.0
HALVINGS = 8


def levelling(target: Array, held_out: Array, seed: int) -> Array:
    """What to take from mapped vectors so that searches among them and their true ones find as many of either.

    Every true vector is searched for among all others, each of which is there twice: true, and mapped without having
    been seen.

    Args:
        target: `(K, d_out)`, true.
        held_out: `(K, d_out)`, predicted without having been seen, not normalised.
        seed: of the choice of pairs, where there are more than a thousand.

    Returns:
        `(d_out,)`, a multiple of the centre of the targets.
    """
    rows = np.random.default_rng(seed).permutation(len(target))[:MOST_ROWS]
    centre = namespace(target).mean(target, axis=0)
    true, mapped, middle = as_numpy(target)[rows], as_numpy(held_out)[rows], as_numpy(centre)
    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        share = (low + high) / 2
        low, high = (share, high) if _exact_found(unit(true), unit(mapped - share * middle)) < 0.5 else (low, share)
    return beside((low + high) / 2 * middle, target)


def _exact_found(true: np.typing.NDArray[np.float64], mapped: np.typing.NDArray[np.float64]) -> float:
    """The share of true vectors among the neighbours of all true vectors, themselves left out."""
    n = len(true)
    similarity = np.hstack([true @ true.T, true @ mapped.T])
    similarity[np.arange(n), np.arange(n)] = similarity[np.arange(n), n + np.arange(n)] = -np.inf
    wanted = min(2 * NEIGHBOURS, n)
    return float(np.mean(np.argpartition(-similarity, wanted - 1, axis=1)[:, :wanted] < n))
