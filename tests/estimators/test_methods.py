"""The methods beside ridge, on the demo's real vectors and texts, and what is exact about them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from lightmigrate import Extracts, Model, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProjectionError
from lightmigrate.estimators import kernel
from lightmigrate.estimators.kernel_ridge import KernelRidge
from lightmigrate.estimators.methods import EXTRACT_METHODS, METHODS, TEXT_METHODS, Method
from lightmigrate.estimators.procrustes import fit_low_rank, fit_procrustes
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.quality.metrics import ranking_overlap, search

CORPUS = load_corpus()
FITTED = 400
ALL_METHODS: tuple[Method, ...] = get_args(Method)


def fit_corpus(method: Method, pairs: int = FITTED, **options: Any) -> Projection:
    old, new, texts = CORPUS.old_documents[:pairs], CORPUS.new_documents[:pairs], CORPUS.documents[:pairs]
    return fit(
        old,
        new,
        texts,
        method=method,
        extracts=extracts_for(method, pairs, 384),
        target_model=Model("new", 384),
        **options,
    )


def extracts_for(method: Method, pairs: int, dimension: int) -> Extracts | None:
    """What some model says to the first words, for the method that starts from it."""
    if method not in EXTRACT_METHODS:
        return None
    return Extracts(
        ExtractRule(3), gaussian(pairs, dimension, seed=4), lambda texts: np.ones((len(texts), dimension), np.float32)
    )


def held_out_overlap(projection: Projection) -> float:
    """Share of the true ten nearest abstracts of real claims that are found among mapped, unseen ones."""
    mapped = projection.apply(CORPUS.old_documents[FITTED:], CORPUS.documents[FITTED:])
    expected = search(CORPUS.new_queries, CORPUS.new_documents[FITTED:], 10)
    return ranking_overlap(expected, search(CORPUS.new_queries, mapped, 10))


def gaussian(rows: int, columns: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_every_method_is_named_in_the_type_and_the_other_way_round() -> None:
    assert set(ALL_METHODS) == {"auto", *METHODS}
    assert set(TEXT_METHODS) < set(METHODS)


def test_words_beat_bending_and_bending_beats_a_matrix() -> None:
    overlap = {method: held_out_overlap(fit_corpus(method)) for method in ("ridge", "kernel", "lexical")}
    assert overlap["ridge"] < overlap["kernel"] < overlap["lexical"]


def test_auto_takes_the_words_when_they_help_and_says_what_it_tried() -> None:
    training = fit_corpus("auto").info.training
    assert training["method"] == "lexical"
    assert [trial["method"] for trial in training["tried"]] == ["procrustes", "ridge", "lexical", "averaged"]
    assert [trial["method"] for trial in training["tried"] if trial["chosen"]] == ["lexical"]


def test_auto_takes_the_cheapest_of_equals() -> None:
    rotation, _ = np.linalg.qr(gaussian(12, 12))
    old = gaussian(200, 12)
    training = fit(old, old @ rotation, ["no words help here"] * 200).info.training
    assert training["method"] == "procrustes"


def test_auto_with_few_pairs_is_ridge() -> None:
    training = fit(gaussian(20, 4), gaussian(20, 3)).info.training
    assert (training["method"], training["tried"]) == ("ridge", [])


@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_same_seed_gives_the_same_projection(method: Method) -> None:
    one, other = (fit_corpus(method, 100, seed=3).apply(CORPUS.old_documents, CORPUS.documents) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_dual_ridge_is_ridge() -> None:
    X, Y = gaussian(30, 5), gaussian(30, 4, seed=1)
    dual = KernelRidge.of(X @ X.T).fit(Y)
    centred = X - X.mean(axis=0)
    penalty = dual.penalty * np.sum(centred**2) / 30
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(5), centred.T @ (Y - Y.mean(axis=0)))
    new = gaussian(6, 5, seed=2)
    expected = Y.mean(axis=0) + (new - X.mean(axis=0)) @ weights
    np.testing.assert_allclose(dual.offset + new @ X.T @ dual.coefficients, expected, atol=1e-9)


def test_dual_leave_one_out_is_what_refitting_gives() -> None:
    X, Y = gaussian(12, 4), gaussian(12, 3, seed=1)
    dual = KernelRidge.of(X @ X.T).fit(Y)
    penalty = dual.penalty * np.sum((X - X.mean(axis=0)) ** 2) / 12
    for left_out in range(12):
        x, y = np.delete(X, left_out, axis=0), np.delete(Y, left_out, axis=0)
        centred = x - x.mean(axis=0)
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(4), centred.T @ (y - y.mean(axis=0)))
        predicted = y.mean(axis=0) + (X[left_out] - x.mean(axis=0)) @ weights
        np.testing.assert_allclose(dual.leave_one_out[left_out], predicted, atol=1e-8)


def test_procrustes_finds_a_rotation_exactly_and_keeps_rows_orthogonal() -> None:
    rotation, _ = np.linalg.qr(gaussian(8, 8))
    X = gaussian(40, 8)
    weights, bias = fit_procrustes(X, 3 * X @ rotation + 1)
    np.testing.assert_allclose(weights, 3 * rotation, atol=1e-9)
    np.testing.assert_allclose(bias, 1, atol=1e-9)
    for d_out in (5, 11):  # rectangular
        weights, _ = fit_procrustes(X, gaussian(40, d_out))
        gram = weights @ weights.T if d_out > 8 else weights.T @ weights
        np.testing.assert_allclose(gram, gram[0, 0] * np.eye(min(8, d_out)), atol=1e-9)


def test_low_rank_is_the_best_matrix_of_its_rank() -> None:
    X, Y = gaussian(60, 6), gaussian(60, 2, seed=1) @ gaussian(2, 5, seed=2)
    Y += X @ gaussian(6, 5, seed=3)
    found = fit_low_rank(X, Y, rank=2)
    weights = found.weights
    assert found.rank == np.linalg.matrix_rank(weights) == 2
    ridge = fit_ridge(X, Y).weights
    U, s, Vt = np.linalg.svd((X - X.mean(axis=0)) @ ridge, full_matrices=False)
    np.testing.assert_allclose((X - X.mean(axis=0)) @ weights, U[:, :2] * s[:2] @ Vt[:2], atol=1e-9)


def test_landmarks_are_bounded() -> None:
    (step,) = fit_corpus("kernel", landmarks=50).steps
    assert isinstance(step, Sum)
    (kernel,) = [term for term in step.terms if isinstance(term, Kernel)]
    assert kernel.landmarks.shape == (50, 256)


def test_one_landmark_is_enough_to_fit() -> None:
    assert fit(gaussian(900, 4), gaussian(900, 3), method="kernel", landmarks=1).apply(gaussian(2, 4)).shape == (2, 3)


def test_of_very_many_pairs_some_carry_the_fit_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = held_out_overlap(fit_corpus("lexical"))
    few = held_out_overlap(fit_corpus("lexical", 150))
    monkeypatch.setattr(kernel, "MOST_BASIS_PAIRS", 150)
    carried = fit_corpus("lexical")
    training = carried.info.training
    assert (training["pairs"], training["basis_pairs"]) == (FITTED, 150)
    assert few < held_out_overlap(carried) <= exact + 0.01


def test_a_basis_of_all_pairs_is_the_exact_fit() -> None:
    X, Y, new = gaussian(40, 60), gaussian(40, 4, seed=1), gaussian(6, 60, seed=2)
    exact, on_basis = KernelRidge.of(X @ X.T).fit(Y), KernelRidge.on_basis(X @ X.T, X @ X.T).fit(Y)
    for found in (exact, on_basis):
        np.testing.assert_allclose(found.leave_one_out, exact.leave_one_out, atol=1e-6)
        predicted = found.offset + new @ X.T @ found.coefficients
        np.testing.assert_allclose(predicted, exact.offset + new @ X.T @ exact.coefficients, atol=1e-6)


def test_leaving_one_out_of_a_fit_on_a_basis_is_what_refitting_gives() -> None:
    X, Y = gaussian(30, 5), gaussian(30, 3, seed=1)
    basis = X[:4]  # the fit can only use what these four span
    dual = KernelRidge.on_basis(X @ basis.T, basis @ basis.T).fit(Y)
    features = X @ np.linalg.qr(basis.T)[0]
    penalty = dual.penalty * np.sum((features - features.mean(axis=0)) ** 2) / 30
    for left_out in range(30):
        x, y = np.delete(features, left_out, axis=0), np.delete(Y, left_out, axis=0)
        centred = x - x.mean(axis=0)
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(4), centred.T @ (y - y.mean(axis=0)))
        predicted = y.mean(axis=0) + (features[left_out] - x.mean(axis=0)) @ weights
        np.testing.assert_allclose(dual.leave_one_out[left_out], predicted, atol=1e-7)


def test_kernel_with_all_landmarks_gives_the_pairs_it_was_fitted_to_more_exactly_than_a_matrix() -> None:
    errors = {}
    for method in ("ridge", "kernel"):
        mapped = fit_corpus(method).apply(CORPUS.old_documents[:FITTED])
        errors[method] = float(np.mean((mapped - CORPUS.new_documents[:FITTED]) ** 2))
    assert errors["kernel"] < errors["ridge"]


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("pairs", [2, 3, 7])
def test_hardly_any_pairs_still_give_finite_vectors(method: Method, pairs: int) -> None:
    given = extracts_for(method, pairs, 30)
    projection = fit(gaussian(pairs, 20), gaussian(pairs, 30, seed=1), ["a b"] * pairs, method=method, extracts=given)
    output = projection.apply(gaussian(5, 20, seed=2), ["a", "b", None, "", "c"])
    assert np.isfinite(output).all()


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("what", ["duplicates", "all equal", "zero vectors", "constant dimension", "no text at all"])
def test_odd_pairs_still_give_finite_vectors(method: Method, what: str) -> None:
    X, Y = gaussian(60, 6), gaussian(60, 5, seed=1)
    texts: list[str | None] = [f"document {row % 9} says {row % 7}" for row in range(60)]
    if what == "duplicates":
        X[30:], Y[30:], texts[30:] = X[:30], Y[:30], texts[:30]
    elif what == "all equal":
        X[:], texts = X[0], ["same"] * 60
    elif what == "zero vectors":
        X[::3] = 0
    elif what == "constant dimension":
        X[:, 2], Y[:, 3] = 4, -1
    else:
        texts = [None] * 60
    output = fit(X, Y, texts, method=method, extracts=extracts_for(method, 60, 5)).apply(X, texts)
    assert output.shape == (60, 5)
    assert np.isfinite(output).all()


def test_equal_spaces_stay_equal() -> None:
    X = gaussian(300, 10)
    np.testing.assert_allclose(fit(X, X).apply(gaussian(20, 10, seed=1)), gaussian(20, 10, seed=1), atol=1e-2)


def test_a_wide_model_is_no_obstacle() -> None:
    assert fit(gaussian(80, 3072), gaussian(80, 1536, seed=1), method="kernel").apply(gaussian(3, 3072)).shape == (
        3,
        1536,
    )


def test_texts_that_do_not_fit_and_unknown_methods_are_refused() -> None:
    X, Y = gaussian(5, 3), gaussian(5, 2)
    with pytest.raises(ProjectionError, match="2 texts for 5 pairs"):
        fit(X, Y, ["a", "b"])
    with pytest.raises(ProjectionError, match="5 pairs"):
        fit(X, Y, "abcde")
    with pytest.raises(ProjectionError, match="the lexical method needs the stored texts"):
        fit(X, Y, method="lexical")
    with pytest.raises(ProjectionError, match="no method 'magic'; use one of: auto, procrustes"):
        fit(X, Y, method="magic")  # type: ignore[arg-type]


def test_rounding_does_not_let_left_out_pairs_be_foreseen() -> None:
    """Products in float32 are not quite symmetric, which once made chance look predictable to 99 %."""
    features, chance = gaussian(40, 300), gaussian(40, 8, seed=1)
    similarity = features @ features.T / 30 + 1e-6 * np.tri(40) * gaussian(40, 40, seed=3)
    found = KernelRidge.of(similarity).fit(chance)
    assert found.leave_one_out_error > 0.9 * np.mean(np.sum((chance - chance.mean(axis=0)) ** 2, axis=1))
