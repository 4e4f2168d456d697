"""Undo the shrinkage of a regression along each principal direction of the target space.

A regression shrinks its predictions towards the mean, most along the directions that it predicts worst. That minimises
the squared error but harms searches, because directions with little variance separate similar documents. The variance
of held-out predictions shows how much each direction was shrunk.
"""

from __future__ import annotations

from lightmigrate.estimators.arrays import Array, namespace

# The largest factor: directions that were shrunk more hold mostly noise.
MOST = 3.0


def undo_shrinkage(target: Array, held_out: Array) -> Array:
    """The matrix that gives held-out predictions the variance of the truth along each of its principal directions.

    `V·diag(α)·Vᵀ` with V the eigenvectors of the covariance of the targets and
    `α_j = √(variance of the truth ÷ variance of the predictions)` along v_j, between 1 and 3.

    Args:
        target: `(K, d_out)`, true.
        held_out: `(K, d_out)`, held-out predictions.

    Returns:
        `(d_out, d_out)`, to multiply deviations from the mean of the targets with.
    """
    xp = namespace(target)
    centre = xp.mean(target, axis=0)
    true, predicted = target - centre, held_out - centre
    _, V = xp.linalg.eigh(true.T @ true)
    true_variance, variance = (xp.sum((x @ V) ** 2, axis=0) for x in (true, predicted))
    rounding = 1e-9 * float(xp.sum(true_variance))
    nonzero, ones = (true_variance > rounding) & (variance > rounding), xp.ones_like(variance)
    ratio = xp.where(nonzero, true_variance, ones) / xp.where(nonzero, variance, ones)
    return (V * xp.clip(xp.sqrt(ratio), 1.0, MOST)) @ V.T
