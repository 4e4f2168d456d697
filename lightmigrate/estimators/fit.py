"""`lightmigrate.fit`: from pairs of vectors to a projection."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection


def fit(
    source: Any,
    target: Any,
    *,
    source_model: Model | None = None,
    target_model: Model | None = None,
) -> Projection:
    """Learn the projection that leads from one model's vectors to another's. Writes nothing.

    An affine map by ridge regression, the penalty chosen by leave-one-out error. Deterministic. The quality
    of what comes out is not known until it is measured on pairs that were not given here.

    Args:
        source: `(K, d_in)`, K texts embedded by the old model; any real dtype.
        target: `(K, d_out)`, the same K texts in the same order, embedded by the new model.
        source_model: who made `source`; unnamed when left out.
        target_model: who made `target`. When left out, unnamed, and taken to be normalised if all of
            `target` has length 1 within 1 %.

    Returns:
        A projection whose `info.training` says how it was made.

    Raises:
        ProjectionError: fewer than 2 pairs, different numbers of rows, NaN or infinity, or models whose
            dimension is not that of the vectors.
    """
    X, Y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ProjectionError(f"pairs must be (K, d_in) and (K, d_out), not {X.shape} and {Y.shape}")
    if len(X) < 2:
        raise ProjectionError(f"{len(X)} pairs given, at least 2 are needed; some hundred make a useful projection")
    bad = int(np.sum(~(np.isfinite(X).all(axis=1) & np.isfinite(Y).all(axis=1))))
    if bad:
        raise ProjectionError(f"{bad} of {len(X)} pairs hold NaN or infinity; leave them out")
    source_model = source_model or Model("unnamed", X.shape[1], normalised=_has_unit_length(X))
    target_model = target_model or Model("unnamed", Y.shape[1], normalised=_has_unit_length(Y))
    for model, vectors in ((source_model, X), (target_model, Y)):
        if model.dimension != vectors.shape[1]:
            raise ProjectionError(f"{model.name} has {model.dimension} dimensions, its vectors {vectors.shape[1]}")

    found = fit_ridge(X, Y)
    return Projection.affine(
        found.weights,
        found.bias,
        source=source_model,
        target=target_model,
        training={
            "method": "ridge",
            "pairs": len(X),
            "penalty": found.penalty,
            "leave_one_out_error": found.leave_one_out_error,
        },
    )


def _has_unit_length(vectors: Any) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 0.01))
