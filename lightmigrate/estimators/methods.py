"""The methods by name: each fits one step of a projection to pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, beside, namespace
from lightmigrate.estimators.document_features import DocumentFeatures
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.fit_memory import FitMemory, fingerprint
from lightmigrate.estimators.kernel import prepare_kernel
from lightmigrate.estimators.procrustes import fit_low_rank, fit_procrustes
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.steps import Sum, weighted_sum
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.linear import Linear

Method = Literal[
    "auto", "procrustes", "low_rank", "ridge", "kernel", "lexical", "averaged", "extract", "corrected_extract"
]

# Folds of the cross-validation where leave-one-out has no closed form.
FOLDS = 4


@dataclass(frozen=True)
class Pairs:
    """The pairs that a projection is fitted to.

    Attributes:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        words: the new model's word vectors, or `None`.
        extracts: embeddings of the extracts of the texts, or `None`.
        landmarks: the most landmarks, for methods with a kernel.
        seed: of every random choice.
    """

    source: Array
    target: Array
    texts: Texts | None
    words: WordVectors | None
    extracts: Extracts | None
    landmarks: int
    seed: int

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Regression:
    """The fit of one number to the pairs.

    Attributes:
        step: a step with one output, not normalised.
        held_out: for each pair the prediction of a fit without it, `(K, 1)`.
    """

    step: Sum
    held_out: Array


@dataclass(frozen=True)
class Fitted:
    """The fit of one method to the pairs.

    Attributes:
        step: of a projection, not normalised.
        held_out: for each pair the prediction of a fit without it, `(K, d_out)`.
        facts: the chosen settings, for the projection's header.
        regress: fits the same kind of function to another target `(K, 1)`.
    """

    step: Sum
    held_out: Array
    facts: Mapping[str, Any]
    regress: Callable[[Array], Regression]


class Fits:
    """The fits of all methods to some pairs by name, each computed at its first use.

    Args:
        pairs: the pairs.
        memory: holds the fits of the vectors alone to these pairs, where others were fitted to them before.
    """

    def __init__(self, pairs: Pairs, memory: FitMemory | None = None) -> None:
        self.pairs = pairs
        self._memory = memory
        self._made: dict[str, Fitted] = {}

    def __getitem__(self, name: str) -> Fitted:
        if name not in self._made:
            make = partial(METHODS[name], self)
            if self._memory is not None and name in _OF_VECTORS_ALONE:
                self._made[name] = self._memory.part((name, self._vectors), make)
            else:
                self._made[name] = make()
        return self._made[name]

    @cached_property
    def _vectors(self) -> bytes:
        """By which the pairs are known to methods that read the vectors alone."""
        return fingerprint(self.pairs.source, self.pairs.target, self.pairs.landmarks, self.pairs.seed)

    @property
    def names(self) -> list[str]:
        """The methods to choose from for these pairs, from the cheapest to apply to the most expensive."""
        if self.pairs.extracts is not None:
            return list(EXTRACT_METHODS)
        without = _NEVER_BEST_WITH_TEXTS if self.pairs.texts is not None else _NEVER_BEST
        return [name for name in METHODS if name not in {*EXTRACT_METHODS, *without}]


def _affine(weights: Array, bias: Array) -> Sum:
    return Sum(as_float32(bias), (Linear(as_float32(weights)),), normalise=False)


def _ridge(fits: Fits) -> Fitted:
    pairs = fits.pairs
    ridge = fit_ridge(pairs.source, pairs.target)
    facts = {"penalty": ridge.penalty, "leave_one_out_error": ridge.leave_one_out_error}
    return Fitted(_affine(ridge.weights, ridge.bias), ridge.leave_one_out, facts, _regress_on_source(pairs))


def _procrustes(fits: Fits) -> Fitted:
    pairs = fits.pairs
    step = _affine(*fit_procrustes(pairs.source, pairs.target))
    return Fitted(step, _cross_fitted(pairs, fit_procrustes), {}, _regress_on_source(pairs))


def _low_rank(fits: Fits) -> Fitted:
    pairs = fits.pairs

    def fit_with_rank(source: Array, target: Array) -> tuple[Array, Array]:
        fold = fit_low_rank(source, target, low_rank.rank)
        return fold.weights, fold.bias

    low_rank = fit_low_rank(pairs.source, pairs.target)
    step, held_out = _affine(low_rank.weights, low_rank.bias), _cross_fitted(pairs, fit_with_rank)
    return Fitted(step, held_out, {"rank": low_rank.rank}, _regress_on_source(pairs))


def _cross_fitted(pairs: Pairs, fit: Callable[[Array, Array], tuple[Array, Array]]) -> Array:
    """Predictions for each fold of the pairs by W and b that `fit` returns for the other folds."""
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
        pairs.extracts,
        landmarks=pairs.landmarks,
        seed=pairs.seed,
    )
    step, ridge = prepared.fit(pairs.target)
    facts = {
        "basis_pairs": len(prepared.basis),
        "width": prepared.shares.width,
        "kernel_share": prepared.shares.gaussian,
        "word_share": prepared.shares.words,
        "word_vector_share": prepared.shares.meanings,
        "extract_words": None if pairs.extracts is None else pairs.extracts.rule.words,
        "extract_kind": None if pairs.extracts is None else pairs.extracts.rule.kind,
        "extract_share": prepared.shares.extracts,
        "penalty": ridge.penalty,
        "leave_one_out_error": ridge.leave_one_out_error,
    }

    def regress(target: Array) -> Regression:
        own_step, own = prepared.fit(target)
        return Regression(own_step, own.leave_one_out)

    return Fitted(step, ridge.leave_one_out, facts, regress)


def _kernel(fits: Fits) -> Fitted:
    return _kernel_fit(replace(fits.pairs, texts=None, words=None, extracts=None))


def _lexical(fits: Fits) -> Fitted:
    return _kernel_fit(fits.pairs)


def _averaged(fits: Fits) -> Fitted:
    procrustes, kernel = fits["procrustes"], fits["lexical" if fits.pairs.texts is not None else "kernel"]
    centre = namespace(fits.pairs.target).mean(fits.pairs.target, axis=0)
    # both say how a vector differs from the mean, and one shrinks that more than the other
    size = _mean_length(fits.pairs.target - centre)
    shares = [0.5 * size / _mean_length(fitted.held_out - centre) for fitted in (procrustes, kernel)]
    rest = (1 - sum(shares)) * centre
    held_out = rest + shares[0] * procrustes.held_out + shares[1] * kernel.held_out
    step = weighted_sum([(shares[0], procrustes.step), (shares[1], kernel.step)])
    step = replace(step, bias=step.bias + as_float32(rest))
    return Fitted(step, held_out, kernel.facts, kernel.regress)


def _extract(fits: Fits) -> Fitted:
    """A weighted sum of the embedding of the extract and a ridge prediction of it.

    The embedding of one extract is a noisy measurement of its document. The old vector and the words come from the
    whole document, so a regression from them to the embeddings of many extracts averages the noise out. The pairs
    determine only the two weights.
    """
    pairs, extracts = fits.pairs, fits.pairs.extracts
    assert extracts is not None  # noqa: S101  # `fit_pairs` requires them
    xp = namespace(pairs.target)
    embedded = beside(extracts.vectors.astype(np.float64), pairs.target)
    document = DocumentFeatures.of(pairs.source, pairs.texts, pairs.words)
    features, targets = [document.features(pairs.source, pairs.texts)], [embedded]
    if (others := extracts.others) is not None:
        features.append(document.features(beside(others.source.astype(np.float64), pairs.source), others.texts))
        targets.append(beside(others.vectors.astype(np.float64), embedded))
    ridge = fit_ridge(xp.concat(features), xp.concat(targets))
    parts = [embedded, features[0] @ ridge.weights]
    means = [xp.mean(part, axis=0) for part in parts]
    mean = xp.mean(pairs.target, axis=0)
    shares = _least_squares([part - own for part, own in zip(parts, means, strict=True)], pairs.target - mean)
    bias = mean - shares[0] * means[0] - shares[1] * means[1]
    identity = shares[0] * np.eye(embedded.shape[1], dtype=np.float32)
    own = Extract(identity, extracts.rule, pairs.source.shape[1], extracts.embed)
    step = Sum(as_float32(bias), (*document.terms(shares[1] * ridge.weights), own), normalise=False)
    # Only two shares and a mean are fitted to the pairs, so predictions that leave one out would be the same.
    held_out = bias + shares[0] * parts[0] + shares[1] * parts[1]
    facts = {"extracts": sum(map(len, features)), "extract_own_share": shares[0], "extract_predicted_share": shares[1]}
    return Fitted(
        step,
        held_out,
        {"extract_words": extracts.rule.words, "extract_kind": extracts.rule.kind, **facts},
        _regress_on_source(pairs),
    )


def _least_squares(parts: list[Array], target: Array) -> list[float]:
    """The least-squares weights of centred arrays `(K, d)` to reproduce `target`."""
    xp = namespace(target)
    products = [[float(xp.sum(a * b)) for b in parts] for a in parts]
    with_target = [float(xp.sum(part * target)) for part in parts]
    shares, *_ = np.linalg.lstsq(np.array(products), np.array(with_target), rcond=None)
    return [float(share) for share in shares]


def _corrected_extract(fits: Fits) -> Fitted:
    """The `extract` method, and a kernel on all features fitted to its residuals."""
    start, pairs = fits["extract"], fits.pairs
    corrected = _kernel_fit(replace(pairs, target=pairs.target - start.held_out))
    step = weighted_sum([(1.0, start.step), (1.0, corrected.step)])
    return Fitted(step, start.held_out + corrected.held_out, {**start.facts, **corrected.facts}, corrected.regress)


def _mean_length(vectors: Array) -> float:
    xp = namespace(vectors)
    return float(xp.mean(xp.sqrt(xp.sum(vectors**2, axis=1)))) or 1.0


def _regress_on_source(pairs: Pairs) -> Callable[[Array], Regression]:
    def regress(target: Array) -> Regression:
        ridge = fit_ridge(pairs.source, target)
        return Regression(_affine(ridge.weights, ridge.bias), ridge.leave_one_out)

    return regress


# From the cheapest to apply to the most expensive: of two with equal retrieval the first is chosen.
METHODS: Mapping[str, Callable[[Fits], Fitted]] = {
    "procrustes": _procrustes,
    "low_rank": _low_rank,
    "ridge": _ridge,
    "kernel": _kernel,
    "lexical": _lexical,
    "averaged": _averaged,
    "extract": _extract,
    "corrected_extract": _corrected_extract,
}

# Not tried by `auto`: in 313 choices on real pairs (benchmarks/results/retention.jsonl) `low_rank` was never taken, nor
# `kernel` where there were texts, whose share `lexical` can choose to be zero.
_NEVER_BEST = ("low_rank", "lexical")
_NEVER_BEST_WITH_TEXTS = ("low_rank", "kernel")

# The methods that read no texts, words or extracts, whatever the pairs have.
_OF_VECTORS_ALONE = ("procrustes", "low_rank", "ridge", "kernel")

# The methods that need extracts, and all that can use texts and extracts.
EXTRACT_METHODS = ("extract", "corrected_extract")
TEXT_METHODS = ("lexical", "averaged", *EXTRACT_METHODS)
