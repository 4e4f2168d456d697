"""`lightmigrate.fit`: from pairs of vectors to a projection."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.choose import choose_method
from lightmigrate.estimators.methods import METHODS, Method, Pairs
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.term import Texts

# What a kernel may cost: with so many landmarks 1024 → 768 still goes at more than 10,000 vectors a second.
LANDMARKS = 1000


def fit(
    source: Any,
    target: Any,
    texts: Texts | None = None,
    *,
    method: Method = "auto",
    landmarks: int = LANDMARKS,
    seed: int = 0,
    source_model: Model | None = None,
    target_model: Model | None = None,
) -> Projection:
    """Learn the projection that leads from one model's vectors to another's. Writes nothing.

    Closed forms, deterministic for a seed. The quality of what comes out is not known until it is measured
    on pairs that were not given here.

    Args:
        source: `(K, d_in)`, K texts embedded by the old model; any real dtype.
        target: `(K, d_out)`, the same K texts in the same order, embedded by the new model.
        texts: the K texts as the database stores them, `None` where there is none. What the old vector lost
            is still in them, so give them whenever the collection has them.
        method: `ridge`: a matrix. `procrustes`: a scaled rotation. `low_rank`: a matrix of low rank.
            `kernel`: a matrix and what bends (a Gaussian process). `lexical`: that and the words of the
            texts. `auto`: whichever finds the right neighbours best for pairs left out, the cheapest of equals.
        landmarks: at least 1, at most so many for `kernel` and `lexical`; applying costs in proportion to them.
        seed: of every random choice.
        source_model: who made `source`; unnamed when left out.
        target_model: who made `target`. When left out, unnamed, and taken to be normalised if all of
            `target` has length 1 within 1 %.

    Returns:
        A projection whose `info.training` says how it was made and, for `auto`, what was tried.

    Raises:
        ProjectionError: fewer than 2 pairs, different numbers of rows, NaN or infinity, `lexical` without
            texts, or models whose dimension is not that of the vectors.
    """
    X, Y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ProjectionError(f"pairs must be (K, d_in) and (K, d_out), not {X.shape} and {Y.shape}")
    if len(X) < 2:
        raise ProjectionError(f"{len(X)} pairs given, at least 2 are needed; some hundred make a useful projection")
    bad = int(np.sum(~(np.isfinite(X).all(axis=1) & np.isfinite(Y).all(axis=1))))
    if bad:
        raise ProjectionError(f"{bad} of {len(X)} pairs hold NaN or infinity; leave them out")
    if texts is not None and (isinstance(texts, str) or len(texts) != len(X)):
        raise ProjectionError(f"{len(texts)} texts for {len(X)} pairs: give one for each, None where there is none")
    if method not in ("auto", *METHODS):
        raise ProjectionError(f"no method {method!r}; there are: auto, {', '.join(METHODS)}")
    if method == "lexical" and texts is None:
        raise ProjectionError("the lexical method reads the stored texts: give them, or use method='kernel'")
    source_model = source_model or Model("unnamed", X.shape[1], normalised=_has_unit_length(X))
    target_model = target_model or Model("unnamed", Y.shape[1], normalised=_has_unit_length(Y))
    for model, vectors in ((source_model, X), (target_model, Y)):
        if model.dimension != vectors.shape[1]:
            raise ProjectionError(f"{model.name} has {model.dimension} dimensions, its vectors {vectors.shape[1]}")

    pairs = Pairs(X, Y, texts, target_model.normalised, max(1, landmarks), seed)
    training: dict[str, Any] = {"method": method, "pairs": len(X), "seed": seed}
    if method == "auto":
        training["method"], trials = choose_method(pairs)
        training["tried"] = [trial.to_json() for trial in trials]
    step, facts = METHODS[training["method"]](pairs)
    return Projection((step,), ProjectionInfo(source_model, target_model, {**training, **facts}))


def _has_unit_length(vectors: Any) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < 0.01))
