"""Ridge regression in its dual form: from similarities between pairs instead of their coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

# Penalties tried, relative to the mean eigenvalue of the centred similarities.
PENALTIES = np.logspace(-5, 2, 15)


@dataclass(frozen=True)
class DualFit:
    """What a dual ridge fit found: `ŷ(x) = offset + Σ_i coefficients_i · similarity(x, x_i)`.

    Attributes:
        coefficients: `(K, d_out)`, each column sums to zero.
        offset: `(d_out,)`.
        penalty: the chosen λ, relative to the mean eigenvalue.
        leave_one_out_error: mean squared length of the residual of each pair when it is left out.
        leave_one_out: the predictions those residuals belong to, `(K, d_out)`.
    """

    coefficients: Matrix
    offset: Matrix
    penalty: float
    leave_one_out_error: float
    leave_one_out: Matrix


def fit_dual(similarity: Matrix, target: Matrix) -> DualFit:
    """Kernel ridge regression with an unpenalised intercept, λ by exact leave-one-out error.

    With H the centring matrix and HGH = Q·Λ·Qᵀ, the left-out residual of pair i is
    `(y_i - ŷ_i) / (1 - h_i)`, `h_i = 1/K + Σ_j q_ij² λ_j/(λ_j + λ)`, so that one decomposition serves all λ
    (Rifkin and Lippert, Notes on Regularized Least Squares, 2007).

    Args:
        similarity: G, `(K, K)`, positive semi-definite.
        target: `(K, d_out)`, K ≥ 2.
    """
    K = len(similarity)
    column_means = similarity.mean(axis=0)
    centred = similarity - column_means - column_means[:, None] + column_means.mean()
    mean = target.mean(axis=0)
    residual_target = target - mean
    values, Q = np.linalg.eigh(centred)
    values = np.maximum(values, 0)
    level = values.mean()
    if level <= 0:  # all pairs alike: the best guess for each is the mean of the others
        others = mean - residual_target / (K - 1)
        error = float(np.mean(np.sum((target - others) ** 2, axis=1)))
        return DualFit(np.zeros_like(target), mean, 1.0, error, others)
    rotated, Q2 = Q.T @ residual_target, Q**2
    best: tuple[float, float, Matrix] | None = None
    for penalty in PENALTIES:
        shrink = values / (values + penalty * level)
        left_out = (residual_target - Q @ (shrink[:, None] * rotated)) / (1 - 1 / K - Q2 @ shrink)[:, None]
        error = float(np.mean(np.sum(left_out**2, axis=1)))
        if best is None or error < best[0]:
            best = (error, float(penalty), left_out)
    assert best is not None  # noqa: S101  # there are penalties
    error, penalty, left_out = best
    coefficients = Q @ (rotated / (values + penalty * level)[:, None])
    coefficients -= coefficients.mean(axis=0)  # exact already but for rounding; the offset rests on it
    return DualFit(coefficients, mean - column_means @ coefficients, penalty, error, target - left_out)
