"""Distances that were measured in one space: from some vectors to their nearest neighbours and to random records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.results import Result
from lightmigrate.vectors import Metric, Vectors

# Random records for each query vector.
RANDOM = 5

# Metrics whose distance is 1 - similarity; see `Metric`.
WITH_SIMILARITY: tuple[Metric, ...] = ("cosine", "ip")

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Quantiles(Result):
    """Quantiles of some distances, named by the percentage of the distances that are not larger."""

    p5: float
    p25: float
    median: float
    p75: float
    p95: float

    @classmethod
    def of(cls, distances: Vectors) -> Quantiles:
        """Of at least one distance, in an array of any shape."""
        return cls(*(float(value) for value in np.quantile(distances, _SHARES)))


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances in one space, as `Metric` defines them; two are equal only if they are the same object.

    Attributes:
        metric: the distance function.
        neighbours: from each of s query vectors to its k nearest records, without itself, nearest first; float32
            `(s, k)`.
        random: from each to r random records; float32 `(s, r)`; r is 0 where there are none.
    """

    metric: Metric
    neighbours: Vectors
    random: Vectors

    def __len__(self) -> int:
        return len(self.neighbours)

    def rows(self, rows: Sequence[int]) -> Distances:
        """Those from some of the query vectors."""
        return Distances(self.metric, self.neighbours[list(rows)], self.random[list(rows)])

    @property
    def nearest(self) -> Quantiles:
        """Of the distances to the nearest record."""
        return Quantiles.of(self.neighbours[:, 0])

    @property
    def farthest(self) -> Quantiles:
        """Of the distances to the last of the k nearest records."""
        return Quantiles.of(self.neighbours[:, -1])

    def to_json(self) -> dict[str, Any]:
        """The quantiles, in plain JSON values."""
        return {
            "metric": self.metric,
            "nearest": self.nearest.to_json(),
            "farthest": self.farthest.to_json(),
            "neighbours": self.neighbours.shape[1],
            "random": Quantiles.of(self.random).to_json() if self.random.size else None,
        }


def random_pairs(count: int) -> list[list[int]]:
    """For each of `count` sampled records the numbers of other ones, the same in every space.

    Not the next ones: these may be other parts of the same document.
    """
    steps = sorted({round((step + 1) * count / (2 * (RANDOM + 1))) for step in range(RANDOM)} - {0})
    return [[(row + step) % count for step in steps] for row in range(count)]
