"""What doing nothing keeps of what embedding everything with the new model gives: an estimate, since nobody judged.

A user decides by it: stay, project, or embed everything. The stored vectors tell how much both models agree on which
documents are near. Models that agree are about as good; of models that do not, the new one is usually the better one.
That says little, and the interval says so. What the old model finds itself (sentences and their own documents) says
less: static models find sentences best (`benchmarks/results/doing_nothing.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.quality.depth import to_collection_size
from lightmigrate.quality.metrics import Array, neighbour_overlap
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.vectors import Metric

# Documents among which the overlap of neighbours is stated, and how many neighbours are compared.
AMONG, NEIGHBOURS = 300, 10

# Why the interval is wide.
ONLY_NEIGHBOURS = "all that tells is which neighbours both models share"

# Nowhere an old model kept more.
MOST_KEPT = 1.25

# Of fewer documents so many are neighbours of each, at most one in so many.
LEAST_DOCUMENTS = 6


@dataclass(frozen=True)
class NothingCurve:
    """kept ≈ ceiling - steepness·(1 - seen)^power, at least 0, and at most the ceiling.

    Attributes:
        steepness: the loss where nothing is seen.
        power: how quickly it falls.
        ceiling: what the best old model keeps; above 1, because a new model need not be better.
        error: half of the 95 % interval, of corpora that the constants were not read off.
    """

    steepness: float
    power: float
    ceiling: float
    error: float

    def kept(self, seen: float) -> float:
        """What doing nothing keeps. `seen` is at least 0."""
        return float(min(self.ceiling, max(0.0, self.ceiling - self.steepness * max(0.0, 1 - seen) ** self.power)))


# Fitted to judgements by `benchmarks/doing_nothing.py`, which also reports the errors on corpora left out.
BY_NEIGHBOURS = NothingCurve(1.7, 4.4, 1.1, 0.41)


def expected_of_nothing(old: Array, new: Array, metric_before: Metric, metric: Metric) -> QualityEstimate:
    """What doing nothing is expected to keep; see `neighbours_kept` for the arguments."""
    value = BY_NEIGHBOURS.kept(neighbours_kept(old, new, metric_before, metric))
    low, high = max(0.0, value - BY_NEIGHBOURS.error), min(MOST_KEPT, value + BY_NEIGHBOURS.error)
    return QualityEstimate(value, low, high, {ONLY_NEIGHBOURS: 1.0})


def neighbours_kept(old: Array, new: Array, metric_before: Metric, metric: Metric) -> float:
    """How many of the nearest documents by the new model are the nearest by the old one, as among 300 documents.

    Args:
        old: `(n, d_in)`, n ≥ 3 stored vectors.
        new: `(n, d_out)`, the same documents by the new model.
        metric_before: the distance of the collection as it is.
        metric: the distance by which the new vectors are searched.
    """
    n = len(new)
    k = min(NEIGHBOURS, max(1, n // LEAST_DOCUMENTS))
    return to_collection_size(neighbour_overlap(old, new, k, metric, metric_before), k / n, NEIGHBOURS / AMONG)
