"""Give back what a regression shrank, direction by direction.

A regression is cautious: the less it knows of a direction of the new space, the closer to the centre it stays there.
That is best for the squared error and bad for searches, because the directions with little variance are those that
tell similar documents apart. Predictions that leave each pair out show by how much.
"""

from __future__ import annotations

from lightmigrate.estimators.arrays import Array, namespace

# Where more than this would have to be given back, there is little but noise to be made louder.
MOST = 3.0


def restoring(target: Array, held_out: Array) -> Array:
    """The matrix that gives held-out predictions the variance of the truth along each of its principal directions.

    `V·diag(α)·Vᵀ` with V the eigenvectors of the covariance of the targets and
    `α_j = √(variance of the truth ÷ variance of the predictions)` along v_j, between 1 and 3.

    Args:
        target: `(K, d_out)`, true.
        held_out: `(K, d_out)`, predicted without having been seen.

    Returns:
        `(d_out, d_out)`, to be applied to what deviates from the centre of the targets.
    """
    xp = namespace(target)
    centre = xp.mean(target, axis=0)
    true, predicted = target - centre, held_out - centre
    _, V = xp.linalg.eigh(true.T @ true)
    there, found = (xp.sum((x @ V) ** 2, axis=0) for x in (true, predicted))
    rounding = 1e-9 * float(xp.sum(there))
    known = (there > rounding) & (found > rounding)
    ratio = xp.where(known, there, xp.ones_like(there)) / xp.where(known, found, xp.ones_like(found))
    return (V * xp.clip(xp.sqrt(ratio), 1.0, MOST)) @ V.T
