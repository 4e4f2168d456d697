"""The methods by name: each turns pairs into one step of a projection, and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, beside, namespace
from lightmigrate.estimators.beginnings import Beginnings
from lightmigrate.estimators.kernel import prepare_kernel
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.estimators.rigid import fit_low_rank, fit_procrustes
from lightmigrate.estimators.seen import Seen
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.abridged import Abridged
from lightmigrate.projection.linear import Linear
from lightmigrate.projection.steps import Sum, weighted_sum
from lightmigrate.projection.term import Texts

Method = Literal["auto", "procrustes", "low_rank", "ridge", "kernel", "lexical", "averaged", "beginnings", "abridged"]

# Parts into which the pairs are cut where leaving one out has no closed form.
FOLDS = 4


@dataclass(frozen=True)
class Pairs:
    """What a projection is fitted to.

    Attributes:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        words: the new model's word vectors, or `None`.
        beginnings: what the new model says to the first words of the texts, or `None`.
        landmarks: at most so many for methods with a kernel.
        seed: of every random choice.
    """

    source: Array
    target: Array
    texts: Texts | None
    words: WordVectors | None
    beginnings: Beginnings | None
    landmarks: int
    seed: int

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Fitted:
    """What one method made of the pairs.

    Attributes:
        step: the map, not normalised.
        held_out: for each pair what a fit without it predicts, `(K, d_out)`.
        facts: settings that were chosen, for the projection's header.
        regress: the same kind of map fitted to another target `(K, 1)`.
    """

    step: Sum
    held_out: Array
    facts: Mapping[str, Any]
    regress: Callable[[Array], Sum]


class Fits:
    """The fits to some pairs by name, each made when it is first asked for."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self._made: dict[str, Fitted] = {}

    def __getitem__(self, name: str) -> Fitted:
        if name not in self._made:
            self._made[name] = METHODS[name](self)
        return self._made[name]

    @property
    def names(self) -> list[str]:
        """Those that use what is known of these pairs, from the cheapest to apply to the dearest."""
        if self.pairs.beginnings is not None:
            return list(STARTING)
        unfit = {*STARTING} if self.pairs.texts is not None else {*STARTING, "lexical"}
        return [name for name in METHODS if name not in unfit]


def _affine(weights: Array, bias: Array) -> Sum:
    return Sum(as_float32(bias), (Linear(as_float32(weights)),), normalise=False)


def _ridge(fits: Fits) -> Fitted:
    pairs = fits.pairs
    found = fit_ridge(pairs.source, pairs.target)
    facts = {"penalty": found.penalty, "leave_one_out_error": found.leave_one_out_error}
    return Fitted(_affine(found.weights, found.bias), found.leave_one_out, facts, _regress_on_source(pairs))


def _procrustes(fits: Fits) -> Fitted:
    pairs = fits.pairs
    step = _affine(*fit_procrustes(pairs.source, pairs.target))
    return Fitted(step, _cross_fitted(pairs, fit_procrustes), {}, _regress_on_source(pairs))


def _low_rank(fits: Fits) -> Fitted:
    pairs = fits.pairs

    def fit_with_rank(source: Array, target: Array) -> tuple[Array, Array]:
        again = fit_low_rank(source, target, found.rank)
        return again.weights, again.bias

    found = fit_low_rank(pairs.source, pairs.target)
    held_out = _cross_fitted(pairs, fit_with_rank)
    return Fitted(_affine(found.weights, found.bias), held_out, {"rank": found.rank}, _regress_on_source(pairs))


def _cross_fitted(pairs: Pairs, fit: Callable[[Array, Array], tuple[Array, Array]]) -> Array:
    """Predictions for each part of the pairs by W and b that `fit` finds on the other parts."""
    predictions = namespace(pairs.target).zeros_like(pairs.target)
    shuffled = np.random.default_rng(pairs.seed).permutation(len(pairs))
    for fold in np.array_split(shuffled, min(FOLDS, len(pairs))):
        others = np.setdiff1d(shuffled, fold)
        weights, bias = fit(pairs.source[others], pairs.target[others])
        predictions[fold] = pairs.source[fold] @ weights + bias
    return predictions


def _kernel_fit(pairs: Pairs) -> Fitted:
    prepared = prepare_kernel(
        pairs.source,
        pairs.target,
        pairs.texts,
        pairs.words,
        pairs.beginnings,
        landmarks=pairs.landmarks,
        seed=pairs.seed,
    )
    step, dual = prepared.fit(pairs.target)
    facts = {
        "basis_pairs": len(prepared.basis),
        "width": prepared.shape.width,
        "kernel_share": prepared.shape.bend,
        "word_share": prepared.shape.words,
        "word_vector_share": prepared.shape.meanings,
        "first_words": None if pairs.beginnings is None else pairs.beginnings.words,
        "first_words_share": prepared.shape.beginnings,
        "penalty": dual.penalty,
        "leave_one_out_error": dual.leave_one_out_error,
    }
    return Fitted(step, dual.leave_one_out, facts, lambda target: prepared.fit(target)[0])


