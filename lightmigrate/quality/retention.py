"""Retention: retrieval quality after a migration, compared with doing nothing and with re-embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.metrics import Array, Ranking, ndcg_per_query, ranking_overlap, search
from lightmigrate.results import Result
from lightmigrate.vectors import Metric

# What is lost when a share of the records is exact is (1 - share)^this of what is lost without. By judgements with 10
# to 50 % of the records exact that holds within .03 on average (`benchmarks/results/expectations.md`). It does not show
# in what searches find among exact and projected documents together: sentences then find nearly all of their own, and
# how many neighbours stay in the collection does not follow from how many stay among some documents of two kinds.
LOSS_OF_OTHERS = 0.85


@dataclass(frozen=True)
class QualityEstimate(Result):
    """An estimate with its confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of its 95 % interval.
        high: upper end.
        wide_by: what made the interval as wide as it is: in a few words what was not known, and its share of the width.
            Empty where nothing keeps account of that.
    """

    value: float
    low: float
    high: float
    wide_by: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def ends(self) -> tuple[float, float, float]:
        """The estimate and both ends of its interval, in the order of the fields."""
        return self.value, self.low, self.high

    @property
    def widths(self) -> dict[str, float]:
        """What each of `wide_by` adds to the width."""
        return {cause: share * (self.high - self.low) for cause, share in self.wide_by.items()}

    @classmethod
    def with_widths(cls, value: float, low: float, high: float, widths: Mapping[str, float]) -> QualityEstimate:
        """An estimate whose interval is made as wide as it is by these parts of its width."""
        width = high - low
        return cls(value, low, high, {cause: part / width for cause, part in widths.items() if width > 0 and part > 0})

    def mixed(self, other: QualityEstimate, share: float, because: str = "") -> QualityEstimate:
        """The estimate for a mixture: a share, in [0, 1], with this quality and the rest with the other's.

        Args:
            other: the quality of the rest.
            share: of this one.
            because: what the interval of the rest is put down to; by default what made it so wide.
        """
        value, low, high = (
            share * own + (1 - share) * theirs for own, theirs in zip(self.ends, other.ends, strict=True)
        )
        widths = {cause: share * width for cause, width in self.widths.items()}
        for cause, width in ({because: other.high - other.low} if because else other.widths).items():
            widths[cause] = widths.get(cause, 0.0) + (1 - share) * width
        return QualityEstimate.with_widths(value, low, high, widths)

    def when_exact(self, share: float) -> QualityEstimate:
        """The quality when a share of the records, in [0, 1], was embedded by the new model instead.

        How sure it is does not depend on the share but for that: what is lost, and may be, is of the others.
        """
        lost = (1 - share) ** LOSS_OF_OTHERS
        value, low, high = (1 - lost + lost * end for end in self.ends)
        return QualityEstimate(value, low, high, self.wide_by if lost else {})

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; `wide_by` only where something is in it."""
        content = super().to_json()
        return content if self.wide_by else {name: content[name] for name in ("value", "low", "high")}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def surely_below(kept: QualityEstimate, nothing: QualityEstimate | None) -> bool:
    """Whether not even the upper end of what is kept exceeds what is expected of doing nothing; `None`: not known."""
    return nothing is not None and kept.high <= nothing.value


# The quality of records that the new model embedded, and of those of which nobody judged how they are projected.
EVERYTHING = QualityEstimate(1.0, 1.0, 1.0)
UNKNOWN = QualityEstimate(0.0, 0.0, 1.0, {"nobody judged how records without a text are projected": 1.0})


