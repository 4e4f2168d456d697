"""Chains of projections: one after the other, as one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Model, Projection
from lightmigrate.errors import DimensionError, ModelMismatchError
from tests.projection.strategies import affine, dimensions, examples, link, numbers, random_vectors, seeds, steady


@examples
@given(
    sizes=st.tuples(dimensions, dimensions, dimensions),
    seed=seeds,
    middle_normalised=st.booleans(),
    end_normalised=st.booleans(),
)
def test_chain_equals_one_after_the_other(
    sizes: tuple[int, int, int], seed: int, middle_normalised: bool, end_normalised: bool
) -> None:
    middle = Model("middle", sizes[1], normalised=middle_normalised)
    first = affine(sizes[0], sizes[1], seed=seed, target=middle)
    second = affine(sizes[1], sizes[2], seed=seed + 1, source=middle, normalised=end_normalised)
    chain = first.then(second)
    vectors = random_vectors(5, sizes[0], seed)
    halfway = first.apply(vectors)
    close = steady(first, vectors) & steady(second, halfway)
    np.testing.assert_allclose(chain.apply(vectors)[close], second.apply(halfway)[close], atol=5e-5)


@pytest.mark.parametrize("normalised", [True, False])
def test_chain_equals_one_after_the_other_for_a_single_vector(normalised: bool) -> None:
    first, second = link("a", "b", normalised=normalised), link("b", "c", normalised=normalised, seed=1)
    vector = random_vectors(1, 6)[0]
    np.testing.assert_allclose(first.then(second).apply(vector), second.apply(first.apply(vector)), atol=1e-5)


def test_plain_affines_fold_into_one_step() -> None:
    first, second, third = link("a", "b"), link("b", "c", seed=1), link("c", "d", seed=2)
    folded = first.then(second)
    assert len(folded.steps) == 1
    assert len(folded.then(third).steps) == 1
    (W1, b1), (W2, b2) = numbers(first), numbers(second)
    weights, bias = numbers(folded)
    np.testing.assert_allclose(weights, W1.astype(np.float64) @ W2, atol=1e-6)
    np.testing.assert_allclose(bias, b1.astype(np.float64) @ W2 + b2, atol=1e-6)
    assert weights.dtype == bias.dtype == np.float32


def test_plain_affine_folds_into_a_normalised_one_that_still_normalises() -> None:
    middle = Model("middle", 4, normalised=False)
    chain = affine(3, 4, target=middle).then(affine(4, 5, source=middle, normalised=True))
    assert len(chain.steps) == 1
    np.testing.assert_allclose(np.linalg.norm(chain.apply(random_vectors(4, 3)), axis=1), 1, atol=1e-6)


def test_normalised_affine_does_not_fold() -> None:
    chain = link("a", "b", normalised=True).then(link("b", "c", normalised=True, seed=1))
    assert len(chain.steps) == 2


def test_only_the_plain_neighbours_in_a_long_chain_fold() -> None:
    plain, unit = Model("plain", 6, normalised=False), Model("unit", 6)
    to_unit = affine(6, 6, source=plain, target=unit)
    to_plain = affine(6, 6, seed=1, source=unit, target=plain)
    assert len(to_unit.then(to_plain).steps) == 2
    long = to_unit.then(to_plain).then(to_unit).then(to_plain)
    assert len(long.steps) == 3
    vectors = random_vectors(4, 6)
    expected = vectors
    for part in (to_unit, to_plain, to_unit, to_plain):
        expected = part.apply(expected)
    np.testing.assert_allclose(long.apply(vectors), expected, atol=1e-5)


@pytest.mark.parametrize("normalised", [True, False])
def test_three_links_are_the_same_either_way_round(normalised: bool) -> None:
    first = link("a", "b", normalised=normalised)
    second = link("b", "c", normalised=normalised, seed=1)
    third = link("c", "d", normalised=normalised, seed=2)
    left, right = first.then(second).then(third), first.then(second.then(third))
    assert left.info == right.info
    assert len(left.steps) == len(right.steps)
    vectors = random_vectors(20, 6)
    np.testing.assert_allclose(left.apply(vectors), right.apply(vectors), atol=1e-5)
    np.testing.assert_allclose(left.apply(vectors), third.apply(second.apply(first.apply(vectors))), atol=1e-5)


def test_links_are_not_changed_by_chaining() -> None:
    first, second = link("a", "b"), link("b", "c", seed=1)
    before = [(*numbers(part), part.info, part.steps) for part in (first, second)]
    first.then(second)
    for part, (weights, bias, info, steps) in zip((first, second), before, strict=True):
        np.testing.assert_array_equal(numbers(part)[0], weights)
        np.testing.assert_array_equal(numbers(part)[1], bias)
        assert part.info == info
        assert part.steps == steps


def test_chain_says_where_it_starts_and_ends_and_lists_its_links_flat() -> None:
    links = [
        link(start, end, seed=seed).with_facts(training={"pairs": seed}, quality={"retention": 0.9})
        for seed, (start, end) in enumerate([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")])
    ]
    chain = links[0].then(links[1]).then(links[2].then(links[3]))
    assert chain.info.source == links[0].info.source
    assert chain.info.target == links[3].info.target
    assert chain.info.direction == "a (6) → e (6)"
    assert chain.info.training == {"method": "chain", "chain": [part.info.to_json() for part in links]}
    assert chain.info.quality == {}


def test_dimensions_that_do_not_meet_are_refused_with_both_numbers() -> None:
    with pytest.raises(DimensionError, match="cannot chain") as caught:
        affine(3, 4).then(affine(5, 6))
    assert (caught.value.expected, caught.value.found) == (5, 4)
    assert "4" in str(caught.value)
    assert "5" in str(caught.value)


def test_models_of_different_names_are_refused_by_name() -> None:
    with pytest.raises(ModelMismatchError, match=r"this-one.*that-one"):
        link("a", "this-one").then(link("that-one", "c"))


@pytest.mark.parametrize(
    "change",
    [{"provider": "other"}, {"revision": "2"}, {"prefix": "query: "}, {"normalised": True}],
    ids=lambda change: next(iter(change)),
)
def test_models_that_differ_in_anything_are_refused(change: dict[str, Any]) -> None:
    middle = Model("middle", 4, normalised=False)
    first: Projection = affine(3, 4, target=middle)
    with pytest.raises(ModelMismatchError, match="cannot chain"):
        first.then(affine(4, 5, source=dataclasses.replace(middle, **change)))
