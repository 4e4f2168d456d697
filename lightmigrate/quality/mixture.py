"""Detects vectors of several models in one collection, from the vectors alone.

Documents on one topic are close to each other in every model's space, but the spaces of two models of one dimension are
unrelated. The rows are clustered into topics, and topics that vary along the same directions are merged: the remaining
groups are models, not topics. The similarity of the variation of two sets of rows is their *likeness*,

    d · tr(A·B) / (tr A · tr B)   with the covariances A and B of the two sets, `(d, d)`,

which is 1 by chance, for unrelated directions. Unusual texts ("ok!", dates, links) have a lower or higher likeness to
other texts of their model than chance explains; the likeness of another model's rows is what chance explains. That of a
few rows of one model may be so, too. But most models' vectors share a direction, their mean, which a few rows tell, and
the means of two models are unrelated: parts whose means are closer than chance explains are of one model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.metrics import unit
from lightmigrate.quality.topics import Labels, cut_into_topics, sums
from lightmigrate.results import Result
from lightmigrate.vectors import meaningful

Matrix = npt.NDArray[np.float64]

# The fewest distinct rows for a result, and the fewest rows of a group.
FEWEST_ROWS, FEWEST_OF_A_PART = 60, 8

# With fewer dimensions any two sets of directions overlap much; embedding models have more.
FEWEST_DIMENSIONS = 32

# Topics of a likeness from LIKE on are merged; without a likeness among its own topics of TELLING a model gives no
# result. Chosen on the development half of `benchmarks/identity.py` and a first look at the other half, which it
# measures with new seeds.
LIKE, TELLING = 1.2, 1.5

# The likeness of two models, and the cosine of their means, are within so many standard deviations of chance, plus a
# margin because a few rows always end up in the wrong group.
DEVIATIONS, DEVIATIONS_OF_MEAN, SOME_MORE = 2.0, 3.0, 0.02

# The smallest mean size of a topic: fewer rows do not determine the directions of variation.
ROWS_OF_A_TOPIC = 15


@dataclass(frozen=True)
class Mixture(Result):
    """Rows of several models in one collection.

    Attributes:
        counts: rows of each part, the largest first.
        labels: the part of each row, 0 for the largest; -1 for invalid rows (NaN, infinity, zero).
        likeness: the largest likeness of two parts; 1 is chance.
        own: the likeness of the topics of the largest part.
        invalid: number of invalid rows.
    """

    counts: tuple[int, ...]
    labels: tuple[int, ...]
    likeness: float
    own: float
    invalid: int

    @property
    def reason(self) -> str:
        """The result in one line, with both numbers."""
        parts = " and ".join(f"{count:,}" for count in self.counts)
        return (
            f"rows of {len(self.counts)} models: {parts}; their likeness is {self.likeness:.2f} (1 is chance), "
            f"{self.own:.2f} within the largest"
        )

    def __str__(self) -> str:
        return self.reason


def find_mixture(vectors: Any) -> Mixture | None:
    """Find rows of different models among `(n, d)`, a sample: the similarities take n² numbers. Writes nothing.

    Independent of the lengths and the order of the rows. Rows projected into a model's space count as that model's.
    Two models with dimensions ordered by variance (principal component analysis) are not distinguished.

    Returns:
        `None` when no mixture is detected, which needs 60 distinct rows, 32 dimensions, and a model with anisotropic
        vectors.
    """
    given = np.asarray(vectors, dtype=np.float32)
    good = meaningful(given)
    # Duplicates add no information and would be topics without variance.
    rows, row_of = np.unique(unit(given[good]).round(6), axis=0, return_inverse=True)
    if len(rows) < FEWEST_ROWS or given.shape[1] < FEWEST_DIMENSIONS:
        return None
    topic = cut_into_topics(rows, len(rows) // ROWS_OF_A_TOPIC)
    topics = _Topics.of(rows, topic)
    parts = topics.models()
    if len(parts) < 2 or not topics.own(parts[0]) >= TELLING:
        return None
    # A model with unrelated topics, such as a bag of words, splits into several groups of one topic.
    if sum(len(part) == 1 for part in parts) > 1:
        return None
    part_of_topic = np.empty(len(topics.sizes), dtype=np.int64)
    for number, part in enumerate(parts):
        part_of_topic[part] = number
    labels = np.full(len(given), -1)
    labels[good] = part_of_topic[topic][row_of.reshape(-1)]
    order = np.argsort(-np.bincount(labels[good]), kind="stable")  # duplicates count here
    labels[good] = np.argsort(order)[labels[good]]
    return Mixture(
        counts=tuple(np.bincount(labels[good]).tolist()),
        labels=tuple(labels.tolist()),
        likeness=max(topics.likeness(a, b) for number, a in enumerate(parts) for b in parts[:number]),
        own=topics.own(parts[0]),
        invalid=int((~good).sum()),
    )


@dataclass(frozen=True)
class _Topics:
    """The variation of the rows of c topics around the mean of their topic.

    Attributes:
        shared: `(c, c)`, tr(A·B) of their scatter matrices.
        possible: `(c, c)`, tr A · tr B.
        axes: `(c, c)`, the part of tr(A·B) from the diagonals.
        totals: `(c, d)`, the sum of the rows of each.
        sizes: rows of each, `(c,)`.
        dimension: d.
    """

    shared: Matrix
    possible: Matrix
    axes: Matrix
    totals: Matrix
    sizes: Labels
    dimension: int

    @classmethod
    def of(cls, rows: npt.NDArray[Any], topic: Labels) -> _Topics:
        sizes: Labels = np.bincount(topic)
        totals = sums(rows.astype(np.float64), topic)
        around = rows - (totals / sizes[:, None])[topic].astype(rows.dtype)
        squares = (around @ around.T).astype(np.float64) ** 2  # tr(A·B) is the sum of (a·b)² over both sets
        variances = sums(around.astype(np.float64) ** 2, topic)
        shared = sums(sums(squares, topic).T, topic)
        spread = np.bincount(topic, weights=np.sum(around.astype(np.float64) ** 2, axis=1))
        possible: Matrix = np.asarray(np.outer(spread, spread), dtype=np.float64)
        return cls(shared, possible, variances @ variances.T, totals, sizes, rows.shape[1])

    def likeness(self, one: Labels, other: Labels) -> float:
        """The likeness of two lists of topics; NaN without variance."""
        at = np.ix_(one, other)
        possible = float(self.possible[at].sum())
        return self.dimension * float(self.shared[at].sum()) / possible if possible > 0 else float("nan")

    def own(self, part: Labels) -> float:
        """The likeness of different topics of a part; NaN for a single topic."""
        at = np.ix_(part, part)
        others = ~np.eye(len(part), dtype=bool)
        possible = float(self.possible[at][others].sum())
        return self.dimension * float(self.shared[at][others].sum()) / possible if possible > 0 else float("nan")

    def strangeness(self, one: Labels, other: Labels) -> float:
        """The distance of the likeness of two parts from that expected of two models; above 0: they are one model.

        For A and B under a random rotation the likeness has mean 1 and variance
        2 d² (tr A²/(tr A)² - 1/d) (tr B²/(tr B)² - 1/d) / ((d - 1)(d + 2)): the mean of tr(A₀·B₀)² over all rotations,
        for A₀ and B₀ without their traces. Models with ordered dimensions share more along the axes; for them
        the part beyond the axes must be chance, within half the tolerance. The cosine of the means has mean 0 and
        variance 1/d; parts of a model whose rows share a direction are closer, however few their rows are.
        """
        d = self.dimension
        if not self.possible[np.ix_(one, other)].sum() > 0:
            return float("inf")  # no variance: no evidence of two models
        uneven = [self.likeness(part, part) / d - 1 / d for part in (one, other)]
        deviation = np.sqrt(2 * max(uneven[0], 0) * max(uneven[1], 0) * d * d / ((d - 1) * (d + 2)))
        at, likeness = np.ix_(one, other), self.likeness(one, other)
        along_axes = d * float(self.axes[at].sum() / self.possible[at].sum()) - 1
        far = min(
            abs(likeness - 1) - DEVIATIONS * deviation, abs(likeness - 1 - along_axes) - DEVIATIONS * deviation / 2
        )
        close = self._cosine(one, other) - DEVIATIONS_OF_MEAN / np.sqrt(d)
        return float(max(far, close)) - SOME_MORE

    def _cosine(self, one: Labels, other: Labels) -> float:
        """The cosine of the means of two parts; 0 where there is none."""
        means = [self.totals[part].sum(axis=0) for part in (one, other)]
        lengths = float(np.linalg.norm(means[0]) * np.linalg.norm(means[1]))
        return float(means[0] @ means[1]) / lengths if lengths > 0 else 0.0

    def models(self) -> list[Labels]:
        """The topics of each model, the largest first, after merging parts whose likeness is not that of two models."""
        parts = self._joined()
        while len(parts) > 1:
            pairs = [(a, b) for b in range(len(parts)) for a in range(b)]
            strangeness = [self.strangeness(parts[a], parts[b]) for a, b in pairs]
            a, b = pairs[int(np.argmax(strangeness))]
            if max(strangeness) <= 0:
                break
            parts[a] = np.concatenate([parts[a], parts.pop(b)])
        return sorted(parts, key=lambda part: -int(self.sizes[part].sum()))

    def _joined(self) -> list[Labels]:
        """The topics, merged by average linkage while two parts are alike, and until no part is small.

        The average of the likenesses, weighted by the possible variance, is the likeness of the merged parts.
        """
        parts: list[list[int]] = [[number] for number in range(len(self.sizes))]
        shared, possible = self.shared.copy(), self.possible.copy()
        np.fill_diagonal(possible, 0)
        while len(parts) > 1:
            with np.errstate(divide="ignore", invalid="ignore"):
                # 0/0: no variance, no evidence against merging
                alike = np.where(possible > 0, self.dimension * shared / possible, np.inf)
            np.fill_diagonal(alike, -np.inf)
            if alike.max() < LIKE:
                small = [number for number, part in enumerate(parts) if self.sizes[part].sum() < FEWEST_OF_A_PART]
                if not small:
                    break
                large = np.setdiff1d(np.arange(len(parts)), small)
                alike[np.ix_(large, large)] = -np.inf
            keep, drop = sorted(np.unravel_index(int(alike.argmax()), alike.shape))
            parts[keep] += parts.pop(drop)
            for table in (shared, possible):
                table[keep] += table[drop]
                table[:, keep] += table[:, drop]
            shared, possible = (np.delete(np.delete(table, drop, 0), drop, 1) for table in (shared, possible))
        return [np.array(part, dtype=np.int64) for part in parts]
