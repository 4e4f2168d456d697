"""The choice of a method for some pairs, by retrieval with held-out predictions instead of squared error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.arrays import Array, as_numpy
from lightmigrate.quality.metrics import Ranking, is_ranked, search, unit
from lightmigrate.vectors import Metric

# At most so many pairs are queries and documents of the searches.
MOST_SEARCHED = 2000

# With fewer pairs the measurement is too noisy, and ridge is the safe choice.
FEWEST_PAIRS = 40

NEIGHBOURS = 10
RESAMPLES = 1000

# A cheaper method wins with an overlap that is so much lower, if the difference is not significant. Not with less:
# writing to the database takes ten times as long as the most expensive method, so a cheaper one saves little.
NEGLIGIBLE = 0.001


@dataclass(frozen=True)
class Trial:
    """One method and its held-out measurement.

    Attributes:
        method: its name.
        overlap: share of the true nearest neighbours that searches among the projected vectors find.
        shortfall: the overlap of the best method minus this one.
        chosen: whether this method was chosen.
    """

    method: str
    overlap: float
    shortfall: float
    chosen: bool

    def to_json(self) -> dict[str, Any]:
        """As the projection's header stores it."""
        return {
            "method": self.method,
            "overlap": round(self.overlap, 4),
            "shortfall": round(self.shortfall, 4),
            "chosen": self.chosen,
        }


class HeldOutSearch:
    """Searches with true vectors of the new model among held-out projected vectors.

    Every pair is a query and a document, projected by a fit without it: leaving one out has a closed form, so no
    pairs are set aside for a test.

    Args:
        target: `(K, d_out)`, the true vectors.
        seed: of the choice of pairs, when there are too many.
        metric: the distance; cosine to compare directions alone.
    """

    def __init__(self, target: Array, seed: int, metric: Metric = "cosine") -> None:
        self.metric: Metric = metric
        shuffled = np.random.default_rng(seed).permutation(len(target))
        self.rows = np.sort(shuffled[:MOST_SEARCHED])
        self.seed = seed
        self.true = as_numpy(target)[self.rows].astype(np.float32)
        self.k = min(NEIGHBOURS, max(1, len(self.rows) // 5))
        self.expected: Ranking = search(self.true, self.true, self.k, metric)

    def overlaps(self, held_out: Array) -> npt.NDArray[np.float64]:
        """For each query the share of its true neighbours found among held-out predictions `(K, d_out)`."""
        predicted = search(self.true, as_numpy(held_out)[self.rows].astype(np.float32), self.k, self.metric)
        return np.asarray(is_ranked(self.expected, predicted).mean(axis=1))

    def overlaps_beside_exact(self, held_out: Array) -> float:
        """The mean overlap where half of the pairs are exact and the others projected, over both halves."""
        projected, odd = as_numpy(held_out).astype(np.float32), np.arange(len(held_out)) % 2 == 1
        true = np.zeros_like(projected)
        true[self.rows] = self.true
        if self.metric == "cosine":
            true, projected = unit(true), unit(projected)
        mixed = (np.where((odd == half)[:, None], true, projected) for half in (True, False))
        return float(np.mean([self.overlaps(both).mean() for both in mixed]))

    def certain_gain(self, more: npt.NDArray[np.float64], less: npt.NDArray[np.float64]) -> float:
        """Lower end of the 95 % bootstrap interval of the mean of `more - less`."""
        differences = more - less
        picks = np.random.default_rng(self.seed).integers(0, len(differences), (RESAMPLES, len(differences)))
        return float(np.percentile(differences[picks].mean(axis=1), 2.5))


def choose_method(
    shares: Mapping[str, npt.NDArray[np.float64]],
    certain_gain: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], float],
) -> tuple[str, list[Trial]]:
    """Choose the cheapest method that is as good as the best, by searches with held-out predictions.

    As good means: the 95 % interval of the difference, over queries, includes zero, and the difference is negligible.

    Args:
        shares: for each method, from the cheapest to the most expensive, the overlaps of `HeldOutSearch`.
        certain_gain: that of the same searches.
    """
    means = {name: float(share.mean()) for name, share in shares.items()}
    best = max(means, key=means.__getitem__)
    chosen = next(
        name
        for name in shares
        if means[best] - means[name] <= NEGLIGIBLE and certain_gain(shares[best], shares[name]) <= 0
    )
    return chosen, [Trial(name, means[name], means[best] - means[name], name == chosen) for name in shares]
