"""`lightmigrate.fit`: fits a projection to pairs of vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.arrays import Array, as_doubles, as_float32, as_numpy, beside, namespace
from lightmigrate.estimators.choose import FEWEST_PAIRS, HeldOutSearch, choose_method
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.fit_memory import FitMemory, fingerprint
from lightmigrate.estimators.lengths import TargetLengths, extended_from
from lightmigrate.estimators.methods import EXTRACT_METHODS, METHODS, TEXT_METHODS, Fits, Fitted, Method, Pairs
from lightmigrate.estimators.undo_shrinkage import undo_shrinkage
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.lengths import Lengths
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import ByText, Step, Sum, weighted_sum
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.extract import Embed, Extract
from lightmigrate.projection.terms.lexical import Lexical
from lightmigrate.threads import core_left
from lightmigrate.vectors import Vectors

# With so many landmarks a kernel projects 1024 → 768 dimensions at more than 10,000 vectors a second.
LANDMARKS = 1000

# `corrected_extract` needs so many pairs: with 40 its correction fitted noise and lowered retention by .01 (Cranfield,
# potion → MiniLM).
FEWEST_TO_CORRECT = 200

# Undoing the shrinkage helps users' queries and hardly changes searches by documents. It is done unless the overlap of
# the latter falls by more than this.
TOLERATED = 0.02


def fit(
    source: Any,
    target: Any,
    texts: Texts | None = None,
    *,
    method: Method = "auto",
    words: WordVectors | None = None,
    extracts: Extracts | None = None,
    prior: Projection | None = None,
    landmarks: int = LANDMARKS,
    seed: int = 0,
    source_model: Model | None = None,
    target_model: Model | None = None,
) -> Projection:
    """Fit a projection from one model's vectors to another's. Writes nothing.

    Closed forms, deterministic for a seed. The quality of the projection is unknown until it is measured on other
    pairs.

    Args:
        source: `(K, d_in)`, K texts embedded by the old model; any real dtype. Torch tensors are
            computed on their device, everything else with NumPy.
        target: `(K, d_out)`, the same K texts in the same order, embedded by the new model.
        texts: the K texts as the database stores them, `None` where there is none. They contain what the old vector
            does not, so give them whenever the collection has them.
        method: `ridge`: a matrix. `procrustes`: a scaled rotation. `low_rank`: a matrix of low rank.
            `kernel`: a matrix and a Gaussian process. `lexical`: the same and the words of the texts. `averaged`:
            the mean of `procrustes` and `lexical` (`kernel` without texts). `extract`: a weighted sum of the
            embedding of the extract and a regression on the whole document. `corrected_extract`: the same and a
            kernel fitted to its residuals. `auto`: the cheapest of the methods whose held-out predictions find the
            most true neighbours, without those that were never the best.
        words: the new model's vectors of the collection's frequent words, which improve the methods that use texts;
            other methods ignore them.
        extracts: the new model's embeddings of the extracts of the K texts. The projection then embeds the extract of
            every text that it is applied to. Only for methods that use texts.
        prior: a projection between the same two models, fitted to other pairs. Its residuals are fitted here.
        landmarks: the most landmarks for methods with a kernel, at least 1; the time of applying grows with them.
        seed: of every random choice.
        source_model: the model of `source`; unnamed when left out.
        target_model: the model of `target`; unnamed when left out. Whether the vectors of both are normalised is
            measured on the pairs, whatever the models say.

    Returns:
        A projection whose `info.training` holds the method, its settings and, for `auto`, all measurements. Its output
        has the lengths of `target`: 1, another constant, or a length predicted for each vector; see
        `estimators.lengths`.

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
        extracts=extracts,
        prior=prior,
        landmarks=landmarks,
        seed=seed,
        source_model=source_model,
        target_model=target_model,
    ).projection


