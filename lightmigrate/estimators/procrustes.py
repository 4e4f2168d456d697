"""Regressions with few parameters: a scaled rotation, or a matrix of low rank. Good for few pairs or similar models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightmigrate.estimators.arrays import Array, as_numpy, namespace
from lightmigrate.estimators.ridge import fit_ridge


def fit_procrustes(source: Array, target: Array) -> tuple[Array, Array]:
    """The scaled rotation, possibly rectangular, that brings centred sources closest to centred targets.

    With U·S·Vᵀ the decomposition of XᵀY: `W = s·U·Vᵀ`, `s = Σ S / ‖X·U·Vᵀ‖²` (Schönemann 1966; for
    rectangular W its rows or columns stay orthonormal).

    Returns:
        W `(d_in, d_out)` and b `(d_out,)`.
    """
    xp = namespace(source, target)
    source_mean, target_mean = xp.mean(source, axis=0), xp.mean(target, axis=0)
    X, Y = source - source_mean, target - target_mean
    U, S, Vt = xp.linalg.svd(X.T @ Y, full_matrices=False)
    rotation = U @ Vt
    size = float(xp.sum((X @ rotation) ** 2))
    weights = rotation * (float(xp.sum(S)) / size if size > 0 else 0.0)
    return weights, target_mean - source_mean @ weights


@dataclass(frozen=True)
class LowRankFit:
    """The result of a reduced-rank regression.

    Attributes:
        weights: W, float64 `(d_in, d_out)`.
        bias: b, float64 `(d_out,)`.
        rank: of W.
    """

    weights: Array
    bias: Array
    rank: int


def fit_low_rank(source: Array, target: Array, rank: int | None = None) -> LowRankFit:
    """Reduced-rank regression: the ridge solution, its predictions restricted to their leading directions.

    Projecting the fitted values on their r leading principal directions is the least-squares solution among
    all matrices of rank r (Izenman 1975; with a ridge penalty, Mukherjee and Zhu 2011).

    Args:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        rank: r; by default the smallest that keeps 99 % of the variance of the ridge predictions.
    """
    xp = namespace(source, target)
    ridge = fit_ridge(source, target)
    predicted = (source - xp.mean(source, axis=0)) @ ridge.weights
    _, s, Vt = xp.linalg.svd(predicted, full_matrices=False)
    if rank is None:
        squares = as_numpy(s) ** 2
        kept = np.cumsum(squares) / max(float(squares.sum()), np.finfo(np.float64).tiny)
        rank = int(np.searchsorted(kept, 0.99) + 1)
    leading = Vt[:rank]
    weights = ridge.weights @ leading.T @ leading
    return LowRankFit(weights, xp.mean(target, axis=0) - xp.mean(source, axis=0) @ weights, len(leading))
