"""Ridge regression with the penalty chosen by leave-one-out error, from one decomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

# Penalties tried, relative to the mean squared singular value of the centred source.
PENALTIES = np.logspace(-6, 2, 17)


@dataclass(frozen=True)
class RidgeFit:
    """What a ridge fit found.

    Attributes:
        weights: W, float64 `(d_in, d_out)`.
        bias: b, float64 `(d_out,)`.
        penalty: the chosen λ, in units of the squared singular values.
        leave_one_out_error: mean squared length of the residual of each pair when it is left out.
    """

    weights: Matrix
    bias: Matrix
    penalty: float
    leave_one_out_error: float


def fit_ridge(source: Matrix, target: Matrix) -> RidgeFit:
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
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = target - target_mean
    U, s, Vt = np.linalg.svd(source - source_mean, full_matrices=False)
    # What centring leaves of equal vectors is rounding, so the whole source sets the scale of what is zero.
    kept = s > np.linalg.norm(source) * max(source.shape) * np.finfo(np.float64).eps
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    if not len(s):  # every source vector is the same: the best guess is the mean of the others
        error = float(np.mean(np.sum(centred**2, axis=1)) / (1 - 1 / len(source)) ** 2)
        return RidgeFit(np.zeros((source.shape[1], target.shape[1])), target_mean, 0.0, error)

    rotated, squares, U2 = U.T @ centred, s**2, U**2
    best_error, best_penalty = np.inf, 0.0
    for penalty in PENALTIES * squares.mean():
        shrink = squares / (squares + penalty)
        leverage = 1 / len(source) + U2 @ shrink
        residual = centred - U @ (shrink[:, None] * rotated)
        error = float(np.mean(np.sum(residual**2, axis=1) / (1 - leverage) ** 2))
        if error < best_error:
            best_error, best_penalty = error, float(penalty)
    weights = Vt.T @ ((s / (squares + best_penalty))[:, None] * rotated)
    return RidgeFit(weights, target_mean - source_mean @ weights, best_penalty, best_error)
