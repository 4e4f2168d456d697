"""`lightmigrate.fit`: from pairs of vectors to a projection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.arrays import Array, as_doubles, as_float32, as_numpy, beside, namespace
from lightmigrate.estimators.beginnings import Beginnings
from lightmigrate.estimators.choose import FEWEST_PAIRS, HeldOutSearch, choose_method
from lightmigrate.estimators.level import levelling
from lightmigrate.estimators.methods import METHODS, READING, STARTING, Fits, Fitted, Method, Pairs
from lightmigrate.estimators.spread import restoring
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.abridged import Abridged
from lightmigrate.projection.lexical import Lexical
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import ByText, Step, Sum, weighted_sum
from lightmigrate.projection.term import Texts
from lightmigrate.projection.vectors import Vectors

# What a kernel may cost: with so many landmarks 1024 → 768 still goes at more than 10,000 vectors a second.
LANDMARKS = 1000

# With first words, fewer pairs cannot tell a correction from chance: forty made what the first words teach worse by .01
# (Cranfield, potion → MiniLM).
FEWEST_TO_CORRECT = 200

# Restoring the spread helps searches by people, who ask in their own words, and hardly moves what documents find
# when they search for each other. It is done unless the latter lose more than this share of their neighbours.
TOLERATED = 0.02


def fit(
    source: Any,
    target: Any,
    texts: Texts | None = None,
    *,
    method: Method = "auto",
    words: WordVectors | None = None,
    beginnings: Beginnings | None = None,
    prior: Projection | None = None,
    landmarks: int = LANDMARKS,
    seed: int = 0,
    source_model: Model | None = None,
    target_model: Model | None = None,
) -> Projection:
    """Learn the projection that leads from one model's vectors to another's. Writes nothing.

    Closed forms, deterministic for a seed. The quality of what comes out is not known until it is measured
    on pairs that were not given here.

    Args:
        source: `(K, d_in)`, K texts embedded by the old model; any real dtype. Torch tensors are worked on
            where they are, all else with NumPy.
        target: `(K, d_out)`, the same K texts in the same order, embedded by the new model.
        texts: the K texts as the database stores them, `None` where there is none. What the old vector lost
            is still in them, so give them whenever the collection has them.
        method: `ridge`: a matrix. `procrustes`: a scaled rotation. `low_rank`: a matrix of low rank.
            `kernel`: a matrix and what bends (a Gaussian process). `lexical`: that and the words of the
            texts. `averaged`: the mean of a Procrustes map and the best of the two kernels. `beginnings`: what the
            new model says to the first words, and what the old vectors make of all of them. `abridged`: that, and a
            correction of it. `auto`: whichever
            finds the right neighbours best for pairs left out, the cheapest of equals.
        words: the new model's vectors of the collection's frequent words; with them the words of the texts
            say much more. Only looked at by methods that read texts.
        beginnings: what the new model says to the first words of the K texts. The projection then asks it for the
            first words of every text it is applied to. Only for methods that read texts. Where the target is
            normalised, such a map is shifted so that exact vectors are found beside mapped ones: see `levelling`.
        prior: a projection for the same two models, made on other pairs. What it leaves over is fitted here.
        landmarks: at least 1, at most so many for methods with a kernel; applying costs in proportion to them.
        seed: of every random choice.
        source_model: who made `source`; unnamed when left out.
        target_model: who made `target`. When left out, unnamed, and taken to be normalised if all of
            `target` has length 1 within 1 %.

    Returns:
        A projection whose `info.training` says how it was made and, for `auto`, what was tried.

    Raises:
        ProjectionError: fewer than 2 pairs, different numbers of rows, NaN or infinity, `lexical` without
            texts, or models, word vectors or a prior whose dimension is not that of the vectors.
    """
    return fit_pairs(
        source,
        target,
        texts,
        method=method,
        words=words,
        beginnings=beginnings,
        prior=prior,
        landmarks=landmarks,
        seed=seed,
        source_model=source_model,
        target_model=target_model,
    ).projection


@dataclass(frozen=True)
class FittedPairs:
    """A projection, and what fits without each pair would have made of it.

    Attributes:
        projection: fitted to all pairs.
        held_out: float32 `(K, d_out)`: each source mapped by a fit that has not seen it, not normalised.
    """

    projection: Projection
    held_out: Vectors


def fit_pairs(
    source: Any,
    target: Any,
    texts: Texts | None,
    *,
    method: Method,
    words: WordVectors | None,
    beginnings: Beginnings | None = None,
    prior: Projection | None,
    landmarks: int,
    seed: int,
    source_model: Model | None,
    target_model: Model | None,
) -> FittedPairs:
    """As `fit`, for those who also want to measure: with predictions for every pair that leave it out."""
    X, Y = _checked(source, target, texts)
    if method not in ("auto", *METHODS):
        raise ProjectionError(f"no method {method!r}; there are: auto, {', '.join(METHODS)}")
    if method == "lexical" and texts is None:
        raise ProjectionError("the lexical method reads the stored texts: give them, or use method='kernel'")
    if method in STARTING and beginnings is None:
        raise ProjectionError(f"the {method} method starts from the first words: give beginnings=, or use 'lexical'")
    if beginnings is not None and (texts is None or method not in ("auto", *READING)):
        raise ProjectionError(f"first words are only read by {', '.join(READING)}, from texts: give them, or leave out")
    if beginnings is not None and beginnings.vectors.shape != (len(X), Y.shape[1]):
        raise ProjectionError(f"the first words have vectors {beginnings.vectors.shape}, not {(len(X), Y.shape[1])}")
    if beginnings is not None and beginnings.others is not None and beginnings.others.source.shape[1] != X.shape[1]:
        raise ProjectionError(f"other documents have {beginnings.others.source.shape[1]} dimensions, not {X.shape[1]}")
    source_model = source_model or Model("unnamed", X.shape[1], normalised=_has_unit_length(X))
    target_model = target_model or Model("unnamed", Y.shape[1], normalised=_has_unit_length(Y))
    for model, vectors in ((source_model, X), (target_model, Y)):
        if model.dimension != vectors.shape[1]:
            raise ProjectionError(f"{model.name} has {model.dimension} dimensions, its vectors {vectors.shape[1]}")
    if words is not None and words.vectors.shape[1] != Y.shape[1]:
        raise ProjectionError(f"the word vectors have {words.vectors.shape[1]} dimensions, the target {Y.shape[1]}")

    training: dict[str, Any] = {"method": method, "pairs": len(X), "seed": seed}
    if prior is not None:
        training["prior"] = dict(prior.info.training)
    base, known = _prior(prior, X, Y, texts)
    fits = Fits(Pairs(X, Y - known, texts, words, beginnings, max(1, landmarks), seed))
    spread = False
    if method == "auto":
        training["method"], training["tried"], spread = _choose(fits, Y, known)
        training["spread_restored"] = spread
    chosen = fits[training["method"]]
    reading = _finish(chosen, Y, base, known, spread, target_model.normalised)
    if training["method"] in STARTING and target_model.normalised:
        training["levelled"] = levelling(Y, reading.held_out, seed)
        reading = reading.shifted(training["levelled"] * namespace(Y).mean(Y, axis=0))
    step: Step = reading.step
    error: Step = reading.error
    if any(isinstance(term, (Lexical, Abridged)) for term in chosen.step.terms):
        if prior is not None:
            base, known = _prior(prior, X, Y, None)
            fits = Fits(Pairs(X, Y - known, None, None, None, max(1, landmarks), seed))
        plain = _finish(fits["kernel"], Y, base, known, spread, target_model.normalised)
        step, error = ByText(reading.step, plain.step), ByText(reading.error, plain.error)
    info = ProjectionInfo(source_model, target_model, {**training, **chosen.facts})
    projection = Projection((step,), info, error).with_spaces(as_float32(X), as_float32(Y))
    return FittedPairs(projection, as_float32(reading.held_out))


@dataclass(frozen=True)
class _Finished:
    """A fit with its prior, spread and length; what it expects its errors to be; its held-out predictions."""

    step: Sum
    error: Sum
    held_out: Array

    def shifted(self, by: Array) -> _Finished:
        """The same, `by` `(d_out,)` taken from all it says."""
        step = replace(self.step, bias=as_float32(beside(self.step.bias, by) - by))
        return _Finished(step, self.error, self.held_out - by)


def _finish(fitted: Fitted, Y: Array, base: Sum | None, known: Array, spread: bool, normalise: bool) -> _Finished:
    held_out, step = known + fitted.held_out, fitted.step
    if base is not None:
        step = weighted_sum([(1.0, base), (1.0, step)])
    if spread:
        centre, restore = namespace(Y).mean(Y, axis=0), restoring(Y, held_out)
        held_out = centre + (held_out - centre) @ restore
        step = step.spread(as_numpy(restore), as_numpy(centre))
    error = fitted.regress(_squared_errors(Y, held_out, normalise)[:, None])
    return _Finished(Sum(step.bias, step.terms, normalise), error, held_out)


def _checked(source: Any, target: Any, texts: Texts | None) -> tuple[Array, Array]:
    X, Y = as_doubles(source), as_doubles(target)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ProjectionError(f"pairs must be (K, d_in) and (K, d_out), not {tuple(X.shape)} and {tuple(Y.shape)}")
    if len(X) < 2:
        raise ProjectionError(f"{len(X)} pairs given, at least 2 are needed; some hundred make a useful projection")
    bad = int(np.sum(~(np.isfinite(as_numpy(X)).all(axis=1) & np.isfinite(as_numpy(Y)).all(axis=1))))
    if bad:
        raise ProjectionError(f"{bad} of {len(X)} pairs hold NaN or infinity; leave them out")
    if texts is not None and (isinstance(texts, str) or len(texts) != len(X)):
        raise ProjectionError(f"{len(texts)} texts for {len(X)} pairs: give one for each, None where there is none")
    return X, Y


def _has_unit_length(vectors: Array) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(as_numpy(vectors), axis=1) - 1) < 0.01))


def _prior(prior: Projection | None, X: Array, Y: Array, texts: Texts | None) -> tuple[Sum | None, Array]:
    """The prior, scaled to fit these pairs best, and what it says to them."""
    if prior is None:
        return None, Y * 0.0
    shape = (prior.info.source.dimension, prior.info.target.dimension)
    if shape != (X.shape[1], Y.shape[1]):
        raise ProjectionError(f"the prior leads {shape[0]} → {shape[1]}, the pairs {X.shape[1]} → {Y.shape[1]}")
    match prior.steps:
        case (ByText(reading, plain),):
            step = plain if texts is None else reading
        case (Sum() as step,):
            pass
        case _:
            raise ProjectionError("a prior must be a direct projection from an .npz file, not a chain or .onnx")
    said = Sum(step.bias, step.terms, normalise=False).apply(as_float32(X), texts).astype(np.float64)
    scale = float(np.sum(said * as_numpy(Y)) / max(float(np.sum(said**2)), np.finfo(np.float64).tiny))
    return weighted_sum([(scale, step)]), beside(scale * said, Y)


def _choose(fits: Fits, Y: Array, known: Array) -> tuple[str, list[dict[str, Any]], bool]:
    """The best method's name, what was tried, and whether what it shrank is given back."""
    if fits.pairs.beginnings is not None and len(Y) < FEWEST_TO_CORRECT:
        return "beginnings", [], False
    if len(Y) < FEWEST_PAIRS:
        return "ridge", [], False
    searches = HeldOutSearch(Y, fits.pairs.seed)
    chosen, trials = choose_method(fits, known, searches)
    held_out = known + fits[chosen].held_out
    centre = namespace(Y).mean(Y, axis=0)
    restored = centre + (held_out - centre) @ restoring(Y, held_out)
    lost = searches.overlaps(held_out).mean() - searches.overlaps(restored).mean()
    # Among fewer pairs than directions each direction is some pair's own, and stretching it tells what was left out.
    known_directions = len(Y) > Y.shape[1]
    return chosen, [trial.to_json() for trial in trials], known_directions and bool(lost < TOLERATED)


def _squared_errors(true: Array, predicted: Array, normalise: bool) -> Array:
    xp = namespace(true)
    if normalise:
        lengths = xp.sqrt(xp.sum(predicted**2, axis=1))[:, None]
        predicted = predicted / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
    return xp.sum((true - predicted) ** 2, axis=1)
