"""Maps with little freedom: a rotation, or a matrix of low rank. Strong where pairs are few or models alike."""

from __future__ import annotations

import numpy as np

from lightmigrate.estimators.ridge import Matrix, RidgeFit, fit_ridge


def fit_procrustes(source: Matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    """The scaled rotation that leads closest from centred source to centred target; rectangular too.

    With U·S·Vᵀ the decomposition of XᵀY: `W = s·U·Vᵀ`, `s = Σ S / ‖X·U·Vᵀ‖²` (Schönemann 1966; for
    rectangular W its rows or columns stay orthonormal).

    Returns:
        W `(d_in, d_out)` and b `(d_out,)`.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    X, Y = source - source_mean, target - target_mean
    U, S, Vt = np.linalg.svd(X.T @ Y, full_matrices=False)
    rotation = U @ Vt
    size = float(np.sum((X @ rotation) ** 2))
    weights = rotation * (S.sum() / size if size > 0 else 0.0)
    return weights, target_mean - source_mean @ weights


def fit_low_rank(source: Matrix, target: Matrix, rank: int | None = None) -> tuple[Matrix, Matrix, int]:
    """Reduced-rank regression: the ridge solution, its predictions confined to their leading directions.

    Projecting the fitted values on their r leading principal directions is the least-squares solution among
    all matrices of rank r (Izenman 1975; with a ridge penalty, Mukherjee and Zhu 2011).

    Args:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        rank: r; by default the smallest that keeps 99 % of the variance of the ridge predictions.

    Returns:
        W `(d_in, d_out)`, b `(d_out,)`, and the rank.
    """
    ridge: RidgeFit = fit_ridge(source, target)
    predicted = (source - source.mean(axis=0)) @ ridge.weights
    _, s, Vt = np.linalg.svd(predicted, full_matrices=False)
    if rank is None:
        kept = np.cumsum(s**2) / max(float(np.sum(s**2)), np.finfo(np.float64).tiny)
        rank = int(np.searchsorted(kept, 0.99) + 1)
    leading = Vt[:rank]
    weights = ridge.weights @ leading.T @ leading
    return weights, target.mean(axis=0) - source.mean(axis=0) @ weights, min(rank, len(s))