@dataclass(frozen=True)
class FittedPairs:
    """A projection and its held-out predictions.

    Attributes:
        projection: fitted to all pairs.
        held_out: float32 `(K, d_out)`: each source projected by a fit without it, with its length.
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
    extracts: Extracts | None = None,
    prior: Projection | None,
    landmarks: int,
    seed: int,
    source_model: Model | None,
    target_model: Model | None,
    memory: FitMemory | None = None,
    only_with_text: bool = False,
) -> FittedPairs:
    """As `fit`, with held-out predictions for every pair, for measurements.

    What is in `memory` is handed on: the same projection, or what it has in common with others. With `only_with_text`
    the projection is only for records with a text, or is not applied at all: what it would do for others is not fitted.
    """
    X, Y = _checked(source, target, texts)
    if method not in ("auto", *METHODS):
        raise ProjectionError(f"no method {method!r}; use one of: auto, {', '.join(METHODS)}")
    if method == "lexical" and texts is None:
        raise ProjectionError("the lexical method needs the stored texts: give texts=, or use method='kernel'")
    if method in EXTRACT_METHODS and extracts is None:
        raise ProjectionError(f"the {method} method needs extracts: give extracts=, or use method='lexical'")
    if extracts is not None and (texts is None or method not in ("auto", *TEXT_METHODS)):
        raise ProjectionError(
            f"extracts are only used by {', '.join(TEXT_METHODS)}, with texts: give texts= and one of these "
            "methods, or leave extracts= out"
        )
    if extracts is not None and extracts.vectors.shape != (len(X), Y.shape[1]):
        raise ProjectionError(
            f"the extracts have vectors {extracts.vectors.shape}, the pairs need {(len(X), Y.shape[1])}"
        )
    if extracts is not None and extracts.others is not None and extracts.others.source.shape[1] != X.shape[1]:
        raise ProjectionError(
            f"the other extracts have source vectors of {extracts.others.source.shape[1]} dimensions, the pairs of "
            f"{X.shape[1]}"
        )
    source_model = source_model or Model("unnamed", X.shape[1])
    target_model = target_model or Model("unnamed", Y.shape[1])
    for model, vectors in ((source_model, X), (target_model, Y)):
        if model.dimension != vectors.shape[1]:
            raise ProjectionError(f"{model.name} has {model.dimension} dimensions, its vectors {vectors.shape[1]}")
    if words is not None and words.vectors.shape[1] != Y.shape[1]:
        raise ProjectionError(f"the word vectors have {words.vectors.shape[1]} dimensions, the target {Y.shape[1]}")

    pairs = Pairs(X, Y, texts, words, extracts, max(1, landmarks), seed)

    def make() -> FittedPairs:
        with core_left():
            return _fitted(pairs, method, prior, source_model, target_model, memory, only_with_text)

    if memory is None or prior is not None or only_with_text:  # of which the last are only for one measurement
        return make()
    return _between(memory.projection(_key(pairs, method), make), source_model, target_model)


def _key(pairs: Pairs, method: Method) -> tuple[bytes, Embed | None]:
    """By which a fit is known: equal keys, equal projections but for the names of the models."""
    words, extracts = pairs.words, pairs.extracts
    others = None if extracts is None else extracts.others
    content = fingerprint(
        method,
        pairs.source,
        pairs.target,
        None if pairs.texts is None else list(pairs.texts),
        None if words is None else [list(words.words), words.vectors, list(words.counts), words.documents],
        None if extracts is None else [repr(extracts.rule), extracts.vectors],
        None if others is None else [others.source, list(others.texts), others.vectors],
        pairs.landmarks,
        pairs.seed,
    )
    return content, None if extracts is None else extracts.embed


def _between(fitted: FittedPairs, source_model: Model, target_model: Model) -> FittedPairs:
    """The same fit with these models in its header, whose vectors are normalised or not, as was measured."""
    own = fitted.projection
    info = replace(
        own.info,
        source=replace(source_model, normalised=own.info.source.normalised),
        target=replace(target_model, normalised=own.info.target.normalised),
    )
    return replace(fitted, projection=Projection(own.steps, info, own.error, own.spaces))


def _fitted(
    pairs: Pairs,
    method: Method,
    prior: Projection | None,
    source_model: Model,
    target_model: Model,
    memory: FitMemory | None,
    only_with_text: bool,
) -> FittedPairs:
    """The fit to pairs that were checked; see `fit_pairs`."""
    X, Y, texts, seed = pairs.source, pairs.target, pairs.texts, pairs.seed
    lengths = TargetLengths.of(X, Y)
    source_lengths = Lengths.of(as_numpy(X))
    training: dict[str, Any] = {
        "method": method,
        "pairs": len(X),
        "seed": seed,
        "source_lengths": source_lengths.to_json(),
        "target_lengths": lengths.lengths.to_json(),
    }
    if prior is not None:
        training["prior"] = dict(prior.info.training)
    Y = Y / lengths.scale
    base, known = _prior(prior, X, Y, texts)
    fits = Fits(replace(pairs, target=Y - known), memory)
    spread = False
    if method == "auto":
        training["method"], training["tried"], spread = _choose(fits, Y, known, lengths)
        training["spread_restored"] = spread
    chosen = fits[training["method"]]
    start = _restored(chosen, Y, base, known, spread)
    with_text = _finish(start, chosen, Y, lengths)
    step: Step = with_text.step
    error: Step = with_text.error
    if not only_with_text and any(isinstance(term, (Lexical, Extract)) for term in chosen.step.terms):
        if prior is not None:
            base, known = _prior(prior, X, Y, None)
            fits = Fits(replace(pairs, target=Y - known, texts=None, words=None, extracts=None), memory)
        plain = _finish(_restored(fits["kernel"], Y, base, known, spread), fits["kernel"], Y, lengths)
        step, error = ByText(with_text.step, plain.step), ByText(with_text.error, plain.error)
    info = ProjectionInfo(
        replace(source_model, normalised=source_lengths.kind == "unit"),
        replace(target_model, normalised=lengths.lengths.kind == "unit"),
        {**training, **chosen.facts},
    )
    projection = Projection((step,), info, error).with_spaces(as_float32(X), as_float32(Y))
    return FittedPairs(projection, as_float32(with_text.held_out))


@dataclass(frozen=True)
class _Prediction:
    """A step that is not scaled to any length, and its held-out predictions `(K, d_out)`."""

    step: Sum
    held_out: Array


@dataclass(frozen=True)
class _Finished:
    """A step with the lengths of the target model, its expected error, and its held-out predictions."""

    step: Sum
    error: Sum
    held_out: Array


def _restored(fitted: Fitted, Y: Array, base: Sum | None, known: Array, spread: bool) -> _Prediction:
    """The fit with its prior and, where `spread`, undone shrinkage."""
    held_out, step = known + fitted.held_out, fitted.step
    if base is not None:
        step = weighted_sum([(1.0, base), (1.0, step)])
    if spread:
        centre, restore = namespace(Y).mean(Y, axis=0), undo_shrinkage(Y, held_out)
        held_out = centre + (held_out - centre) @ restore
        step = step.spread(as_numpy(restore), as_numpy(centre))
    return _Prediction(step, held_out)


def _finish(start: _Prediction, fitted: Fitted, Y: Array, lengths: TargetLengths) -> _Finished:
    """Give the predictions of directions Y the lengths of the targets."""
    step, held_out = start.step, start.held_out
    if not lengths.is_affine:
        length, held_out_lengths = lengths.fit(fitted.regress)
        centre = namespace(Y).mean(Y, axis=0)
        step = Sum(step.bias, step.terms, normalise=True, length=length, centre=as_float32(centre))
        held_out = extended_from(centre, held_out) * held_out_lengths
    squared_errors = namespace(Y).sum((Y * lengths.scale - held_out) ** 2, axis=1)
    return _Finished(step, fitted.regress(squared_errors[:, None]).step, held_out)


def _checked(source: Any, target: Any, texts: Texts | None) -> tuple[Array, Array]:
    X, Y = as_doubles(source), as_doubles(target)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ProjectionError(f"pairs must be (K, d_in) and (K, d_out), not {tuple(X.shape)} and {tuple(Y.shape)}")
    if len(X) < 2:
        raise ProjectionError(f"{len(X)} pairs given, at least 2 are needed; some hundred make a useful projection")
    bad = int(np.sum(~(np.isfinite(as_numpy(X)).all(axis=1) & np.isfinite(as_numpy(Y)).all(axis=1))))
    if bad:
        raise ProjectionError(f"{bad} of {len(X)} pairs contain NaN or infinity; leave them out")
    if texts is not None and (isinstance(texts, str) or len(texts) != len(X)):
        raise ProjectionError(f"{len(texts)} texts for {len(X)} pairs: give one for each, None where there is none")
    return X, Y


def _prior(prior: Projection | None, X: Array, Y: Array, texts: Texts | None) -> tuple[Sum | None, Array]:
    """The prior scaled to these pairs by least squares, and its predictions for them."""
    if prior is None:
        return None, Y * 0.0
    shape = (prior.info.source.dimension, prior.info.target.dimension)
    if shape != (X.shape[1], Y.shape[1]):
        raise ProjectionError(f"the prior projects {shape[0]} → {shape[1]}, the pairs {X.shape[1]} → {Y.shape[1]}")
    match prior.steps:
        case (ByText(with_text, plain),):
            step = plain if texts is None else with_text
        case (Sum() as step,):
            pass
        case _:
            raise ProjectionError("a prior must be a direct projection from an .npz file, not a chain or .onnx")
    predicted = step.direction().apply(as_float32(X), texts).astype(np.float64)
    length = max(float(np.sum(predicted**2)), np.finfo(np.float64).tiny)
    scale = float(np.sum(predicted * as_numpy(Y)) / length)
    return weighted_sum([(scale, step)]), beside(scale * predicted, Y)


def _choose(fits: Fits, Y: Array, known: Array, lengths: TargetLengths) -> tuple[str, list[dict[str, Any]], bool]:
    """The chosen method's name, all measurements, and whether its shrinkage is undone."""
    if fits.pairs.extracts is not None and len(Y) < FEWEST_TO_CORRECT:
        return "extract", [], False
    if len(Y) < FEWEST_PAIRS:
        return "ridge", [], False
    searches = HeldOutSearch(Y, fits.pairs.seed)
    centre = namespace(Y).mean(Y, axis=0)

    def overlaps(held_out: Array) -> npt.NDArray[np.float64]:
        return searches.overlaps(held_out if lengths.is_affine else extended_from(centre, held_out))

    shares = {name: overlaps(known + fits[name].held_out) for name in fits.names}
    chosen, trials = choose_method(shares, searches.certain_gain)
    held_out = known + fits[chosen].held_out
    restored = centre + (held_out - centre) @ undo_shrinkage(Y, held_out)
    lost = shares[chosen].mean() - overlaps(restored).mean()
    # With fewer pairs than dimensions a direction belongs to single pairs: scaling it would leak held-out targets.
    known_directions = len(Y) > Y.shape[1]
    return chosen, [trial.to_json() for trial in trials], known_directions and bool(lost < TOLERATED)
