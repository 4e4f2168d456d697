"""Which method for these pairs? Decided by retrieval on pairs that were left out, not by squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.arrays import Array, as_numpy
from lightmigrate.estimators.methods import Fits
from lightmigrate.quality.metrics import Ranking, search, unit

# At most so many pairs are searched among, and for.
MOST_SEARCHED = 2000

# With fewer pairs than this the measurement says nothing, and ridge is the safe choice.
FEWEST_PAIRS = 40

NEIGHBOURS = 10
RESAMPLES = 1000

# A cheaper method may find so much less of the true neighbours and still win, if chance could explain it. No more
# than that: writing to the database takes ten times as long as the dearest method, so being cheap saves little.
NEGLIGIBLE = 0.001


@dataclass(frozen=True)
class Trial:
    """One method, measured on pairs it was not fitted to.

    Attributes:
        method: its name.
        overlap: share of the true nearest neighbours that searches among the mapped vectors find.
        shortfall: how much that is less than the best method's.
        chosen: whether it won.
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
    """Searches with true vectors of the new model, among vectors that were mapped without having been seen.

    Every pair is searched for, and every pair is mapped by a fit that has not seen it: leaving one out has a
    closed form, so nothing is wasted on a test set.
    """

    def __init__(self, target: Array, seed: int) -> None:
        shuffled = np.random.default_rng(seed).permutation(len(target))
        self.rows = np.sort(shuffled[:MOST_SEARCHED])
        self.seed = seed
        self.true = as_numpy(target)[self.rows].astype(np.float32)
        self.k = min(NEIGHBOURS, max(1, len(self.rows) // 5))
        self.expected: Ranking = search(self.true, self.true, self.k)

    def overlaps(self, held_out: Array) -> npt.NDArray[np.float64]:
        """For each search, the share of its true neighbours it finds among held-out predictions `(K, d_out)`."""
        found = search(self.true, as_numpy(held_out)[self.rows].astype(np.float32), self.k)
        return np.array([np.isin(a, b).mean() for a, b in zip(self.expected, found, strict=True)])

    def overlaps_beside_exact(self, held_out: Array) -> float:
        """The mean of that where half of the pairs are exact and the others mapped, by either half."""
        mapped, odd = as_numpy(held_out).astype(np.float32), np.arange(len(held_out)) % 2 == 1
        true = np.zeros_like(mapped)
        true[self.rows] = self.true
        mixed = (np.where((odd == half)[:, None], unit(true), unit(mapped)) for half in (True, False))
        return float(np.mean([self.overlaps(both).mean() for both in mixed]))

    def certain_gain(self, more: npt.NDArray[np.float64], less: npt.NDArray[np.float64]) -> float:
        """Lower end of the 95 % bootstrap interval of the mean of `more - less`."""
        differences = more - less
        picks = np.random.default_rng(self.seed).integers(0, len(differences), (RESAMPLES, len(differences)))
        return float(np.percentile(differences[picks].mean(axis=1), 2.5))


def choose_method(fits: Fits, known: Array, searches: HeldOutSearch) -> tuple[str, list[Trial]]:
    """Search with every method's held-out predictions: the cheapest of those as good as the best wins.

    As good means: the 95 % interval of the difference, over searches, reaches zero, and the difference itself
    is negligible.

    Args:
        fits: of the pairs, to what is known already.
        known: what a prior says to the pairs, `(K, d_out)`; zero without one.
        searches: in the same pairs.
    """
    names = fits.names
    shares = {name: searches.overlaps(known + fits[name].held_out) for name in names}
    means = {name: float(share.mean()) for name, share in shares.items()}
    best = max(names, key=means.__getitem__)
    chosen = next(
        name
        for name in names
        if means[best] - means[name] <= NEGLIGIBLE and searches.certain_gain(shares[best], shares[name]) <= 0
    )
    return chosen, [Trial(name, means[name], means[best] - means[name], name == chosen) for name in names]
