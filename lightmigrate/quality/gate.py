"""The gate: is a projection good enough to migrate with? It can say no, before anything is migrated.

It needs no human judgements. Queries are searched for among the mapped documents and among the truly embedded ones,
and the answers are compared. The users' own queries tell most; where there are none, sentences of held-out documents
stand in for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.depth import carried
from lightmigrate.quality.metrics import Array, cross_space_similarity, mean_cosine, mean_squared_error, unit
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result

Verdict = Literal["PASS", "WARN", "FAIL"]
Scores = npt.NDArray[np.float64]

K = 10
RESAMPLES = 1000

# The first K are looked at, but at most one of so many documents: further down, the tail is no tail. On Cranfield and
# SciFact, with users' queries and without judgements, 60 documents so foretell the overlap of all within .02; the first
# document alone, which 10 of 5,000 are among 60, within .08.
LEAST_DOCUMENTS = 6

# Fewer queries than this cannot say yes.
FEWEST_QUERIES = 30


@dataclass(frozen=True)
class Curve:
    """retention ≈ 1 - steepness·(1 - overlap)^power."""

    steepness: float
    power: float

    def __call__(self, overlap: float) -> float:
        """The retention to expect, in [0, 1]."""
        return float(max(0.0, 1 - self.steepness * (1 - overlap) ** self.power))


# Read off human judgements by `benchmarks/report.py`, which also says how far off they are on a corpus they were not
# read off from. Sentences are more like their documents than what users ask, hence two.
BY_USERS = Curve(1.12, 3.0)
BY_SENTENCES = Curve(1.5, 4.0)

# A sentence from the middle of a text misses what a map that starts from the first words knows: the topic, which is
# what users ask for. Cranfield alone says .8 and SciFact alone 1.4 (upgrades to MiniLM, `benchmarks/dial_report.py`):
# less than .02 too little is expected on the one on average, and a little more than .02 too much on the other.
BY_SENTENCES_OF_BEGUN = Curve(1.0, 4.0)


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
    """How well one set of document vectors answers the queries.

    Attributes:
        recall: share of sentences that find the document they were taken from among the first k; `None` for
            queries of users, of whom nobody knows what they should find.
        overlap: share of the (other) documents found first that re-embedding finds first too, carried from the
            first k of the held-out documents to the first k of the whole collection; see `depth`.
    """

    recall: Estimate | None
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
        n_queries: queries asked.
        by_users: whether they were queries of users, and not sentences of the documents.
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
    by_users: bool
    n_documents: int
    collection_size: int


def gate(
    *,
    true: Array,
    mapped: Array,
    queries: Array,
    taken_from: Sequence[int] | None,
    collection_size: int | None = None,
    begun: bool = False,
    old: Array | None = None,
    old_queries: Array | None = None,
    thresholds: Thresholds | None = None,
    seed: int = 0,
) -> Gate:
    """Decide by held-out pairs and queries. Writes nothing.

    Args:
        true: `(n, d_out)`, n ≥ 3 documents embedded by the new model.
        mapped: `(n, d_out)`, the same documents mapped by a fit that has not seen them.
        queries: `(q, d_out)`, embedded by the new model: what users asked, or sentences of these documents.
        taken_from: for each sentence the row of the document it is of; `None` for what users asked.
        collection_size: documents in the collection these n were drawn from; n when left out. Among more
            documents the nearest ones are nearer, and harder to tell apart.
        begun: whether the map starts from what the new model says to the first words of every document.
        old: `(n, d_in)`, the same documents by the old model.
        old_queries: `(q, d_in)`, the same queries by the old model.
        thresholds: where to draw the lines.
        seed: of the bootstrap behind the 95 % intervals.

    Raises:
        LightmigrateError: arrays that do not belong to each other, or fewer than 3 documents.
    """
    n, by_users = len(true), taken_from is None
    own = np.full(len(queries), -1) if taken_from is None else np.asarray(taken_from, dtype=np.int64)
    if n < 3 or true.shape != mapped.shape or len(queries) != len(own) or not len(own):
        raise LightmigrateError(
            f"a gate needs at least 3 true and mapped documents and a query: {true.shape}, {mapped.shape}, {len(own)}"
        )
    size = max(n, collection_size or n)
    thresholds = thresholds or Thresholds()
    k = min(K, max(1, n // LEAST_DOCUMENTS))
    expected = _ranked(queries, true)
    picks = np.random.default_rng(seed).integers(0, len(own), (RESAMPLES, len(own)))

    def answers(ranking: Array) -> Answers:
        found = (ranking[:, :K] == own[:, None]).any(axis=1).astype(np.float64)
        overlap = _estimate(_overlaps(expected, ranking, own, k), picks)
        at_scale = (carried(one, k / n, min(K / size, 0.5)) for one in (overlap.value, overlap.low, overlap.high))
        return Answers(None if by_users else _estimate(found, picks), Estimate(*at_scale))

    migrated = answers(_ranked(queries, mapped))
    curve, overlap = BY_USERS if by_users else BY_SENTENCES_OF_BEGUN if begun else BY_SENTENCES, migrated.overlap
    retention = Estimate(curve(overlap.value), curve(overlap.low), curve(overlap.high))
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
        by_users=by_users,
        n_documents=n,
        collection_size=size,
    )


def _ranked(queries: Array, documents: Array) -> Array:
    """The first documents for each query, best first, `(q, min(n, K + 1))`."""
    found = np.argsort(-(unit(queries) @ unit(np.nan_to_num(documents)).T), axis=1, kind="stable")
    return found[:, : K + 1]


def _overlaps(expected: Array, found: Array, own: Array, k: int) -> Scores:
    """For each query the shared part of the first k of both rankings, its own document left out."""
    shared = np.zeros(len(own))
    for row, (one, other) in enumerate(zip(expected, found, strict=True)):
        one, other = one[one != own[row]], other[other != own[row]]
        shared[row] = len(np.intersect1d(one[:k], other[:k])) / k
    return shared


def _decide(retention: Estimate, n_queries: int, thresholds: Thresholds) -> tuple[Verdict, str]:
    expected = f"searches are expected to keep {retention.value:.2f} [{retention.low:.2f}, {retention.high:.2f}]"
    if retention.value < thresholds.failing:
        return "FAIL", f"{expected} of what embedding again gives; below {thresholds.failing:.2f} it is not worth it"
    if n_queries < FEWEST_QUERIES:
        return "WARN", f"{n_queries} queries are too few to be sure; calibrate on more documents"
    if retention.value < thresholds.passing:
        return "WARN", f"{expected} of what embedding again gives; {thresholds.passing:.2f} would pass"
    return "PASS", f"{expected} of what embedding again gives"


def _estimate(scores: Scores, picks: Array) -> Estimate:
    low, high = np.percentile(scores[picks].mean(axis=1), [2.5, 97.5])
    return Estimate(float(scores.mean()), float(low), float(high))
