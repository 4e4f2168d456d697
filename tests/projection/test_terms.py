"""The terms beside the linear one: what they compute, one number at a time, and that they travel in a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Model, Projection
from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import CHUNK_ROWS, ByText, Sum, weighted_sum
from lightmigrate.projection.terms.base import Term
from lightmigrate.projection.terms.kernel import Kernel, similarities
from lightmigrate.projection.terms.lexical import Lexical, Vocabulary, stems_of
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.terms.network import Network
from lightmigrate.vectors import Vectors
from tests.projection.strategies import examples, random_vectors

TEXTS = ["the cat sat on the mat", "The dog sat", "cats and dogs", None, "", "entirely unknown words"]


def projection_of(*terms: Term, normalised: bool = False) -> Projection:
    d_in, d_out = terms[0].shape
    info = ProjectionInfo(Model("old", d_in), Model("new", d_out, normalised=normalised))
    return Projection((Sum(np.zeros(d_out, np.float32), terms, normalised),), info)


def kernel(landmarks: int = 7, d_in: int = 5, d_out: int = 3, width: float = 1.5) -> Kernel:
    return Kernel(random_vectors(landmarks, d_in, seed=1), random_vectors(landmarks, d_out, seed=2), width)


def lexical(d_out: int = 3, d_in: int = 5) -> Lexical:
    vocabulary = Vocabulary.of(["the cat sat", "the cat ran", "the dog sat", "a dog ran"])
    table = random_vectors(len(vocabulary.stems), d_out, seed=3)
    return Lexical(vocabulary, table, d_in)


def network(d_in: int = 5, d_out: int = 3, hidden: int = 4) -> Network:
    return Network(
        random_vectors(d_in, hidden, seed=7),
        random_vectors(1, hidden, seed=8)[0],
        random_vectors(hidden, d_out, seed=9),
    )


def test_network_term_is_one_hidden_layer() -> None:
    term, x = network(), random_vectors(6, 5)
    expected = [
        [
            sum(max(0.0, float(row @ term.inner[:, h] + term.shift[h])) * term.outer[h, j] for h in range(4))
            for j in range(3)
        ]
        for row in x
    ]
    np.testing.assert_allclose(projection_of(term).apply(x), expected, atol=1e-5)


def test_scaling_a_term_scales_what_it_gives() -> None:
    x, texts = random_vectors(len(TEXTS), 5, seed=4), TEXTS
    for term in (Linear(random_vectors(5, 3)), kernel(), lexical(), network()):
        np.testing.assert_allclose(term.scaled(-2.5).apply(x, texts), -2.5 * term.apply(x, texts), atol=1e-5)
        matrix = random_vectors(3, 3, seed=6)
        np.testing.assert_allclose(term.scaled(matrix).apply(x, texts), term.apply(x, texts) @ matrix, atol=1e-4)


def test_a_weighted_sum_is_the_sum_of_its_parts() -> None:
    x, texts = random_vectors(len(TEXTS), 5, seed=4), TEXTS
    one = Sum(random_vectors(1, 3)[0], (Linear(random_vectors(5, 3)), kernel()), normalise=True)
    other = Sum(random_vectors(1, 3, seed=1)[0], (Linear(random_vectors(5, 3, seed=1)), lexical()), normalise=False)
    both = weighted_sum([(0.3, one), (-2.0, other)])
    assert [term.kind for term in both.terms] == ["linear", "kernel", "lexical"]
    plain = Sum(one.bias, one.terms, normalise=False)
    expected = 0.3 * plain.apply(x, texts) - 2 * other.apply(x, texts)
    np.testing.assert_allclose(both.apply(x, texts), expected, atol=1e-5)
    by, centre = random_vectors(3, 3, seed=6), np.array([1, 2, 3])
    np.testing.assert_allclose(both.spread(by, centre).apply(x, texts), centre + (expected - centre) @ by, atol=1e-4)


def test_similarity_is_the_gaussian_of_the_distance() -> None:
    x, z = random_vectors(4, 3), random_vectors(5, 3, seed=1)
    expected = [[math.exp(-float(np.sum((a - b) ** 2)) / (2 * 0.8**2)) for b in z] for a in x]
    np.testing.assert_allclose(similarities(x, z, 0.8), expected, rtol=1e-4)
    # float32 holds the distances, of numbers about 500 in units of the width, to 1e-4
    np.testing.assert_allclose(np.diag(similarities(x, x, 0.1)), 1, atol=1e-4)


def test_kernel_term_sums_over_its_landmarks() -> None:
    term, x = kernel(), random_vectors(2 * CHUNK_ROWS + 3, 5)
    expected = similarities(x.astype(np.float64), term.landmarks.astype(np.float64), term.width) @ term.weights
    np.testing.assert_allclose(projection_of(term).apply(x), expected, atol=1e-5)


def test_kernel_term_vanishes_far_away() -> None:
    np.testing.assert_allclose(projection_of(kernel()).apply(np.full((2, 5), 1e3)), 0)


def test_words_that_begin_alike_are_one_stem() -> None:
    assert stems_of("Migrating, migrated: MIGRATION_2 x") == {"migra": 3, "2": 1, "x": 1}
    assert stems_of("naïveté 雪国 don't") == {"naïve": 1, "雪国": 1, "don": 1, "t": 1}
    assert stems_of("") == {}


def test_texts_without_spaces_have_words_in_common() -> None:
    texts = ["选择自动筛选的列", "列中的自动筛选", "删除工作表", "插入工作表"]
    weights = Vocabulary.of(texts).dense(texts)
    alike = weights @ weights.T
    assert min(alike[0, 1], alike[2, 3]) > 0.5
    np.testing.assert_allclose(alike[:2, 2:], 0)


def test_a_file_from_before_is_read_as_it_was_fitted() -> None:
    text = "自动筛选 列"
    old = Lexical(Vocabulary(("列", "自动筛选"), np.ones(2, np.float32), words=1), np.eye(2, dtype=np.float32), 3)
    kept = {name: array for name, array in old.arrays().items() if name != "words"}
    vectors = np.zeros((1, 3), np.float32)
    np.testing.assert_array_equal(Lexical.from_arrays(kept).apply(vectors, [text]), old.apply(vectors, [text]))
    assert old.apply(vectors, [text]).all()
    new = Lexical(Vocabulary(("列", "自动"), np.ones(2, np.float32)), np.eye(2, dtype=np.float32), 3)
    np.testing.assert_array_equal(Lexical.from_arrays(new.arrays()).apply(vectors, [text]), new.apply(vectors, [text]))
    assert new.apply(vectors, [text]).all()
    with pytest.raises(ProjectionFileError, match="words 3 are unknown"):
        Lexical.from_arrays({**new.arrays(), "words": np.array([3])})


def test_vocabulary_leaves_out_what_is_too_rare_or_everywhere() -> None:
    vocabulary = Vocabulary.of(["the cat sat", "the cat ran", "the dog sat", "a dog ran", None, ""])
    assert vocabulary.stems == ("cat", "dog", "ran", "sat")  # "the" is in three of four, "a" in one
    np.testing.assert_allclose(vocabulary.rarities, 1 + math.log(5 / 3), rtol=1e-6)


def test_tfidf_of_a_text() -> None:
    vocabulary = Vocabulary(("cat", "dog"), np.array([1.0, 2.0], np.float32))
    weights = vocabulary.dense(["cat cat cat dog", "dog", "bird", None])
    expected = np.array([1 + math.log(3), 2.0])
    np.testing.assert_allclose(weights[0], expected / np.linalg.norm(expected), rtol=1e-6)
    np.testing.assert_allclose(weights[1:], [[0, 1], [0, 0], [0, 0]])


@examples
@given(texts=st.lists(st.text(st.sampled_from("aΣσİK_1'- \t\n\x1f\u2028\u00a0雪é́")) | st.text(), max_size=4))
def test_the_stems_of_a_text_are_those_of_what_stands_between_its_spaces(texts: list[str]) -> None:
    counts = [stems_of(text) for text in texts]
    stems = tuple(sorted({stem for own in counts for stem in own}))
    vocabulary = Vocabulary(stems, np.ones(len(stems), np.float32))
    expected = np.array([[own[stem] and 1 + math.log(own[stem]) for stem in stems] for own in counts])
    lengths = np.sqrt(np.sum(expected**2, axis=-1, keepdims=True)) if stems else np.ones(1)
    np.testing.assert_allclose(
        vocabulary.dense(texts), (expected / np.where(lengths, lengths, 1)).reshape(len(texts), len(stems)), atol=1e-6
    )


@examples
@given(texts=st.lists(st.sampled_from([*TEXTS, "cat cat dog", "sat sat ran"]), max_size=300))
def test_lexical_term_is_one_product_with_its_table(texts: list[str | None]) -> None:
    term = lexical()
    output = projection_of(term).apply(np.zeros((len(texts), 5)), texts)
    np.testing.assert_allclose(output, term.vocabulary.dense(texts) @ term.table, atol=1e-5)


def test_without_texts_the_lexical_term_is_zero() -> None:
    linear = Linear(random_vectors(5, 3))
    x = random_vectors(6, 5, seed=4)
    both = projection_of(linear, lexical())
    np.testing.assert_array_equal(both.apply(x), projection_of(linear).apply(x))
    np.testing.assert_array_equal(both.apply(x, [None, "", "?!", "unknown", None, ""]), both.apply(x))
    assert not np.allclose(both.apply(x, ["the cat sat"] * 6), both.apply(x))


@pytest.mark.parametrize("normalised", [True, False])
def test_all_terms_travel_in_a_file(normalised: bool, tmp_path: Path) -> None:
    original = projection_of(Linear(random_vectors(5, 3)), kernel(), lexical(), network(), normalised=normalised)
    loaded = Projection.load(original.save(tmp_path / "p.npz"))
    x, texts = random_vectors(len(TEXTS), 5, seed=5), TEXTS
    np.testing.assert_array_equal(loaded.apply(x, texts), original.apply(x, texts))
    assert loaded.save(tmp_path / "again.npz").read_bytes() == (tmp_path / "p.npz").read_bytes()


def test_an_empty_vocabulary_travels_too(tmp_path: Path) -> None:
    empty = Lexical(Vocabulary.of([]), np.zeros((0, 3), np.float32), 5)
    loaded = Projection.load(projection_of(empty).save(tmp_path / "p.npz"))
    np.testing.assert_array_equal(loaded.apply(np.ones((2, 5)), ["some", "text"]), 0)


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_kernel_and_network_in_onnx_are_the_same_function(rows: int, tmp_path: Path) -> None:
    original = projection_of(Linear(random_vectors(5, 3)), kernel(), network(), normalised=True)
    x = random_vectors(rows, 5, seed=6)
    output: Vectors = Projection.load(original.export_onnx(tmp_path / "p.onnx")).apply(x)
    np.testing.assert_allclose(output, original.apply(x), atol=1e-5)


def test_lexical_term_says_that_onnx_cannot_hold_it(tmp_path: Path) -> None:
    with pytest.raises(ProjectionFileError, match=r"lexical term cannot be written as ONNX; use the \.npz"):
        projection_of(lexical()).export_onnx(tmp_path / "p.onnx")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Kernel(random_vectors(3, 5), random_vectors(4, 3), 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        Kernel(random_vectors(3, 5), random_vectors(3, 3), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        Lexical(Vocabulary(("a", "b"), np.ones(2, np.float32)), random_vectors(3, 3), 5)
    with pytest.raises(ValueError, match="do not fit"):
        Network(random_vectors(5, 4), random_vectors(1, 3)[0], random_vectors(4, 3))
    with pytest.raises(ValueError, match="shapes"):
        ByText(projection_of(kernel()).steps[0], projection_of(kernel(d_out=2)).steps[0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        Vocabulary(("a", "b"), np.ones(3, np.float32))
