"""The gate: decides, before anything is migrated, whether a projection is good enough.

It needs no human judgements: it compares searches among projected documents with searches among the same documents
embedded by the new model. Queries of users are best; without any, sentences of held-out documents replace them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.beside_exact import found_beside_exact
from lightmigrate.quality.depth import gain_in_collection, to_collection_size
from lightmigrate.quality.doing_nothing import expected_of_nothing
from lightmigrate.quality.expectation import NOT_KNOWN, Expectation
from lightmigrate.quality.metrics import (
    Array,
    cross_space_similarity,
    is_ranked,
    mean_cosine,
    mean_squared_error,
    nearer_documents,
    search,
    without,
)
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result
from lightmigrate.vectors import Metric

Verdict = Literal["PASS", "WARN", "FAIL"]
Scores = npt.NDArray[np.float64]

K = 10
RESAMPLES = 1000

# The overlap is of the first K results, but of at most one document in so many, because `to_collection_size` holds only
# for the top of a ranking. On Cranfield and SciFact, with users' queries, 60 documents then predict the overlap in the
# whole collection within .02; with the first result alone (10 of 5,000 correspond to less than 1 of 60) within .08.
LEAST_DOCUMENTS = 6

# Whether sentences find their own documents is extrapolated to so many documents at most. With 1,000, and with all
# those of the corpora in `benchmarks/results/expectations.md` (766 to 15,934), expectations were a little worse.
FOUND_AMONG = 3000

# In one index with exact documents searches find of either kind at least this share of what they find among projected
# ones alone, where the projection is sound: .49 (ridge, 60 pairs) to 1.2 for five methods, 60 to 400 pairs and two
# targets on the demo's corpus, by which the bound was set. Exact vectors of wrong lengths have .33 and less there. On
# Cranfield, by which it was not set, sound ones have .75 to 1.09 in 24 cases, and lengths as regressions leave them .20
# to .98 by the inner product (`benchmarks/results/vector_lengths.md`): what is a little too short passes. The expected
# retention falls in proportion to what is missing.
SOUND_BESIDE_EXACT = 0.45

# With fewer queries the verdict is never PASS.
FEWEST_QUERIES = 30


# Fitted to judgements by `benchmarks/expectations_fit.py`, which also reports the errors on corpora left out.
BY_SENTENCES = Expectation(0.89, 0.9, 0.8, 1.0, error=0.36, error_power=1.0)
BY_USERS = Expectation(1.02, 0.0, 1.0, 2.6, error=0.33, error_power=1.0)


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of the gate, as expected retention.

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
    """Measurements of searches in one set of document vectors.

    Attributes:
        recall: share of sentences that find their own document among the first k; `None` for queries of users, whose
            relevant documents are unknown.
        found: discounted gain of a sentence's own document, extrapolated from the held-out documents to the whole
            collection or 3,000 documents of it, as a share of the gain after re-embedding; `None` for queries of users.
        overlap: overlap@k with the ranking after re-embedding, without the sentence's own document, extrapolated from
            the held-out documents to the whole collection; see `depth`.
    """

    recall: QualityEstimate | None
    found: QualityEstimate | None
    overlap: QualityEstimate


@dataclass(frozen=True)
class Gate(Result):
    """The verdict of the gate and its measurements.

    Attributes:
        verdict: PASS, WARN or FAIL.
        reason: the reason in one line, with numbers.
        expected_retention: nDCG@10 to expect of real searches, as a share of that after re-embedding.
        metric: the distance by which everything was searched.
        beside_exact: share of its true results that searches find of the kind that is found less, where half of the
            documents are projected and half are exact; extrapolated like `Answers.overlap`.
        migrated: with projected documents.
        reembedded: with documents embedded by the new model.
        nothing: with queries and documents of the old model; `None` when not given.
        expected_nothing: nDCG@10 to expect of real searches when nothing is done, as a share of that after
            re-embedding; `None` when the old model's vectors are not given.
        similarity: correlation of cosines to projected with cosines to true documents.
        cosine: mean cosine of projected and true documents.
        squared_error: mean squared difference of their numbers.
        n_queries: number of queries.
        by_users: whether they are queries of users instead of sentences of the documents.
        n_documents: number of held-out documents.
        collection_size: number of documents in the collection that they are a sample of.
    """

    verdict: Verdict
    reason: str
    expected_retention: QualityEstimate
    metric: Metric
    beside_exact: QualityEstimate
    migrated: Answers
    reembedded: Answers
    nothing: Answers | None
    expected_nothing: QualityEstimate | None
    similarity: float
    cosine: float
    squared_error: float
    n_queries: int
    by_users: bool
    n_documents: int
    collection_size: int


def gate(
    *,
    true: Array,
    projected: Array,
    queries: Array,
    taken_from: Sequence[int] | None,
    collection_size: int | None = None,
    metric: Metric = "cosine",
    old: Array | None = None,
    old_queries: Array | None = None,
    exact_share: float = 0.0,
    thresholds: Thresholds | None = None,
    seed: int = 0,
) -> Gate:
    """Decide whether a projection is good enough, by held-out pairs and queries. Writes nothing.

    Args:
        true: `(n, d_out)`, n ≥ 3 documents embedded by the new model.
        projected: `(n, d_out)`, the same documents projected by fits without them.
        queries: `(q, d_out)`, embedded by the new model: queries of users, or sentences of these documents.
        taken_from: for each sentence the row of its document; `None` for queries of users.
        collection_size: number of documents in the collection that the n are a sample of; n when left out. The
            overlap is lower in a larger collection.
        metric: the distance of the collection.
        old: `(n, d_in)`, the same documents by the old model; with them alone doing nothing is estimated.
        old_queries: `(q, d_in)`, the same queries by the old model, where it is at hand.
        exact_share: share of the collection, in [0, 1], that is embedded by the new model, and not projected.
        thresholds: of the verdict.
        seed: of the bootstrap for the 95 % intervals.

    Raises:
        LightmigrateError: the arrays do not match, there are fewer than 3 documents, or no query.
    """
    n, by_users = len(true), taken_from is None
    own = np.full(len(queries), -1) if taken_from is None else np.asarray(taken_from, dtype=np.int64)
    if n < 3 or true.shape != projected.shape or len(queries) != len(own) or not len(own):
        raise LightmigrateError(
            f"the gate needs at least 3 documents, true and projected, and 1 query: got {true.shape}, "
            f"{projected.shape} and {len(own)} queries"
        )
    size = max(n, collection_size or n)
    thresholds = thresholds or Thresholds()
    k = min(K, max(1, n // LEAST_DOCUMENTS))
    finite = bool(np.isfinite(projected).all())
    projected = np.nan_to_num(projected)
    expected = search(queries, true, K + 1, metric)
    picks = np.random.default_rng(seed).integers(0, len(own), (RESAMPLES, len(own)))

    def at_scale(overlap: QualityEstimate) -> QualityEstimate:
        value, low, high = (to_collection_size(one, k / n, min(K / size, 0.5)) for one in overlap.ends)
        return QualityEstimate(value, low, high)

    def gains(of_queries: Array, documents: Array) -> Scores:
        nearer = nearer_documents(of_queries, documents, own, metric)
        return gain_in_collection(nearer, n, max(n, min(size, FOUND_AMONG)))

    possible = np.ones(len(own)) if by_users else gains(queries, true)

    def answers(ranking: Array, of_queries: Array, documents: Array) -> Answers:
        overlap = at_scale(_estimate(_overlaps(expected, ranking, own, k), picks))
        if by_users:
            return Answers(None, None, overlap)
        hits = (ranking[:, :K] == own[:, None]).any(axis=1).astype(np.float64)
        found = _ratio(np.stack([gains(of_queries, documents), possible]), picks)
        return Answers(_estimate(hits, picks), found, overlap)

    ranking = search(queries, projected, K + 1, metric)
    migrated = answers(ranking, queries, projected)
    counts = found_beside_exact(queries, true, projected, own, k, metric)
    beside = min((_ratio(kind, picks) for kind in counts), key=lambda ratio: ratio.value)
    alone = float(_overlaps(expected, ranking, own, k).mean())
    kept = min(1.0, beside.value / (SOUND_BESIDE_EXACT * alone)) if alone else 1.0
    measured = f"{len(own):,} {'queries' if by_users else 'sentences'} were searched among {n:,} documents"
    if migrated.found is None:
        retention = BY_USERS.estimate(NOT_KNOWN, migrated.overlap, measured)
    else:
        retention = BY_SENTENCES.estimate(migrated.found, migrated.overlap, measured)
    value, low, high = (kept * end for end in retention.ends)
    retention = QualityEstimate(value, low, high, retention.wide_by).when_exact(exact_share)
    verdict, reason = _decide(retention, len(own), thresholds)
    if kept < 1:
        reason += f"; beside new documents they find {beside.value:.0%} of their true results, alone {alone:.0%}"
    return Gate(
        verdict=verdict if finite else "FAIL",
        reason=reason if finite else "projected vectors contain NaN or infinity",
        expected_retention=retention,
        metric=metric,
        beside_exact=at_scale(beside),
        migrated=migrated,
        reembedded=answers(expected, queries, true),
        nothing=None
        if old is None or old_queries is None
        else answers(search(old_queries, old, K + 1, metric), old_queries, old),
        expected_nothing=None if old is None else expected_of_nothing(old, true, metric, metric),
        similarity=cross_space_similarity(true, projected),
        cosine=mean_cosine(true, projected),
        squared_error=mean_squared_error(true, projected),
        n_queries=len(own),
        by_users=by_users,
        n_documents=n,
        collection_size=size,
    )


def _overlaps(expected: Array, ranking: Array, own: Array, k: int) -> Scores:
    """For each query the overlap of the first k of both rankings, without its own document."""
    shared = is_ranked(without(expected, own, k), without(ranking, own, k)).sum(axis=1)
    return np.asarray(shared / k)


def _decide(retention: QualityEstimate, n_queries: int, thresholds: Thresholds) -> tuple[Verdict, str]:
    expected = f"searches are expected to keep {retention.value:.2f} [{retention.low:.2f}, {retention.high:.2f}]"
    if retention.value < thresholds.failing:
        return "FAIL", f"{expected} of what embedding again gives; below {thresholds.failing:.2f} it is not worth it"
    if n_queries < FEWEST_QUERIES:
        return "WARN", f"{n_queries} queries are too few to be sure; calibrate on more documents"
    if retention.value < thresholds.passing:
        return "WARN", f"{expected} of what embedding again gives; {thresholds.passing:.2f} would pass"
    return "PASS", f"{expected} of what embedding again gives"


def _estimate(scores: Scores, picks: Array) -> QualityEstimate:
    low, high = np.percentile(scores[picks].mean(axis=1), [2.5, 97.5])
    return QualityEstimate(float(scores.mean()), float(low), float(high))


def _ratio(counts: Scores, picks: Array) -> QualityEstimate:
    """The number found of all, over all queries, from both numbers of each `(2, q)`; 1 where there is nothing to find.

    The ends are those of the bootstrap samples in which there is something to find.
    """
    found, all_of = counts
    drawn = all_of[picks].sum(axis=1)
    if not all_of.sum() or not drawn.any():
        return QualityEstimate(1.0, 1.0, 1.0)
    low, high = np.percentile(found[picks].sum(axis=1)[drawn > 0] / drawn[drawn > 0], [2.5, 97.5])
    return QualityEstimate(float(found.sum() / all_of.sum()), float(low), float(high))
