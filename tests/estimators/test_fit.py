"""`lightmigrate.fit`: what it finds, in ordinary and in degenerate pairs, and what it refuses."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lightmigrate
from lightmigrate import Model, Projection
from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.ridge import PENALTIES, fit_ridge
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.linear import Linear

Matrix = npt.NDArray[np.float64]

fit = functools.partial(lightmigrate.fit, method="ridge")  # what is common to all methods, on the plainest one


def gaussian(rows: int, columns: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def unit(rows: Matrix) -> Matrix:
    scaled: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def numbers(projection: Projection) -> tuple[Matrix, Matrix]:
    (step,) = projection.steps
    assert isinstance(step, Sum)
    (term,) = step.terms
    assert isinstance(term, Linear)
    return term.weights.astype(np.float64), step.bias.astype(np.float64)


def leave_one_out_error(source: Matrix, target: Matrix, penalty: float) -> float:
    """By really leaving each pair out and solving the ridge equations for all the others."""
    errors = []
    for left_out in range(len(source)):
        X, Y = np.delete(source, left_out, axis=0), np.delete(target, left_out, axis=0)
        centred = X - X.mean(axis=0)
        system = centred.T @ centred + penalty * np.eye(source.shape[1])
        weights = np.linalg.lstsq(system, centred.T @ (Y - Y.mean(axis=0)), rcond=None)[0]
        guess = Y.mean(axis=0) + (source[left_out] - X.mean(axis=0)) @ weights
        errors.append(float(np.sum((target[left_out] - guess) ** 2)))
    return float(np.mean(errors))


def test_exact_affine_map_is_recovered() -> None:
    X, W, b = gaussian(60, 8), gaussian(8, 5, seed=1), gaussian(1, 5, seed=2)[0]
    projection = fit(X, X @ W + b)
    weights, bias = numbers(projection)
    np.testing.assert_allclose(weights, W, atol=1e-4)
    np.testing.assert_allclose(bias, b, atol=1e-4)
    fresh = gaussian(20, 8, seed=3)
    np.testing.assert_allclose(projection.apply(fresh), fresh @ W + b, atol=1e-3)


def test_rotation_between_normalised_spaces_is_recovered() -> None:
    rotation = np.linalg.qr(gaussian(8, 8, seed=1))[0]
    X, fresh = unit(gaussian(100, 8)), unit(gaussian(20, 8, seed=2))
    projection = fit(X, X @ rotation)
    assert projection.info.target.normalised
    np.testing.assert_allclose(projection.apply(fresh), fresh @ rotation, atol=1e-4)


def test_shifting_both_sides_shifts_the_map_and_leaves_the_weights() -> None:
    X = gaussian(30, 6)
    Y = X @ gaussian(6, 4, seed=1) + gaussian(30, 4, seed=2)
    here = fit_ridge(X, Y)
    there = fit_ridge(X + 7, Y - 3)
    np.testing.assert_allclose(there.weights, here.weights, atol=1e-9)
    np.testing.assert_allclose((X + 7) @ there.weights + there.bias, X @ here.weights + here.bias - 3, atol=1e-9)


def test_fewer_pairs_than_dimensions_suffice_when_the_vectors_lie_in_a_small_subspace() -> None:
    subspace, W = gaussian(3, 20), gaussian(20, 6, seed=1)
    X, fresh = gaussian(10, 3, seed=2) @ subspace, gaussian(5, 3, seed=3) @ subspace
    np.testing.assert_allclose(fit(X, X @ W).apply(fresh), fresh @ W, atol=1e-2)


def test_wide_vectors_with_few_pairs() -> None:
    subspace, W = gaussian(4, 3072) / 3072**0.5, gaussian(3072, 1536, seed=1)
    X, fresh = gaussian(40, 4, seed=2) @ subspace, gaussian(5, 4, seed=3) @ subspace
    projection = fit(X, X @ W)
    assert projection.steps[0].shape == (3072, 1536)
    np.testing.assert_allclose(projection.apply(fresh), fresh @ W, atol=1e-3)


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_pairs_are_refused(rows: int) -> None:
    with pytest.raises(ProjectionError, match=f"{rows} pairs given, at least 2 are needed"):
        fit(gaussian(rows, 4), gaussian(rows, 3))


def test_two_pairs_give_a_map_between_their_targets() -> None:
    X, Y = gaussian(2, 4), unit(gaussian(2, 3, seed=1))
    weights, bias = numbers(fit(X, Y))
    middle = X.mean(axis=0) @ weights + bias
    np.testing.assert_allclose(middle, Y.mean(axis=0), atol=1e-5)
    # whatever the penalty, an input moves the output along the line between both targets
    moved = X[0] @ weights + bias - middle
    along = (Y[0] - Y[1]) / 2
    share = moved @ along / (along @ along)
    assert 0 <= share <= 1 + 1e-5
    np.testing.assert_allclose(moved, share * along, atol=1e-5)


def test_repeated_pairs_do_not_disturb_an_exact_map() -> None:
    X, W = np.repeat(gaussian(20, 5), 3, axis=0), gaussian(5, 4, seed=1)
    np.testing.assert_allclose(numbers(fit(X, X @ W))[0], W, atol=1e-4)


def test_one_text_with_two_vectors_gets_their_mean() -> None:
    X = np.repeat(gaussian(40, 4), 2, axis=0)
    clean = X @ gaussian(4, 3, seed=1)
    apart = np.tile([[0.5], [-0.5]], (40, 1))
    # each of the two is 0.5 away from the mean
    found = fit_ridge(X, clean + apart)
    np.testing.assert_allclose(X @ found.weights + found.bias, clean, atol=0.1)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.0])
def test_constant_dimensions_get_no_weight(constant: float) -> None:
    X, W = gaussian(30, 5), gaussian(5, 4, seed=1)
    X[:, 2] = constant
    Y = X @ W
    Y[:, 1] = constant
    weights, bias = numbers(fit(X, Y))
    np.testing.assert_allclose(weights[2], 0, atol=1e-6)
    np.testing.assert_allclose(weights[:, 1], 0, atol=1e-6)
    np.testing.assert_allclose(X @ weights + bias, Y, atol=1e-3)


@pytest.mark.parametrize("rows", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_equal_source_vectors_give_the_mean_target_whatever_comes_in(rows: int, seed: int) -> None:
    X, Y = np.repeat(gaussian(1, 6, seed), rows, axis=0), unit(gaussian(rows, 4, seed + 1))
    weights, bias = numbers(fit(X, Y))
    np.testing.assert_allclose(weights, 0, atol=1e-9)
    np.testing.assert_allclose(bias, Y.mean(axis=0), atol=1e-6)


def test_zero_vectors_among_the_pairs_are_pairs_like_any_other() -> None:
    X, W, b = gaussian(30, 5), gaussian(5, 4, seed=1), gaussian(1, 4, seed=2)[0]
    X[::3] = 0
    projection = fit(X, X @ W + b)
    np.testing.assert_allclose(projection.apply(X), X @ W + b, atol=1e-3)
    np.testing.assert_allclose(projection.apply(np.zeros(5)), b, atol=1e-4)


def test_only_zero_vectors_map_to_zero_without_nan() -> None:
    projection = fit(np.zeros((4, 3)), np.zeros((4, 2)))
    np.testing.assert_array_equal(projection.apply(gaussian(2, 3)), np.zeros((2, 2)))


@pytest.mark.parametrize("normalised", [True, False])
def test_equal_spaces_give_the_identity(normalised: bool) -> None:
    X = unit(gaussian(50, 8)) if normalised else gaussian(50, 8)
    projection = fit(X, X)
    weights, bias = numbers(projection)
    np.testing.assert_allclose(weights, np.eye(8), atol=1e-4)
    np.testing.assert_allclose(bias, 0, atol=1e-4)
    np.testing.assert_allclose(projection.apply(X), X, atol=1e-4)


def test_target_that_is_not_normalised_is_matched_in_length_too() -> None:
    X = unit(gaussian(60, 5))
    Y = 3 * X @ gaussian(5, 4, seed=1)
    projection = fit(X, Y)
    assert projection.info.source.normalised
    assert not projection.info.target.normalised
    np.testing.assert_allclose(np.linalg.norm(projection.apply(X), axis=1), np.linalg.norm(Y, axis=1), rtol=1e-3)


@pytest.mark.parametrize(
    ("length", "expected"), [(1.0, True), (1.009, True), (0.991, True), (1.02, False), (0.98, False)]
)
def test_target_counts_as_normalised_when_all_lengths_are_one_within_a_percent(length: float, expected: bool) -> None:
    Y = unit(gaussian(10, 4, seed=1))
    Y[3] *= length
    assert fit(gaussian(10, 5), Y).info.target.normalised is expected


@pytest.mark.parametrize("stated", [True, False])
def test_the_pairs_decide_about_lengths_whatever_the_model_says(stated: bool) -> None:
    X, Y = gaussian(20, 5), unit(gaussian(20, 4, seed=1))
    old, new = Model("old", 5, normalised=stated), Model("new", 4, normalised=stated)
    ones, threes = (fit(X, target, source_model=old, target_model=new) for target in (Y, 3 * Y))
    np.testing.assert_allclose(np.linalg.norm(ones.apply(X), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(threes.apply(X), axis=1), 3, atol=1e-5)
    assert (ones.info.source.normalised, ones.info.target.normalised) == (False, True)
    assert not threes.info.target.normalised


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_other_types_give_what_float64_gives(dtype: Any) -> None:
    X, Y = (10 * gaussian(40, 6)).astype(dtype), (10 * gaussian(40, 4, seed=1)).astype(dtype)
    narrow, wide = fit(X, Y), fit(X.astype(np.float64), Y.astype(np.float64))
    np.testing.assert_array_equal(numbers(narrow)[0], numbers(wide)[0])
    np.testing.assert_array_equal(numbers(narrow)[1], numbers(wide)[1])
    listed = fit(X.tolist(), Y.tolist())
    np.testing.assert_array_equal(numbers(listed)[0], numbers(wide)[0])


def test_pairs_are_not_modified() -> None:
    X, Y = gaussian(10, 4), gaussian(10, 3, seed=1)
    before = X.copy(), Y.copy()
    fit(X, Y)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pairs_with_nan_or_infinity_are_counted_and_refused(value: float) -> None:
    X, Y = gaussian(10, 4), gaussian(10, 3, seed=1)
    X[2, 1] = X[2, 3] = Y[2, 0] = X[5, 0] = Y[7, 2] = value
    with pytest.raises(ProjectionError, match="3 of 10 pairs contain NaN or infinity"):
        fit(X, Y)


def test_different_numbers_of_rows_are_refused_with_both() -> None:
    with pytest.raises(ProjectionError, match=r"\(10, 4\) and \(9, 3\)"):
        fit(gaussian(10, 4), gaussian(9, 3))


def test_anything_but_two_axes_is_refused() -> None:
    with pytest.raises(ProjectionError, match=r"\(10,\)"):
        fit(np.zeros(10), gaussian(10, 3))
    with pytest.raises(ProjectionError, match=r"\(10, 1, 3\)"):
        fit(gaussian(10, 4), np.zeros((10, 1, 3)))


def test_models_of_another_dimension_are_refused_with_both_numbers() -> None:
    X, Y = gaussian(10, 4), gaussian(10, 3)
    with pytest.raises(ProjectionError, match="old has 5 dimensions, its vectors 4"):
        fit(X, Y, source_model=Model("old", 5))
    with pytest.raises(ProjectionError, match="new has 4 dimensions, its vectors 3"):
        fit(X, Y, target_model=Model("new", 4))


def test_projection_says_whose_it_is_and_how_it_was_made() -> None:
    X, Y = unit(gaussian(10, 4)), unit(gaussian(10, 3, seed=1))
    old, new = Model("old", 4, provider="p", prefix="passage: "), Model("new", 3, revision="2")
    info = fit(X, Y, source_model=old, target_model=new).info
    assert (info.source, info.target) == (old, new)
    assert info.training["method"] == "ridge"
    assert info.training["pairs"] == 10
    lengths = {"source_lengths", "target_lengths"}
    assert set(info.training) == {"method", "pairs", "seed", "penalty", "leave_one_out_error"} | lengths
    assert info.quality == {}

    unnamed = fit(X, Y).info
    assert (unnamed.source.name, unnamed.source.dimension) == ("unnamed", 4)
    assert (unnamed.target.name, unnamed.target.dimension) == ("unnamed", 3)


def test_fitting_twice_gives_the_same_bits() -> None:
    X, Y = gaussian(70, 32), gaussian(70, 24, seed=1)
    one, other = fit(X, Y), fit(X.copy(), Y.copy())
    assert numbers(one)[0].tobytes() == numbers(other)[0].tobytes()
    assert numbers(one)[1].tobytes() == numbers(other)[1].tobytes()
    assert one.info == other.info


SHAPES = [(10, 3), (6, 8), (20, 20), (21, 20), (3, 3), (2, 3)]


def noisy_pairs(rows: int, dimension: int) -> tuple[Matrix, Matrix]:
    X = gaussian(rows, dimension)
    return X, unit(X @ gaussian(dimension, 2, seed=1) + gaussian(rows, 2, seed=2))


@pytest.mark.parametrize(("rows", "dimension"), SHAPES)
def test_stated_leave_one_out_error_is_that_of_really_leaving_each_out(rows: int, dimension: int) -> None:
    X, Y = noisy_pairs(rows, dimension)
    training = fit(X, Y).info.training
    expected = leave_one_out_error(X, Y, training["penalty"])
    assert training["leave_one_out_error"] == pytest.approx(expected, rel=1e-6)


def test_stated_leave_one_out_error_is_true_for_equal_source_vectors() -> None:
    X, Y = np.ones((5, 3)), unit(gaussian(5, 2))
    assert fit(X, Y).info.training["leave_one_out_error"] == pytest.approx(leave_one_out_error(X, Y, 1), rel=1e-6)


def test_stated_leave_one_out_error_is_true_when_one_pair_stands_alone() -> None:
    X, Y = np.zeros((5, 3)), unit(gaussian(5, 2))
    X[4] = 1
    training = fit(X, Y).info.training
    expected = leave_one_out_error(X, Y, training["penalty"])
    assert training["leave_one_out_error"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("rows", "dimension"), SHAPES[:-1])  # with 2 pairs every penalty is equally good
def test_chosen_penalty_is_the_best_of_those_tried(rows: int, dimension: int) -> None:
    X, Y = noisy_pairs(rows, dimension)
    singular = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    tried = np.array(PENALTIES) * np.mean(singular[singular > 1e-9] ** 2)
    errors = [leave_one_out_error(X, Y, float(penalty)) for penalty in tried]
    assert fit(X, Y).info.training["penalty"] == pytest.approx(tried[int(np.argmin(errors))])


def test_weights_solve_the_ridge_equations_at_the_stated_penalty() -> None:
    X, Y = noisy_pairs(30, 5)
    found = fit_ridge(X, Y)
    centred = X - X.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + found.penalty * np.eye(5), centred.T @ (Y - Y.mean(axis=0)))
    np.testing.assert_allclose(found.weights, expected, atol=1e-9)
    np.testing.assert_allclose(found.bias, Y.mean(axis=0) - X.mean(axis=0) @ expected, atol=1e-9)


@pytest.mark.parametrize("pairs", [16, 24, 31, 32, 33, 34, 40, 64])
def test_about_as_many_pairs_as_dimensions_do_no_worse_than_the_mean(pairs: int) -> None:
    for seed in range(10):
        W, noise = gaussian(32, 8, seed), 3 * gaussian(pairs, 8, seed + 100)
        X, held_out = gaussian(pairs, 32, seed + 200), gaussian(300, 32, seed + 300)
        Y = X @ W + noise
        found = fit_ridge(X, Y)
        error = np.mean((held_out @ found.weights + found.bias - held_out @ W) ** 2)
        assert error < np.mean((Y.mean(axis=0) - held_out @ W) ** 2)


def test_pure_noise_is_shrunk_to_about_the_mean() -> None:
    X, Y, fresh = gaussian(33, 32), gaussian(33, 8, seed=1), gaussian(300, 32, seed=2)
    found = fit_ridge(X, Y)
    deviation = fresh @ found.weights + found.bias - Y.mean(axis=0)
    # least squares without a penalty would deviate by about the square root of 32 here
    assert np.sqrt(np.mean(deviation**2)) < 0.5
