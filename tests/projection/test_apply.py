"""What `apply` promises for every projection and all vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Model, Projection
from lightmigrate.errors import DimensionError, WrongDirectionError
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import CHUNK_ROWS, Sum
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import as_vectors
from tests.projection.strategies import (
    TextLengths,
    affine,
    affines,
    examples,
    numbers,
    random_vectors,
    seeds,
    steady,
    vectors_for,
)

some_rows = st.integers(1, 8)


@examples
@given(data=st.data(), projection=affines(normalised=False))
def test_output_is_weights_times_vector_plus_bias(data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, some_rows))
    weights, bias = numbers(projection)
    expected = [
        [sum(float(x) * float(w) for x, w in zip(row, column, strict=True)) + float(b)]
        for row in vectors
        for column, b in zip(weights.T, bias, strict=True)
    ]
    np.testing.assert_allclose(projection.apply(vectors).reshape(-1, 1), expected, atol=1e-5)


@examples
@given(projection=affines(normalised=False), seed=seeds, factor=st.floats(-4, 4))
def test_affine_map_without_normalisation_is_linear_up_to_its_bias(
    projection: Projection, seed: int, factor: float
) -> None:
    x, y = random_vectors(2, projection.info.source.dimension, seed)
    at_zero = projection.apply(np.zeros_like(x))

    def linear(vector: Any) -> Any:
        return projection.apply(vector) - at_zero

    np.testing.assert_allclose(linear(x + y), linear(x) + linear(y), atol=1e-4)
    np.testing.assert_allclose(linear(factor * x), factor * linear(x), atol=1e-4)


@examples
@given(projection=affines(normalised=True), seed=seeds)
def test_normalised_projection_is_the_plain_one_scaled_to_length_one(projection: Projection, seed: int) -> None:
    vectors = random_vectors(5, projection.info.source.dimension, seed)
    weights, bias = numbers(projection)
    plain = vectors.astype(np.float64) @ weights + bias
    expected = plain / np.linalg.norm(plain, axis=1, keepdims=True)
    close = steady(projection, vectors)
    np.testing.assert_allclose(projection.apply(vectors)[close], expected[close], atol=1e-5)


@examples
@given(data=st.data(), projection=affines())
def test_whole_batch_equals_any_split_and_every_single_vector(data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, some_rows))
    cut = data.draw(st.integers(0, len(vectors)))
    close = steady(projection, vectors)

    whole = projection.apply(vectors)[close]
    split = np.concatenate([projection.apply(vectors[:cut]), projection.apply(vectors[cut:])])[close]
    single = np.stack([projection.apply(vector) for vector in vectors])[close]
    np.testing.assert_allclose(split, whole, atol=1e-5)
    np.testing.assert_allclose(single, whole, atol=1e-5)


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("rows", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 3])
def test_whole_batch_equals_its_parts_across_the_block_edge(rows: int, normalised: bool) -> None:
    projection = affine(8, 12, normalised=normalised)
    vectors = random_vectors(rows, 8)
    whole = projection.apply(vectors)
    assert whole.shape == (rows, 12)
    for size in (100, 333, CHUNK_ROWS):
        parts = [projection.apply(vectors[start : start + size]) for start in range(0, rows, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_every_row_gets_its_own_text_across_the_block_edge() -> None:
    model = Model("same", 3, normalised=False)
    projection = Projection((Sum(as_vectors([0, 0, 0]), (TextLengths((3, 3)),), False),), ProjectionInfo(model, model))
    texts = [None if row % 7 == 0 else "x" * (row % 13) for row in range(2 * CHUNK_ROWS + 3)]
    output = projection.apply(random_vectors(len(texts), 3), texts)
    np.testing.assert_array_equal(output[:, 0], [0 if text is None else len(text) for text in texts])
    np.testing.assert_array_equal(projection.apply(np.zeros(3), "four"), [4, 4, 4])


def test_terms_are_added_before_normalising() -> None:
    source, target = Model("old", 2), Model("new", 2)
    swap, double = Linear(as_vectors([[0, 1], [1, 0]])), Linear(as_vectors([[2, 0], [0, 2]]))
    projection = Projection((Sum(as_vectors([1, 0]), (swap, double), True),), ProjectionInfo(source, target))
    # (1, 2) -> (2, 1) + (3, 4) = (5, 5)
    np.testing.assert_allclose(projection.apply([1, 2]), [0.5**0.5, 0.5**0.5], atol=1e-6)


@examples
@given(data=st.data(), projection=affines(normalised=True))
def test_normalised_rows_have_length_one_and_zero_rows_stay_zero(data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, some_rows))
    _, bias = numbers(projection)
    zero = ~(vectors.any(axis=1) | bias.any())
    output = projection.apply(vectors)
    np.testing.assert_array_equal(output[zero], 0)
    np.testing.assert_allclose(np.linalg.norm(output[~zero], axis=1), 1, atol=1e-5)


def test_all_zero_rows_stay_zero_among_others() -> None:
    projection = affine(4, 3, bias=0)
    vectors = random_vectors(5, 4)
    vectors[[1, 3]] = 0
    output = projection.apply(vectors)
    np.testing.assert_array_equal(output[[1, 3]], 0)
    np.testing.assert_allclose(np.linalg.norm(output[[0, 2, 4]], axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(projection.apply(np.zeros(4)), 0)


@pytest.mark.parametrize("length", [1e-35, 1e-25, 1e-20, 1e18, 1e25, 1e35])
def test_rows_whose_squares_leave_float32_are_normalised_too(length: float) -> None:
    projection = affine(4, 3, bias=0)
    vector = random_vectors(1, 4)
    expected = projection.apply(vector)
    np.testing.assert_allclose(projection.apply(vector * np.float32(length)), expected, atol=1e-4)


def test_nan_goes_in_and_out_of_its_own_row_only() -> None:
    vectors = random_vectors(3, 4)
    vectors[1, 2] = np.nan
    output = affine(4, 5).apply(vectors)
    np.testing.assert_array_equal(np.isnan(output).all(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(output).any(axis=1), [False, True, False])


@examples
@given(data=st.data(), projection=affines())
def test_output_is_contiguous_float32_of_the_target_dimension(data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, st.integers(0, 8)))
    output = projection.apply(vectors)
    assert output.shape == (len(vectors), projection.info.target.dimension)
    single = projection.apply(np.zeros(projection.info.source.dimension))
    assert single.shape == (projection.info.target.dimension,)
    for result in (output, single):
        assert result.dtype == np.float32
        assert result.flags.c_contiguous


@pytest.mark.parametrize("rows", [0, 2, CHUNK_ROWS + 1])
def test_chain_output_is_contiguous_float32_of_the_target_dimension(rows: int) -> None:
    middle = Model("middle", 4)
    chain = affine(3, 4, target=middle).then(affine(4, 5, source=middle))
    output = chain.apply(np.asfortranarray(random_vectors(rows, 3)))
    assert output.shape == (rows, 5)
    assert output.dtype == np.float32
    assert output.flags.c_contiguous


@pytest.mark.parametrize(
    "convert",
    [
        lambda whole: whole.astype(np.float64),
        lambda whole: whole.astype(np.float16),
        lambda whole: whole.astype(np.int8),
        lambda whole: whole.astype(np.int64),
        lambda whole: whole.astype(">f8"),
        lambda whole: whole.tolist(),
        lambda whole: [tuple(row) for row in whole.tolist()],
        lambda whole: [[int(value) for value in row] for row in whole.tolist()],
        lambda whole: list(whole),
        np.asfortranarray,
        lambda whole: np.repeat(whole, 2, axis=0)[::2],
    ],
    ids=["f8", "f2", "i1", "i8", "big-endian", "lists", "tuples", "ints", "rows", "fortran", "strided"],
)
@pytest.mark.parametrize("normalised", [True, False])
def test_every_real_type_agrees_with_float32(convert: Any, normalised: bool) -> None:
    projection = affine(5, 7, normalised=normalised)
    # whole numbers up to 100 are exact in every one of these types
    whole = np.random.default_rng(0).integers(-100, 101, (6, 5)).astype(np.float32)
    expected = projection.apply(whole)
    np.testing.assert_allclose(projection.apply(convert(whole)), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(projection.apply(convert(whole)[2]), expected[2], rtol=1e-5, atol=1e-5)


def test_unsigned_and_boolean_vectors_agree_with_float32() -> None:
    projection = affine(4, 3)
    bits = np.random.default_rng(0).integers(0, 2, (5, 4))
    expected = projection.apply(bits.astype(np.float32))
    np.testing.assert_allclose(projection.apply(bits.astype(np.uint8)), expected, atol=1e-6)
    np.testing.assert_allclose(projection.apply(bits.astype(bool)), expected, atol=1e-6)


@examples
@given(data=st.data(), projection=affines())
def test_input_is_never_modified_nor_shared_with_the_output(data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, some_rows))
    before = vectors.copy()
    output = projection.apply(vectors)
    assert not np.shares_memory(output, vectors)
    output[:] = 7
    projection.apply(vectors[0])[:] = 7
    np.testing.assert_array_equal(vectors, before)


def test_read_only_vectors_are_accepted() -> None:
    vectors = random_vectors(3, 4)
    vectors.flags.writeable = False
    assert affine(4, 2).apply(vectors).shape == (3, 2)


def test_applying_twice_gives_the_same_bits() -> None:
    projection, vectors = affine(16, 24), random_vectors(CHUNK_ROWS + 7, 16)
    np.testing.assert_array_equal(projection.apply(vectors), projection.apply(vectors))


@pytest.mark.parametrize("vectors", [np.zeros((2, 7)), np.zeros(7), np.zeros((0, 7))], ids=["batch", "single", "empty"])
def test_wrong_dimension_is_refused_with_both_numbers(vectors: Any) -> None:
    with pytest.raises(DimensionError) as caught:
        affine(5, 3).apply(vectors)
    assert not isinstance(caught.value, WrongDirectionError)
    assert (caught.value.expected, caught.value.found) == (5, 7)
    assert "7" in str(caught.value)
    assert "5" in str(caught.value)


def test_empty_list_is_a_vector_of_dimension_zero() -> None:
    with pytest.raises(DimensionError) as caught:
        affine(5, 3).apply([])
    assert caught.value.found == 0


@pytest.mark.parametrize("vectors", [np.zeros((2, 3)), np.zeros(3)], ids=["batch", "single"])
def test_vectors_of_the_target_are_refused_as_the_wrong_direction(vectors: Any) -> None:
    with pytest.raises(WrongDirectionError, match="wrong direction") as caught:
        affine(5, 3).apply(vectors)
    assert (caught.value.expected, caught.value.found) == (5, 3)
    assert "5 → 3" in str(caught.value)
    assert "3 → 5" in str(caught.value)


def test_check_input_accepts_the_source_dimension_even_when_both_are_equal() -> None:
    affine(5, 3).check_input(5)
    affine(4, 4).check_input(4)
    with pytest.raises(WrongDirectionError):
        affine(5, 3).check_input(3)


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "b", None]])
def test_wrong_number_of_texts_is_refused(texts: list[str | None]) -> None:
    with pytest.raises(ValueError, match=f"{len(texts)} texts for 2 vectors"):
        affine(5, 3).apply(np.zeros((2, 5)), texts)


def test_one_text_for_several_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="one text for 3 vectors"):
        affine(5, 3).apply(np.zeros((3, 5)), "abc")


@pytest.mark.parametrize("texts", [[], ["a", "b"]])
def test_wrong_number_of_texts_for_a_single_vector_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(texts)} texts for a single vector"):
        affine(5, 3).apply(np.zeros(5), texts)


def test_affine_projection_does_not_look_at_the_texts() -> None:
    projection, vectors = affine(5, 3), random_vectors(2, 5)
    expected = projection.apply(vectors)
    np.testing.assert_array_equal(projection.apply(vectors, ["one", None]), expected)
    np.testing.assert_array_equal(projection.apply(vectors[0], "one"), projection.apply(vectors[0]))
    np.testing.assert_array_equal(projection.apply(vectors[0], [None]), projection.apply(vectors[0]))


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((1, 1, 5)),
        np.float32(3),
        np.zeros((2, 5), dtype=complex),
        [["a", "b", "c", "d", "e"]],
        "vector",
        None,
        [[1, 2, 3, 4, None]],
        [[1, 2, 3, 4, 5], [1, 2]],
        {"vectors": 1},
        np.zeros((2, 5), dtype="datetime64[s]"),
    ],
    ids=["3-d", "0-d", "complex", "strings", "string", "none", "missing", "ragged", "mapping", "dates"],
)
def test_anything_but_one_or_two_axes_of_real_numbers_is_refused(vectors: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # NumPy words the ragged one
        affine(5, 3).apply(vectors)


def test_later_changes_to_the_given_numbers_do_not_change_the_projection() -> None:
    weights, bias, vectors = np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32), random_vectors(2, 3)
    model = Model("same", 3, normalised=False)
    projection = Projection.affine(weights, bias, source=model, target=model)
    weights[:], bias[:] = 9, 9
    np.testing.assert_array_equal(projection.apply(vectors), vectors)


def test_weights_that_do_not_fit_bias_or_models_are_refused() -> None:
    source, target = Model("old", 5), Model("new", 3)
    with pytest.raises(ValueError, match="does not fit"):
        Projection.affine(np.zeros((5, 3)), np.zeros(5), source=source, target=target)
    with pytest.raises(ValueError, match="does not fit"):
        Projection.affine(np.zeros(5), np.zeros(5), source=source, target=target)
    with pytest.raises(ValueError, match="3 → 5, the models have 5 → 3"):
        Projection.affine(np.zeros((3, 5)), np.zeros(5), source=source, target=target)


def test_terms_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="share one shape"):
        Sum(as_vectors([0, 0, 0]), (TextLengths((3, 3)), TextLengths((3, 4))), False)
    with pytest.raises(ValueError, match="share one shape"):
        Sum(as_vectors([0]), (), False)
