"""Are these the vectors of one model, or of several in one collection? Told from the vectors alone.

Documents on one topic lie together whoever embedded them, and two models of one dimension have next to nothing in
common. So the rows are cut into topics, and topics whose vectors vary along the same directions are joined again: what
then is still apart are models, not topics. How much two sets of rows vary alike is their *likeness*,

    d · tr(A·B) / (tr A · tr B)   with the covariances A and B of the two sets, `(d, d)`,

which is 1 by chance, for directions that have nothing to do with each other. Texts of an odd kind ("ok!", dates, links)
share less, or more, with the others of their model than chance allows; another model's share just what it allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.vectors import meaningful
from lightmigrate.quality.metrics import unit
from lightmigrate.quality.topics import Labels, cut_into_topics, sums
from lightmigrate.results import Result

Matrix = npt.NDArray[np.float64]

# Fewer different rows than this say nothing, and fewer than that are no part of their own.
FEWEST_ROWS, FEWEST_OF_A_PART = 60, 8

# Any two sets of directions have much in common in so few dimensions; no embedding model makes vectors as short.
FEWEST_DIMENSIONS = 32

# Topics of one model are at least so alike, and a model whose own topics are not a good deal more alike tells nothing.
# Chosen on the development half of `benchmarks/identity.py` and a first look at the other, which it measures with new
# seeds.
LIKE, TELLING = 1.2, 1.5

# Two models are as like as chance has it, give or take so many standard deviations, and a little because a few rows
# always end up in the wrong part.
DEVIATIONS, SOME_MORE = 2.0, 0.02

# On average at least: a topic of fewer rows does not say along which directions they vary.
ROWS_OF_A_TOPIC = 15


@dataclass(frozen=True)
class Mixture(Result):
    """Rows of several models in one collection.

    Attributes:
        counts: rows of each part, the largest first.
        labels: the part of each row, 0 for the largest; -1 for rows that mean nothing (NaN, infinity, zero).
        likeness: of the two parts that are most alike; 1 is chance.
        own: of the topics of the largest part to each other.
        invalid: rows that mean nothing.
    """

    counts: tuple[int, ...]
    labels: tuple[int, ...]
    likeness: float
    own: float
    invalid: int

    @property
    def reason(self) -> str:
        """What was found, in one line with both numbers."""
        parts = " and ".join(f"{count:,}" for count in self.counts)
        return (
            f"rows of {len(self.counts)} models: {parts}, {self.likeness:.2f} times as like each other as by chance, "
            f"{self.own:.2f} among themselves"
        )

    def __str__(self) -> str:
        return self.reason


def find_mixture(vectors: Any) -> Mixture | None:
    """Find rows of different models among `(n, d)`, a sample: the similarities take n² numbers. Writes nothing.

    Lengths do not matter, nor the order of the rows. Rows that were mapped into a model's space are of that model.
    Two models whose dimensions are both ordered by variance (by a principal component analysis) look like one.

    Returns:
        `None` when the rows are of one model as far as can be told: that takes 60 different rows, 32 dimensions, and
        a model whose vectors do not use all directions alike.
    """
    given = np.asarray(vectors, dtype=np.float32)
    good = meaningful(given)
    # What is stored twice says nothing twice, and would be a topic that varies in no direction.
    rows, row_of = np.unique(unit(given[good]).round(6), axis=0, return_inverse=True)
    if len(rows) < FEWEST_ROWS or given.shape[1] < FEWEST_DIMENSIONS:
        return None
    topic = cut_into_topics(rows, len(rows) // ROWS_OF_A_TOPIC)
    topics = _Topics.of(rows, topic)
    parts = topics.models()
    if len(parts) < 2 or not topics.own(parts[0]) >= TELLING:
        return None
    # A model whose topics have nothing in common, as a bag of words has, falls apart into more than one of them.
    if sum(len(part) == 1 for part in parts) > 1:
        return None
    part_of_topic = np.empty(len(topics.sizes), dtype=np.int64)
    for number, part in enumerate(parts):
        part_of_topic[part] = number
    labels = np.full(len(given), -1)
    labels[good] = part_of_topic[topic][row_of.reshape(-1)]
    order = np.argsort(-np.bincount(labels[good]), kind="stable")  # repeated rows count here
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
    """How the rows of c topics vary around the middle of their topic.

    Attributes:
        shared: `(c, c)`, tr(A·B) of their scatter matrices.
        possible: `(c, c)`, tr A · tr B.
        axes: `(c, c)`, what of tr(A·B) comes from the diagonals.
        sizes: rows of each, `(c,)`.
        dimension: d.
    """

    shared: Matrix
    possible: Matrix
    axes: Matrix
    sizes: Labels
    dimension: int

    @classmethod
    def of(cls, rows: npt.NDArray[Any], topic: Labels) -> _Topics:
        sizes: Labels = np.bincount(topic)
        around = rows - (sums(rows, topic) / sizes[:, None])[topic]
        squares = (around @ around.T).astype(np.float64) ** 2  # tr(A·B) is the sum of (a·b)² over both sets
        variances = sums(around.astype(np.float64) ** 2, topic)
        shared = sums(sums(squares, topic).T, topic)
        spread = np.bincount(topic, weights=np.sum(around.astype(np.float64) ** 2, axis=1))
        possible: Matrix = np.asarray(np.outer(spread, spread), dtype=np.float64)
        return cls(shared, possible, variances @ variances.T, sizes, rows.shape[1])

    def likeness(self, one: Labels, other: Labels) -> float:
        """Of two lists of topics; NaN where nothing varies."""
        at = np.ix_(one, other)
        possible = float(self.possible[at].sum())
        return self.dimension * float(self.shared[at].sum()) / possible if possible > 0 else float("nan")

    def own(self, part: Labels) -> float:
        """Of the topics of a part to each other, not to themselves; NaN for a single topic."""
        at = np.ix_(part, part)
        others = ~np.eye(len(part), dtype=bool)
        possible = float(self.possible[at][others].sum())
        return self.dimension * float(self.shared[at][others].sum()) / possible if possible > 0 else float("nan")

    def strangeness(self, one: Labels, other: Labels) -> float:
        """How far the likeness of two parts is from that of two models, above 0 if it is too far.

        Of A and B turned at random against each other it has mean 1 and variance
        2 d² (tr A²/(tr A)² - 1/d) (tr B²/(tr B)² - 1/d) / ((d - 1)(d + 2)): the mean of tr(A₀·B₀)² over all rotations,
        for A₀ and B₀ without their traces. Models that order their dimensions share more along the axes than that;
        then what they share beyond the axes has to be chance, and half as far from it at most.
        """
        d = self.dimension
        if not self.possible[np.ix_(one, other)].sum() > 0:
            return float("inf")  # nothing varies: nothing says that these are two models
        uneven = [self.likeness(part, part) / d - 1 / d for part in (one, other)]
        deviation = np.sqrt(2 * max(uneven[0], 0) * max(uneven[1], 0) * d * d / ((d - 1) * (d + 2)))
        at, likeness = np.ix_(one, other), self.likeness(one, other)
        along_axes = d * float(self.axes[at].sum() / self.possible[at].sum()) - 1
        far = min(
            abs(likeness - 1) - DEVIATIONS * deviation, abs(likeness - 1 - along_axes) - DEVIATIONS * deviation / 2
        )
        return float(far) - SOME_MORE

    def models(self) -> list[Labels]:
        """The topics of each model, the largest first: parts whose likeness is not that of two models are one."""
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
        """The topics, joined while two parts are alike, and until none is small: the most alike first.

        Average linkage; the average of likenesses, weighted by how much there is to compare, is that of the parts.
        """
        parts: list[list[int]] = [[number] for number in range(len(self.sizes))]
        shared, possible = self.shared.copy(), self.possible.copy()
        np.fill_diagonal(possible, 0)
        while len(parts) > 1:
            with np.errstate(divide="ignore", invalid="ignore"):
                # 0/0: nothing varies, nothing speaks against it
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