def _kernel(fits: Fits) -> Fitted:
    return _kernel_fit(replace(fits.pairs, texts=None, words=None, beginnings=None))


def _lexical(fits: Fits) -> Fitted:
    return _kernel_fit(fits.pairs)


def _averaged(fits: Fits) -> Fitted:
    one, other = fits["procrustes"], fits["lexical" if fits.pairs.texts is not None else "kernel"]
    shares = [0.5 / _typical_length(fitted.held_out) for fitted in (one, other)]
    held_out = shares[0] * one.held_out + shares[1] * other.held_out
    step = weighted_sum([(shares[0], one.step), (shares[1], other.step)])
    return Fitted(step, held_out, other.facts, other.regress)


def _beginnings(fits: Fits) -> Fitted:
    """What the new model says to the first words, and what a ridge on the old vectors makes of all first words.

    A beginning is the document and chance. Its old vector has seen all of the document, and so have its words; a map
    of them that many beginnings taught what to make of one averages the chance away. The pairs only say in which
    proportion the two are mixed.
    """
    pairs, begun = fits.pairs, fits.pairs.beginnings
    assert begun is not None  # noqa: S101  # `fit_pairs` has seen to that
    xp = namespace(pairs.target)
    said = beside(begun.vectors.astype(np.float64), pairs.target)
    seen = Seen.of(pairs.source, pairs.texts, pairs.words)
    features, targets = [seen.features(pairs.source, pairs.texts)], [said]
    if (others := begun.others) is not None:
        features.append(seen.features(beside(others.source.astype(np.float64), pairs.source), others.texts))
        targets.append(beside(others.vectors.astype(np.float64), said))
    taught = fit_ridge(xp.concat(features), xp.concat(targets))
    parts = [said, features[0] @ taught.weights]
    means = [xp.mean(part, axis=0) for part in parts]
    mean = xp.mean(pairs.target, axis=0)
    shares = _least_squares([part - own for part, own in zip(parts, means, strict=True)], pairs.target - mean)
    bias = mean - shares[0] * means[0] - shares[1] * means[1]
    identity = shares[0] * np.eye(said.shape[1], dtype=np.float32)
    itself = Abridged(identity, begun.words, pairs.source.shape[1], begun.embed)
    step = Sum(as_float32(bias), (*seen.terms(shares[1] * taught.weights), itself), normalise=False)
    # Two shares and a mean are all that is fitted to the pairs, so that leaving one out would move nothing.
    held_out = bias + shares[0] * parts[0] + shares[1] * parts[1]
    facts = {"taught": sum(map(len, features)), "first_words_itself": shares[0], "first_words_taught": shares[1]}
    return Fitted(step, held_out, {"first_words": begun.words, **facts}, _regress_on_source(pairs))


def _least_squares(parts: list[Array], target: Array) -> list[float]:
    """The shares of some centred arrays `(K, d)` whose sum is nearest to another."""
    xp = namespace(target)
    products = [[float(xp.sum(one * other)) for other in parts] for one in parts]
    found, *_ = np.linalg.lstsq(
        np.array(products), np.array([float(xp.sum(one * target)) for one in parts]), rcond=None
    )
    return [float(share) for share in found]


def _abridged(fits: Fits) -> Fitted:
    """That, and what a kernel on everything makes of what is left over."""
    start, pairs = fits["beginnings"], fits.pairs
    corrected = _kernel_fit(replace(pairs, target=pairs.target - start.held_out))
    step = weighted_sum([(1.0, start.step), (1.0, corrected.step)])
    return Fitted(step, start.held_out + corrected.held_out, {**start.facts, **corrected.facts}, corrected.regress)


def _typical_length(vectors: Array) -> float:
    xp = namespace(vectors)
    return float(xp.mean(xp.sqrt(xp.sum(vectors**2, axis=1)))) or 1.0


def _regress_on_source(pairs: Pairs) -> Callable[[Array], Sum]:
    def regress(target: Array) -> Sum:
        found = fit_ridge(pairs.source, target)
        return _affine(found.weights, found.bias)

    return regress


# From the cheapest to apply to the dearest: of two that retrieve alike, the first wins.
METHODS: Mapping[str, Callable[[Fits], Fitted]] = {
    "procrustes": _procrustes,
    "low_rank": _low_rank,
    "ridge": _ridge,
    "kernel": _kernel,
    "lexical": _lexical,
    "averaged": _averaged,
    "beginnings": _beginnings,
    "abridged": _abridged,
}

# Those that start from what the new model says to the first words, and all that can make use of it.
STARTING = ("beginnings", "abridged")
READING = ("lexical", "averaged", *STARTING)
