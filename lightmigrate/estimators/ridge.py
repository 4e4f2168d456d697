"""Ridge regression with the penalty chosen by leave-one-out error, from one decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightmigrate.estimators.arrays import Array, namespace

# Penalties compared, relative to the mean squared singular value of the centred source.
PENALTIES = np.logspace(-6, 2, 17).tolist()


@dataclass(frozen=True)
class RidgeFit:
    """The result of a ridge fit.

    Attributes:
        weights: W, float64 `(d_in, d_out)`.
        bias: b, float64 `(d_out,)`.
        penalty: the chosen λ, in units of the squared singular values.
        leave_one_out_error: mean squared length of the residual of each pair when it is left out.
        leave_one_out: the predictions those residuals belong to, `(K, d_out)`.
    """

    weights: Array
    bias: Array
    penalty: float
    leave_one_out_error: float
    leave_one_out: Array


def fit_ridge(source: Array, target: Array) -> RidgeFit:
    """Least squares with a penalty on W but not on b: both sides are centred first.

    λ minimises the exact leave-one-out error, which needs no refitting: with X = U·S·Vᵀ centred, the
    residual of a left-out pair is `(y - ŷ) / (1 - h)`, `h = 1/n + Σ_j u_j² s_j²/(s_j² + λ)`
    (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, eq. 7.64). Generalised
    cross-validation averages h and breaks down when there are about as many pairs as dimensions.

    Args:
        source: `(n, d_in)`, n ≥ 2.
        target: `(n, d_out)`, row i belongs to row i of `source`.

    Returns:
        W and b such that `source @ W + b ≈ target`.
    """
    xp, n = namespace(source, target), len(source)
    source_mean, target_mean = xp.mean(source, axis=0), xp.mean(target, axis=0)
    centred = target - target_mean
    U, s, Vt = xp.linalg.svd(source - source_mean, full_matrices=False)
    # Centring equal vectors leaves rounding errors, so the threshold is relative to the vectors before centring.
    kept = s > xp.linalg.vector_norm(source) * max(source.shape) * np.finfo(np.float64).eps
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    if not len(s):  # every source vector is the same: the best prediction is the mean of the others
        others = target_mean - centred / max(1, n - 1)
        error = float(xp.mean(xp.sum((target - others) ** 2, axis=1)))
        return RidgeFit(xp.zeros_like(source_mean)[:, None] * target_mean, target_mean, 0.0, error, others)

    rotated, squares, U2 = U.T @ centred, s**2, U**2
    best, least = (0.0, target), np.inf
    for penalty in PENALTIES:
        penalty *= float(xp.mean(squares))
        shrink = squares / (squares + penalty)
        leverage = 1 / n + U2 @ shrink
        residual = (centred - U @ (shrink[:, None] * rotated)) / (1 - leverage)[:, None]
        error = float(xp.mean(xp.sum(residual**2, axis=1)))
        if error < least:
            best, least = (penalty, target - residual), error
    penalty, left_out = best
    weights = Vt.T @ ((s / (squares + penalty))[:, None] * rotated)
    return RidgeFit(weights, target_mean - source_mean @ weights, penalty, least, left_out)
