"""Every estimator restores the lengths of its target: unit, constant, or different between texts."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate import Projection, fit
from lightmigrate.demo.data import Corpus, load_corpus
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.fit import FittedPairs, fit_pairs
from lightmigrate.estimators.lengths import TargetLengths
from lightmigrate.estimators.methods import EXTRACT_METHODS, METHODS, Method
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.projection.terms.linear import Linear
from tests.encoders import shared_wordllama

Matrix = npt.NDArray[np.float32]

# Documents, the first of which are the pairs.
DOCUMENTS, PAIRS = 600, 300
LONG = 80


@functools.cache
def corpus() -> Corpus:
    return load_corpus()


def embed(texts: list[str]) -> Matrix:
    return np.asarray(LONG * shared_wordllama().embed_long(texts), dtype=np.float32)


@functools.cache
def new_vectors() -> Matrix:
    """What a model without normalisation makes of the documents: lengths near 80."""
    return embed(corpus().documents[:DOCUMENTS])


def lengths(vectors: Matrix) -> Matrix:
    return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float32)


def fitted(method: Method, target: Matrix, pairs: int = PAIRS) -> FittedPairs:
    texts = corpus().documents[:pairs]
    extracts = None
    if method in EXTRACT_METHODS:
        extracts = Extracts(
            ExtractRule(12), embed([ExtractRule(12).of(text) for text in texts]), lambda some: embed(list(some))
        )
    return fit_pairs(
        corpus().old_documents[:pairs], target[:pairs], texts, method=method, words=None, extracts=extracts, prior=None,
        landmarks=1000, seed=0, source_model=None, target_model=None,
    )  # fmt: skip


def projected(projection: Projection, *, texts: bool = True) -> Matrix:
    return projection.apply(corpus().old_documents[:DOCUMENTS], corpus().documents[:DOCUMENTS] if texts else None)


def found_beside_exact(vectors: Matrix) -> float:
    """How often users' true neighbours by l2 that are projected are found, where every other document is exact."""
    true = new_vectors()
    queries = embed(corpus().queries)
    mixed = np.where(np.arange(len(true))[:, None] % 2 == 0, vectors, true)

    def nearest(documents: Matrix) -> npt.NDArray[np.int64]:
        distances = np.sum(documents**2, axis=1)[None] - 2 * queries @ documents.T
        return np.argsort(distances, axis=1)[:, :10]

    shares = []
    for expected, answer in zip(nearest(true), nearest(mixed), strict=True):
        wanted = expected[expected % 2 == 0]
        if len(wanted):
            shares.append(float(np.isin(wanted, answer).mean()))
    return float(np.mean(shares))


@pytest.mark.parametrize("method", METHODS)
def test_lengths_that_differ_between_texts_are_restored(method: Method) -> None:
    pairs = fitted(method, new_vectors())
    for texts in (True, False):
        vectors = projected(pairs.projection, texts=texts)
        ratio = lengths(vectors) / lengths(new_vectors())
        assert np.median(ratio[:PAIRS]) == pytest.approx(1, abs=0.03)
        assert np.median(ratio[PAIRS:]) == pytest.approx(1, abs=0.03)
        assert np.corrcoef(lengths(vectors)[PAIRS:], lengths(new_vectors())[PAIRS:])[0, 1] > 0.3
    held_out = lengths(pairs.held_out) / lengths(new_vectors()[:PAIRS])
    assert np.median(held_out) == pytest.approx(1, abs=0.03)
    assert not pairs.projection.info.target.normalised
    assert pairs.projection.info.training["target_lengths"]["kind"] == "spread"
    assert found_beside_exact(projected(pairs.projection)) > 0.25


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_length_is_restored(method: Method) -> None:
    unit = new_vectors() / lengths(new_vectors())[:, None]
    ones, hundreds = (fitted(method, size * unit, pairs=60).projection for size in (1, 100))
    np.testing.assert_allclose(lengths(projected(ones)), 1, rtol=1e-5)
    np.testing.assert_allclose(lengths(projected(hundreds)), 100, rtol=1e-5)
    kinds = [one.info.training["target_lengths"]["kind"] for one in (ones, hundreds)]
    assert kinds == ["unit", "constant"]


def test_a_prior_of_another_length_is_built_on() -> None:
    unit = new_vectors() / lengths(new_vectors())[:, None]
    old, texts = corpus().old_documents[:DOCUMENTS], corpus().documents[:DOCUMENTS]
    prior = fit(old[:PAIRS], unit[:PAIRS], texts[:PAIRS], method="lexical")
    own = slice(PAIRS, PAIRS + 60)
    projection = fit(old[own], new_vectors()[own], texts[own], method="averaged", prior=prior)
    ratio = lengths(projected(projection)) / lengths(new_vectors())
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    assert found_beside_exact(projected(projection)) > 0.25


def test_an_affine_function_of_the_old_vectors_is_regressed_as_it_is() -> None:
    old = corpus().old_documents[:PAIRS]
    weights = np.random.default_rng(0).normal(size=(old.shape[1], 300))
    lengths_found = TargetLengths.of(old.astype(np.float64), old @ weights)
    assert lengths_found.is_affine
    projection = fit(np.tile(old, (2, 1)), np.tile(old @ weights, (2, 1)), method="ridge")
    (step,) = projection.steps
    assert isinstance(step, Sum)
    assert not step.normalise
    assert isinstance(step.terms[0], Linear)


def test_zero_targets_among_long_ones_are_pairs_like_any_other() -> None:
    target = new_vectors()[:PAIRS].copy()
    target[7] = 0
    projection = fit(corpus().old_documents[:PAIRS], target, method="kernel")
    vectors = projection.apply(corpus().old_documents[:DOCUMENTS])
    assert np.isfinite(vectors).all()
    assert np.median(lengths(vectors) / lengths(new_vectors())) == pytest.approx(1, abs=0.03)
