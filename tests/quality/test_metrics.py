"""Each metric against an example worked out by hand or by brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.quality.metrics import (
    BLOCK_ROWS,
    cross_space_similarity,
    is_ranked,
    mean_cosine,
    mean_squared_error,
    ndcg_at_k,
    ndcg_per_query,
    neighbour_overlap,
    ranking_overlap,
    recall_at_k,
    search,
    structural_similarity,
    unit,
    without,
)
from lightmigrate.stores.distance import distances
from lightmigrate.vectors import Metric

Matrix = npt.NDArray[np.float64]


def gaussian(rows: int, columns: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def rotation(dimension: int) -> Matrix:
    return np.linalg.qr(gaussian(dimension, dimension, seed=99))[0]


def cosine(a: Any, b: Any) -> float:
    length = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0


def correlation(pairs: list[tuple[float, float]]) -> float:
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def nearest(query: Any, documents: Any, k: int) -> list[int]:
    return sorted(range(len(documents)), key=lambda row: (-cosine(query, documents[row]), row))[:k]


def test_mean_squared_error_by_hand() -> None:
    assert mean_squared_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.0]])) == 13 / 4
    assert mean_squared_error(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)) == 0


def test_mean_cosine_by_hand() -> None:
    true = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    mapped = np.array([[5.0, 0.0], [0.0, 3.0], [1.0, -1.0]])
    assert mean_cosine(true, mapped) == pytest.approx((1 + 0 - 0.5**0.5) / 3)


def test_mean_cosine_of_a_zero_vector_is_zero() -> None:
    assert mean_cosine(np.zeros((2, 3)), gaussian(2, 3)) == 0


def test_structural_similarity_by_brute_force() -> None:
    before, after = gaussian(6, 4), gaussian(6, 3, seed=1)
    pairs = [(cosine(before[i], before[j]), cosine(after[i], after[j])) for i in range(6) for j in range(6) if i != j]
    assert structural_similarity(before, after) == pytest.approx(correlation(pairs), abs=1e-12)


def test_cross_space_similarity_by_brute_force() -> None:
    true, mapped = gaussian(6, 4), gaussian(6, 4, seed=1)
    pairs = [(cosine(true[i], true[j]), cosine(true[i], mapped[j])) for i in range(6) for j in range(6) if i != j]
    assert cross_space_similarity(true, mapped) == pytest.approx(correlation(pairs), abs=1e-12)


def test_random_map_keeps_the_structure_and_nothing_that_a_search_sees() -> None:
    corpus = load_corpus()
    d_in, d_out = corpus.old_documents.shape[1], corpus.new_documents.shape[1]
    for seed in range(5):
        mapped = corpus.old_documents @ gaussian(d_in, d_out, seed).astype(np.float32)
        assert structural_similarity(corpus.old_documents, mapped) > 0.5
        assert abs(cross_space_similarity(corpus.new_documents, mapped)) < 0.15


def test_identity_keeps_everything_on_real_vectors() -> None:
    vectors = load_corpus().new_documents[:300]
    assert structural_similarity(vectors, vectors) == pytest.approx(1)
    assert cross_space_similarity(vectors, vectors) == pytest.approx(1)
    assert mean_cosine(vectors, vectors) == pytest.approx(1)


def test_rotation_keeps_the_structure_but_not_the_space() -> None:
    vectors = load_corpus().new_documents[:300]
    turned = vectors @ rotation(vectors.shape[1])
    assert structural_similarity(vectors, turned) == pytest.approx(1, abs=1e-5)
    assert abs(cross_space_similarity(vectors, turned)) < 0.3
    assert abs(mean_cosine(vectors, turned)) < 0.3


@pytest.mark.parametrize("similarity", [structural_similarity, cross_space_similarity])
def test_similarities_do_not_depend_on_lengths(similarity: Callable[[Any, Any], float]) -> None:
    one, other = gaussian(8, 4), gaussian(8, 4, seed=1)
    lengths = np.arange(1, 9)[:, None]
    assert similarity(one * lengths, other / lengths) == pytest.approx(similarity(one, other))


@pytest.mark.parametrize("similarity", [structural_similarity, cross_space_similarity])
def test_similarities_need_three_rows(similarity: Callable[[Any, Any], float]) -> None:
    with pytest.raises(ValueError, match="2 rows"):
        similarity(gaussian(2, 4), gaussian(2, 4))
    assert -1 <= similarity(gaussian(3, 4), gaussian(3, 4, seed=1)) <= 1


@pytest.mark.parametrize("similarity", [structural_similarity, cross_space_similarity])
def test_similarity_to_a_space_without_any_structure_is_zero(similarity: Callable[[Any, Any], float]) -> None:
    assert similarity(gaussian(5, 4), np.zeros((5, 4))) == 0


def test_opposite_vectors_have_cross_space_similarity_minus_one() -> None:
    vectors = gaussian(6, 4)
    assert cross_space_similarity(vectors, -vectors) == pytest.approx(-1)


def test_search_by_brute_force() -> None:
    queries, documents = gaussian(7, 5), gaussian(30, 5, seed=1) * np.arange(1, 31)[:, None]
    found = search(queries, documents, 4)
    assert found.dtype == np.int64
    assert found.tolist() == [nearest(query, documents, 4) for query in queries]


def test_search_of_many_queries_is_search_of_each() -> None:
    queries, documents = gaussian(2 * BLOCK_ROWS + 5, 6), gaussian(20, 6, seed=1)
    found = search(queries, documents, 3)
    assert found.shape == (2 * BLOCK_ROWS + 5, 3)
    for row in (0, BLOCK_ROWS - 1, BLOCK_ROWS, 2 * BLOCK_ROWS, 2 * BLOCK_ROWS + 4):
        assert found[row].tolist() == nearest(queries[row], documents, 3)


@pytest.mark.parametrize("seed", range(20))
def test_search_gives_ties_to_the_lower_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    documents = gaussian(int(rng.integers(5, 150)), int(rng.integers(2, 300)), seed).astype(np.float32)
    low, high = sorted(rng.choice(len(documents), 2, replace=False).tolist())
    documents[high] = documents[low]
    assert search(np.repeat(documents[[low]], 3, axis=0), documents, 2).tolist() == [[low, high]] * 3


def test_search_gives_all_documents_when_fewer_than_asked_for() -> None:
    queries, documents = gaussian(3, 5), gaussian(4, 5, seed=1)
    found = search(queries, documents, 10)
    assert found.shape == (3, 4)
    assert found.tolist() == [nearest(query, documents, 4) for query in queries]
    assert search(np.zeros((0, 5)), documents, 2).shape == (0, 2)


def test_search_ranks_a_zero_document_between_similar_and_opposite_ones() -> None:
    documents = np.array([[-1.0, 0.0], [0.0, 0.0], [3.0, 0.0]])
    assert search(np.array([[1.0, 0.0]]), documents, 3).tolist() == [[2, 1, 0]]


def test_neighbour_overlap_by_hand() -> None:
    def on_circle(*degrees: float) -> Matrix:
        angles = np.radians(degrees)
        return np.column_stack([np.cos(angles), np.sin(angles)])

    # before: neighbours are 0-1, 1-0, 2-1, 3-2; after: 0-1, 1-0, 2-3, 3-2
    assert neighbour_overlap(on_circle(0, 10, 30, 60), on_circle(0, 10, 90, 100), k=1) == 3 / 4
    assert neighbour_overlap(on_circle(0, 10, 30, 60), on_circle(0, 10, 90, 100), k=3) == 1


@pytest.mark.parametrize("copies", [1, 2, 8])
def test_neighbour_overlap_by_brute_force(copies: int) -> None:
    before, after, k = gaussian(25, 5), gaussian(25, 3, seed=1), 4
    before[10 : 10 + copies] = before[10]
    shares = []
    for row in range(25):
        others = [index for index in range(25) if index != row]
        spaces = [{others[i] for i in nearest(space[row], space[others], k)} for space in (before, after)]
        shares.append(len(spaces[0] & spaces[1]) / k)
    assert neighbour_overlap(before, after, k) == pytest.approx(np.mean(shares))


def test_neighbour_overlap_of_a_rotation_is_one() -> None:
    vectors = gaussian(50, 6)
    assert neighbour_overlap(vectors, vectors @ rotation(6)) == 1


@pytest.mark.parametrize("copies", [2, 5, 20])
def test_neighbour_overlap_with_exact_duplicates(copies: int) -> None:
    # more duplicates than neighbours asked for: the row itself is not among its nearest rows
    vectors = np.repeat(gaussian(6, 5), copies, axis=0)
    assert neighbour_overlap(vectors, vectors, k=4) == 1
    assert neighbour_overlap(vectors, 2 * vectors, k=4) == 1
    assert neighbour_overlap(np.ones((copies + 3, 2)), np.ones((copies + 3, 2)), k=4) == 1


def test_neighbour_overlap_gives_ties_among_duplicates_to_the_lower_row() -> None:
    # Before, all rows are one point: 0 is the neighbour of all others, 1 that of 0. After, really so.
    before = np.ones((5, 2))
    after = np.eye(5)
    after[:, 0] = 1
    after[1, 1] = 0.9
    assert neighbour_overlap(before, after, k=1) == 1


def test_neighbour_overlap_never_counts_the_row_itself() -> None:
    # Before, rows 0 to 2 are one point and 3 to 5 another; after, the partners are exchanged.
    before = np.repeat(np.eye(2), 3, axis=0)
    after = np.tile(np.eye(3), (2, 1))
    assert neighbour_overlap(before, after, k=1) == 0


def test_ranking_overlap_by_hand_does_not_look_at_the_order() -> None:
    assert ranking_overlap(np.array([[1, 2, 3, 4]]), np.array([[4, 3, 9, 1]])) == 3 / 4
    assert ranking_overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [5, 6]])) == 1 / 2


def test_recall_by_hand() -> None:
    ranking = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    relevant: list[dict[int, float]] = [{3: 1, 8: 2}, {4: 1}, {1: 1, 2: 1, 7: 1, 8: 3}]
    assert recall_at_k(ranking, relevant) == pytest.approx((1 / 2 + 1 + 2 / 4) / 3)


def test_recall_leaves_out_queries_without_a_relevant_row() -> None:
    ranking = np.array([[1, 2], [1, 2], [1, 2]])
    assert recall_at_k(ranking, [{1: 1}, {}, {5: 1}]) == 1 / 2


def test_recall_with_fewer_documents_than_asked_for() -> None:
    ranking = search(np.array([[1.0, 0.0]]), np.eye(2), 10)
    assert recall_at_k(ranking, [{1: 1}]) == 1


def test_ndcg_by_hand() -> None:
    ranking = np.array([[2, 1, 0], [0, 1, 2]])
    relevant: list[dict[int, float]] = [{0: 1, 2: 2}, {2: 1, 7: 3}]
    first = (2 / math.log2(2) + 1 / math.log2(4)) / (2 / math.log2(2) + 1 / math.log2(3))
    second = (1 / math.log2(4)) / (3 / math.log2(2) + 1 / math.log2(3))
    np.testing.assert_allclose(ndcg_per_query(ranking, relevant), [first, second])
    assert ndcg_at_k(ranking, relevant) == pytest.approx((first + second) / 2)


def test_ndcg_is_one_for_the_best_order_and_zero_when_nothing_is_found() -> None:
    relevant: list[dict[int, float]] = [{4: 1, 5: 3, 6: 2}]
    assert ndcg_at_k(np.array([[5, 6, 4, 0]]), relevant) == pytest.approx(1)
    assert ndcg_at_k(np.array([[0, 1, 2, 3]]), relevant) == 0
    assert ndcg_at_k(np.array([[4, 6, 5, 0]]), relevant) < 1


def test_ndcg_of_more_relevant_rows_than_ranked_compares_with_the_best_that_fit() -> None:
    relevant: list[dict[int, float]] = [dict.fromkeys(range(10), 1)]
    assert ndcg_at_k(np.array([[3, 1]]), relevant) == pytest.approx(1)


def test_ndcg_leaves_out_queries_without_a_relevant_row() -> None:
    ranking = np.array([[0, 1], [0, 1], [0, 1]])
    relevant: list[dict[int, float]] = [{0: 1}, {}, {7: 1}]
    np.testing.assert_array_equal(ndcg_per_query(ranking, relevant), [1, np.nan, 0])
    assert ndcg_at_k(ranking, relevant) == 1 / 2


def test_ndcg_does_not_count_rows_of_grade_zero_as_relevant() -> None:
    ranking = np.array([[0, 1], [0, 1]])
    np.testing.assert_array_equal(ndcg_per_query(ranking, [{0: 0}, {0: 0, 1: 1}]), [np.nan, 1 / math.log2(3)])


def test_ndcg_with_fewer_documents_than_asked_for() -> None:
    ranking = search(np.array([[1.0, 0.0]]), np.eye(2), 10)
    assert ndcg_at_k(ranking, [{0: 1}]) == 1
    assert ndcg_at_k(ranking, [{1: 1}]) == pytest.approx(1 / math.log2(3))


@pytest.mark.parametrize(("dtype", "expected"), [(np.float16, np.float64), (np.float32, np.float32), (int, np.float64)])
def test_unit_scales_a_copy_and_leaves_zero_rows(dtype: Any, expected: Any) -> None:
    rows = np.array([[3, 4], [0, 0], [-2, 0]], dtype=dtype)
    before = rows.copy()
    scaled = unit(rows)
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0.0, 0.0], [-1.0, 0.0]], atol=1e-6)
    assert scaled.dtype == expected
    np.testing.assert_array_equal(rows, before)


def test_a_document_judged_not_relevant_does_not_count_as_found() -> None:
    ranking = np.array([[0, 1]])
    assert recall_at_k(ranking, [{0: 0.0, 1: 1.0, 2: 2.0}]) == 0.5


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_search_finds_what_the_distances_of_stores_say(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(7, 5)), rng.normal(size=(40, 5)) * rng.uniform(0.1, 10, (40, 1))
    expected = [np.argsort(distances(query, documents, metric), kind="stable")[:6] for query in queries]
    np.testing.assert_array_equal(search(queries, documents, 6, metric), expected)
    np.testing.assert_array_equal(search(queries.astype(np.float32), documents.astype(np.float32), 6, metric), expected)


@pytest.mark.parametrize("k", [1, 3, 10, 19, 20, 50])
def test_of_equal_documents_the_first_ones_are_found(k: int) -> None:
    """Small whole numbers: most documents are as near as others, also at the end of the ranking."""
    rng = np.random.default_rng(k)
    queries, documents = rng.integers(-1, 2, (30, 3)).astype(float), rng.integers(-1, 2, (20, 3)).astype(float)
    products = queries @ documents.T
    expected = [sorted(range(20), key=lambda row: (-scores[row], row))[:k] for scores in products.tolist()]
    assert search(queries, documents, k, "ip").tolist() == expected


def test_a_document_without_numbers_is_the_last_one() -> None:
    documents = gaussian(9, 3)
    documents[4] = np.nan
    ranking = search(gaussian(5, 3, seed=1), documents, 9, "ip")
    assert (ranking[:, -1] == 4).all()
    assert search(gaussian(5, 3, seed=1), documents, 4, "ip").tolist() == ranking[:, :4].tolist()


def test_a_ranking_without_a_querys_own_document_and_what_is_in_it() -> None:
    ranking = np.array([[3, 1, 2, 0], [3, 1, 2, 0], [3, 1, 2, 0]])
    left = without(ranking, np.array([1, -1, 0]), 3)
    assert left.tolist() == [[3, 2, 0], [3, 1, 2], [3, 1, 2]]
    assert is_ranked(np.array([[3, 7], [0, 0], [2, 1]]), left).tolist() == [[True, False], [False, False], [True, True]]
