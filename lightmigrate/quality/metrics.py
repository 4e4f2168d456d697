"""Metrics of projected vectors.

Two families. Metrics that compare projected with *true* vectors of the new model measure quality. Metrics that compare
a space with its own projection need no true vectors and detect only broken projections; see `structural_similarity`.

All functions take float arrays `(n, d)`, row i of one belonging to row i of the other, and return
Python floats. None writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.vectors import Metric

Array = npt.NDArray[Any]
Ranking = npt.NDArray[np.int64]

# Rows of a similarity matrix held in memory at once while ranking.
BLOCK_ROWS = 512


def mean_squared_error(true: Array, projected: Array) -> float:
    """Mean over all numbers of the squared difference. 0 is perfect."""
    return float(np.mean((np.asarray(true, np.float64) - projected) ** 2))


def mean_cosine(true: Array, projected: Array) -> float:
    """Mean cosine between each true vector and its projected one, in [-1, 1]. 1 is perfect."""
    return float(np.mean(np.sum(unit(true) * unit(projected), axis=1)))


def structural_similarity(before: Array, after: Array) -> float:
    """Pearson correlation of all pairwise cosines before and after, in [-1, 1].

    The only metric without true vectors of the new model, and not a measure of quality: it compares the old space
    with its own projection. It does not detect a wrong model or direction; even a random matrix has about .80. A
    *low* value means that the projection is broken.

    Args:
        before: `(n, d_in)` with n ≥ 3, a sample: the similarities take n² numbers.
        after: `(n, d_out)`.
    """
    return _correlate_off_diagonal(unit(before) @ unit(before).T, unit(after) @ unit(after).T)


def cross_space_similarity(true: Array, projected: Array) -> float:
    """Pearson correlation of true-to-projected cosines with true-to-true cosines, in [-1, 1].

    The situation of a search: the query is a vector of the new model (true), the document is projected. 1 is
    perfect; a random matrix or another model's projection gives about 0.

    Args:
        true: `(n, d)` with n ≥ 3, the new model's vectors of n texts, a sample.
        projected: `(n, d)`, the projected old vectors of the same texts.
    """
    return _correlate_off_diagonal(unit(true) @ unit(true).T, unit(true) @ unit(projected).T)


def search(queries: Array, documents: Array, k: int, metric: Metric = "cosine") -> Ranking:
    """The exact k nearest documents of every query, best first.

    Args:
        queries: `(q, d)`.
        documents: `(n, d)`.
        k: how many; fewer come back when there are fewer documents.
        metric: the distance.

    Returns:
        int64 `(q, min(k, n))`, row numbers of `documents`. Ties go to the lower row.
    """
    k = min(k, len(documents))
    ranking = np.empty((len(queries), k), dtype=np.int64)
    for start, similarity in _similarities(queries, documents, metric):
        ranking[start : start + len(similarity)] = _smallest(-similarity, k)
    return ranking


def nearer_documents(
    queries: Array, documents: Array, own: npt.NDArray[np.int64], metric: Metric = "cosine"
) -> npt.NDArray[np.float64]:
    """For each query the number of documents that are nearer to it than its own, `(q,)`; half of those as near.

    Args:
        queries: `(q, d)`.
        documents: `(n, d)`.
        own: for each query the row of its own document, `(q,)`.
        metric: the distance.
    """
    counts = np.empty(len(queries))
    for start, similarity in _similarities(queries, documents, metric):
        rows = slice(start, start + len(similarity))
        mine = np.take_along_axis(similarity, own[rows, None], axis=1)
        counts[rows] = (similarity > mine).sum(axis=1) + ((similarity == mine).sum(axis=1) - 1) / 2
    return counts


def _similarities(queries: Array, documents: Array, metric: Metric) -> Iterator[tuple[int, Array]]:
    """Blocks of similarities `(rows, n)`, the larger the nearer, each with the number of its first query."""
    if metric == "cosine":
        queries, documents = unit(queries), unit(documents)
    # ‖q - d‖² = ‖q‖² - 2·(q·d - ‖d‖²/2)
    half_squares = np.sum(documents.astype(np.float64) ** 2, axis=1) / 2 if metric == "l2" else 0.0
    for start in range(0, len(queries), BLOCK_ROWS):
        yield start, queries[start : start + BLOCK_ROWS] @ documents.T - half_squares


def _smallest(values: Array, k: int) -> Ranking:
    """The columns of the k smallest values of each row, in order; of equal ones the first. NaN comes last."""
    if not 0 < k < values.shape[1]:
        return np.argsort(values, axis=1, kind="stable")[:, :k]
    among = values <= np.partition(values, k - 1, axis=1)[:, k - 1 : k]
    certain = among.sum(axis=1) == k  # otherwise equal values, or NaN, are at the end
    ranking = np.empty((len(values), k), dtype=np.int64)
    columns = np.nonzero(among[certain])[1].reshape(-1, k)
    order = np.argsort(np.take_along_axis(values[certain], columns, axis=1), axis=1, kind="stable")
    ranking[certain] = np.take_along_axis(columns, order, axis=1)
    ranking[~certain] = np.argsort(values[~certain], axis=1, kind="stable")[:, :k]
    return ranking


def neighbour_overlap(
    before: Array, after: Array, k: int = 10, metric: Metric = "cosine", metric_before: Metric | None = None
) -> float:
    """Share of each row's k nearest other rows that remain among its k nearest, averaged: overlap@k in [0, 1].

    Args:
        before: `(n, d_in)`, n > k.
        after: `(n, d_out)`.
        k: neighbours looked at.
        metric: the distance.
        metric_before: the distance in `before`, if it was another one.
    """
    rankings = []
    for space, by in ((before, metric_before or metric), (after, metric)):
        nearest = search(space, space, k + 1, by)
        itself = nearest == np.arange(len(space))[:, None]
        itself[~itself.any(axis=1), -1] = True  # an exact duplicate replaced it: drop the farthest
        rankings.append(nearest[~itself].reshape(len(space), k))
    return ranking_overlap(*rankings)


def ranking_overlap(expected: Ranking, found: Ranking) -> float:
    """Share of `expected` `(q, k)` that is in the same row of `found` `(q, k)`, averaged."""
    return float(is_ranked(expected, found).mean())


def is_ranked(documents: Ranking, ranking: Ranking) -> npt.NDArray[np.bool_]:
    """Which of the documents `(q, m)` are in the same row of a ranking `(q, k)`: bool `(q, m)`."""
    return np.asarray((documents[:, :, None] == ranking[:, None, :]).any(axis=2))


def without(ranking: Ranking, own: npt.NDArray[np.int64], k: int) -> Ranking:
    """The first k documents of each row of a ranking `(q, more than k)`, leaving out `own` `(q,)`; -1 for none."""
    order = np.argsort(ranking == own[:, None], axis=1, kind="stable")[:, :k]
    return np.asarray(np.take_along_axis(ranking, order, axis=1))


def recall_at_k(ranking: Ranking, relevant: Sequence[Mapping[int, float]]) -> float:
    """Share of the relevant documents found among the ranked ones, averaged over queries.

    Args:
        ranking: `(q, k)` row numbers, best first.
        relevant: for each query, the grade of each relevant row; queries without any do not count.
    """
    shares = [
        len(wanted.intersection(ranked.tolist())) / len(wanted)
        for ranked, grades in zip(ranking, relevant, strict=True)
        if (wanted := {row for row, grade in grades.items() if grade > 0})
    ]
    return float(np.mean(shares))


def ndcg_at_k(ranking: Ranking, relevant: Sequence[Mapping[int, float]]) -> float:
    """Normalised discounted cumulative gain of the ranking, averaged over queries with a relevant row.

    `DCG = Σ grade / log2(rank + 1)`, divided by that of the best possible order of all relevant rows
    (Järvelin and Kekäläinen 2002; linear gain, as trec_eval and BEIR compute it).

    Args:
        ranking: `(q, k)` row numbers, best first.
        relevant: for each query, the grade of each relevant row.
    """
    return float(np.mean([value for value in ndcg_per_query(ranking, relevant) if not np.isnan(value)]))


def ndcg_per_query(ranking: Ranking, relevant: Sequence[Mapping[int, float]]) -> npt.NDArray[np.float64]:
    """The nDCG of every query `(q,)`; NaN where no row is relevant. See `ndcg_at_k`."""
    k = ranking.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))
    values = np.full(len(ranking), np.nan)
    for query, grades in enumerate(relevant):
        best = np.sort(np.array(list(grades.values()), dtype=np.float64))[::-1][:k]
        ideal = float(best @ discount[: len(best)])
        if ideal > 0:
            gain = np.array([grades.get(row, 0.0) for row in ranking[query].tolist()])
            values[query] = float(gain @ discount) / ideal
    return values


def unit(rows: Array) -> Array:
    """A copy with every row scaled to length 1 (float32 stays float32); an all-zero row stays zero."""
    rows = np.asarray(rows)
    if rows.dtype != np.float32:
        rows = rows.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths))


def _correlate_off_diagonal(before: Array, after: Array) -> float:
    if len(before) < 3:
        raise ValueError(f"{len(before)} rows: a correlation of similarities needs at least 3")
    off = ~np.eye(len(before), dtype=bool)
    a, b = before[off].astype(np.float64), after[off].astype(np.float64)
    a -= a.mean()
    b -= b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else 0.0