@dataclass(frozen=True)
class Retention(Result):
    """Retrieval quality of one collection: migrated, re-embedded, and unchanged. Higher is better for all numbers.

    Attributes:
        reembedded: nDCG@k of the new model's queries on truly re-embedded documents: the ceiling.
        migrated: nDCG@k of the new model's queries on migrated documents.
        nothing: nDCG@k of the old model's queries on the old vectors: what doing nothing gives.
        retention: `migrated / reembedded`.
        nothing_retention: `nothing / reembedded`.
        gain: `retention - nothing_retention`: below 0 the migration makes searches worse than doing nothing.
        overlap: share of the truly re-embedded top k that is in the migrated top k.
        n_queries: number of queries with a relevant document; the others are left out.
        n_documents: number of documents.
        k: length of the rankings.
    """

    reembedded: QualityEstimate
    migrated: QualityEstimate
    nothing: QualityEstimate
    retention: QualityEstimate
    nothing_retention: QualityEstimate
    gain: QualityEstimate
    overlap: float
    n_queries: int
    n_documents: int
    k: int


def measure_retention(
    *,
    old_queries: Array,
    new_queries: Array,
    old_documents: Array,
    new_documents: Array,
    migrated_documents: Array,
    relevant: Sequence[Mapping[int, float]],
    k: int = 10,
    metric: Metric = "cosine",
    resamples: int = 2000,
    seed: int = 0,
) -> Retention:
    """Measure retention by relevance judgements, with exact search in all three spaces. Writes nothing.

    Args:
        old_queries: `(q, d_in)`, the queries embedded by the old model.
        new_queries: `(q, d_out)`, the same queries embedded by the new model.
        old_documents: `(n, d_in)`.
        new_documents: `(n, d_out)`, truly embedded by the new model.
        migrated_documents: `(n, d_out)`, projected from `old_documents`. The projection must not have
            been fitted to any of them.
        relevant: for each query, the grade of each relevant row; queries without one are left out.
        k: length of the rankings.
        metric: the distance of the collection.
        resamples: bootstrap samples for the intervals.
        seed: of the bootstrap.

    Returns:
        All numbers with 95 % percentile intervals, from one paired bootstrap over the queries.

    Raises:
        LightmigrateError: no query has a relevant document, or there are not as many judgements as queries.
    """
    judged = [query for query, grades in enumerate(relevant) if any(grade > 0 for grade in grades.values())]
    if len(relevant) != len(new_queries) or not judged:
        raise LightmigrateError(
            f"{len(new_queries)} queries, judgements for {len(relevant)}, {len(judged)} with a relevant document: "
            "give judgements for each query, and for one at least a relevant document"
        )
    grades_of = [relevant[query] for query in judged]
    rankings: dict[str, Ranking] = {
        "nothing": search(old_queries[judged], old_documents, k, metric),
        "reembedded": search(new_queries[judged], new_documents, k, metric),
        "migrated": search(new_queries[judged], migrated_documents, k, metric),
    }
    scores = np.stack([ndcg_per_query(ranking, grades_of) for ranking in rankings.values()])
    picks = np.random.default_rng(seed).integers(0, scores.shape[1], (resamples, scores.shape[1]))
    drawn = np.column_stack([row[picks].mean(axis=1) for row in scores])
    samples = np.vstack([scores.mean(axis=1), drawn])  # row 0 is the estimate, the rest the bootstrap
    nothing, reembedded, migrated = samples.T
    ceiling = np.where(reembedded > 0, reembedded, np.nan)  # NaN: there is no retention when re-embedding finds nothing
    kept, status_quo = migrated / ceiling, nothing / ceiling
    return Retention(
        reembedded=_estimate(reembedded),
        migrated=_estimate(migrated),
        nothing=_estimate(nothing),
        retention=_estimate(kept),
        nothing_retention=_estimate(status_quo),
        gain=_estimate(kept - status_quo),
        overlap=ranking_overlap(rankings["reembedded"], rankings["migrated"]),
        n_queries=scores.shape[1],
        n_documents=len(new_documents),
        k=k,
    )


def _estimate(samples: Array) -> QualityEstimate:
    low, high = np.nanpercentile(samples[1:], [2.5, 97.5])
    return QualityEstimate(float(samples[0]), float(low), float(high))
