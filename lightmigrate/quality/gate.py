"""The gate: is a projection good enough to migrate with? It can say no, before anything is migrated.

It needs no human judgements. Sentences of held-out documents are pseudo-queries: the new model embeds them, they
are searched for among the mapped documents and among the truly embedded ones, and the answers are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.metrics import Array, cross_space_similarity, mean_cosine, mean_squared_error, unit
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result

Verdict = Literal["PASS", "WARN", "FAIL"]
Scores = npt.NDArray[np.float64]

K = 10
RESAMPLES = 1000

# Fewer pseudo-queries than this cannot say yes.
FEWEST_QUERIES = 30

# retention ≈ 1 - STEEPNESS·(1 - overlap)^POWER, read off human judgements by `benchmarks/gate.py`, which also
# says how far off it is on a corpus it was not read off from.
STEEPNESS, POWER = 1.5, 4.0


@dataclass(frozen=True)
class Thresholds:
    """Where the gate draws its lines, as expected retention.

    Attributes:
        passing: PASS at least here.
        failing: FAIL below here; WARN between the two.
    """

    passing: float = 0.85
    failing: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.failing <= self.passing <= 1:
            raise LightmigrateError(f"thresholds must be 0 ≤ {self.failing} (failing) ≤ {self.passing} (passing) ≤ 1")


@dataclass(frozen=True)
class Answers(Result):
    """How well one set of document vectors answers the pseudo-queries.

    Attributes:
        recall: share of queries that find the document they were taken from among the first k.
        overlap: share of the *other* documents found first that re-embedding finds first too. As many are
            looked at as stand for the first k of the whole collection.
    """

    recall: Estimate
    overlap: Estimate


@dataclass(frozen=True)
class Gate(Result):
    """What the gate says, and why.

    Attributes:
        verdict: PASS, WARN or FAIL.
        reason: in one line.
        expected_retention: nDCG@10 to expect of real searches, as a share of what re-embedding gives.
        migrated: with mapped documents.
        reembedded: with truly embedded documents.
        nothing: the old model on its own vectors; `None` when it was not at hand.
        similarity: correlation of cosines to mapped with cosines to true documents.
        cosine: mean cosine of mapped and true documents.
        squared_error: mean squared difference of their numbers.
        n_queries: pseudo-queries.
        n_documents: held-out documents.
        collection_size: documents they stand for.
    """

    verdict: Verdict
    reason: str
    expected_retention: Estimate
    migrated: Answers
    reembedded: Answers
    nothing: Answers | None
    similarity: float
    cosine: float
    squared_error: float
    n_queries: int
    n_documents: int
    collection_size: int


def gate(
    *,
    true: Array,
    mapped: Array,
    queries: Array,
    taken_from: Sequence[int],
    collection_size: int | None = None,
    old: Array | None = None,
    old_queries: Array | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
) -> Gate:
    """Decide by held-out pairs and pseudo-queries. Writes nothing.

    Args:
        true: `(n, d_out)`, n ≥ 3 documents embedded by the new model.
        mapped: `(n, d_out)`, the same documents mapped by a fit that has not seen them.
        queries: `(q, d_out)`, sentences of these documents embedded by the new model.
        taken_from: for each query the row of the document it is a sentence of.
        collection_size: documents in the collection these n were drawn from; n when left out. Among more
            documents the nearest ones are nearer, and harder to tell apart.
        old: `(n, d_in)`, the same documents by the old model.
        old_queries: `(q, d_in)`, the same sentences by the old model.
        thresholds: where to draw the lines.
        seed: of the bootstrap behind the 95 % intervals.

    Raises:
        LightmigrateError: arrays that do not belong to each other, or fewer than 3 documents.
    """
    n, own = len(true), np.asarray(taken_from, dtype=np.int64)
    if n < 3 or true.shape != mapped.shape or len(queries) != len(own) or not len(own):
        raise LightmigrateError(
            f"a gate needs at least 3 true and mapped documents and a query: {true.shape}, {mapped.shape}, {len(own)}"
        )
    size = max(n, collection_size or n)
    thresholds = thresholds or Thresholds()
    expected = _ranked(queries, true)
    picks = np.random.default_rng(seed).integers(0, len(own), (RESAMPLES, len(own)))

    def answers(ranking: Array) -> Answers:
        recall = (ranking[:, :K] == own[:, None]).any(axis=1).astype(np.float64)
        return Answers(_estimate(recall, picks), _estimate(_overlaps(expected, ranking, own, K * n / size), picks))

    migrated = answers(_ranked(queries, mapped))
    retention = Estimate(
        *(_retention(x) for x in (migrated.overlap.value, migrated.overlap.low, migrated.overlap.high))
    )
    verdict, reason = _decide(retention, len(own), thresholds)
    finite = bool(np.isfinite(mapped).all())
    return Gate(
        verdict=verdict if finite else "FAIL",
        reason=reason if finite else "mapped vectors hold NaN or infinity",
        expected_retention=retention,
        migrated=migrated,
        reembedded=answers(expected),
        nothing=answers(_ranked(old_queries, old)) if old is not None and old_queries is not None else None,
        similarity=cross_space_similarity(true, mapped),
        cosine=mean_cosine(true, mapped),
        squared_error=mean_squared_error(true, mapped),
        n_queries=len(own),
        n_documents=n,
        collection_size=size,
    )


def _ranked(queries: Array, documents: Array) -> Array:
    """All documents for each query, best first, `(q, min(n, 2k + 1))`."""
    found = np.argsort(-(unit(queries) @ unit(np.nan_to_num(documents)).T), axis=1, kind="stable")
    return found[:, : 2 * K + 1]


def _overlaps(expected: Array, found: Array, own: Array, depth: float) -> Scores:
    """For each query the shared part of both rankings without its own document, at a depth that need not be whole."""
    whole = int(min(max(1, np.floor(depth)), K, expected.shape[1] - 1))
    rest = min(max(depth - whole, 0.0), 1.0) if whole < min(K, expected.shape[1] - 1) else 0.0
    shared = np.zeros((2, len(own)))
    for row, (one, other) in enumerate(zip(expected, found, strict=True)):
        one, other = one[one != own[row]], other[other != own[row]]
        for which, k in enumerate((whole, whole + 1)):
            shared[which, row] = len(np.intersect1d(one[:k], other[:k])) / k
    return np.asarray((1 - rest) * shared[0] + rest * shared[1])


def _retention(overlap: float) -> float:
    return float(max(0.0, 1 - STEEPNESS * (1 - overlap) ** POWER))


def _decide(retention: Estimate, n_queries: int, thresholds: Thresholds) -> tuple[Verdict, str]:
    expected = f"searches are expected to keep {retention.value:.2f} [{retention.low:.2f}, {retention.high:.2f}]"
    if retention.value < thresholds.failing:
        return "FAIL", f"{expected} of what embedding again gives; below {thresholds.failing:.2f} it is not worth it"
    if n_queries < FEWEST_QUERIES:
        return "WARN", f"{n_queries} pseudo-queries are too few to be sure; calibrate on more documents"
    if retention.value < thresholds.passing:
        return "WARN", f"{expected} of what embedding again gives; {thresholds.passing:.2f} would pass"
    return "PASS", f"{expected} of what embedding again gives"


def _estimate(scores: Scores, picks: Array) -> Estimate:
    low, high = np.percentile(scores[picks].mean(axis=1), [2.5, 97.5])
    return Estimate(float(scores.mean()), float(low), float(high))
