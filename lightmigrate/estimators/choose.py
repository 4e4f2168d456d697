"""Which method for these pairs? Decided by retrieval on pairs that were left out, not by squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.methods import METHODS, Pairs
from lightmigrate.quality.metrics import search

# Share of the pairs that is left out to measure on, and at most how many.
LEFT_OUT, MOST_LEFT_OUT = 0.25, 500

# With fewer pairs than this the measurement says nothing, and ridge is the safe choice.
FEWEST_PAIRS = 40

NEIGHBOURS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Trial:
    """One method, measured on pairs it was not fitted to.

    Attributes:
        method: its name.
        overlap: share of the true nearest neighbours that searches among the mapped vectors find.
        shortfall: how much that is less than the best method's, with the upper end of its 95 % interval.
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


def choose_method(pairs: Pairs) -> tuple[str, list[Trial]]:
    """Fit every method to most pairs and search for the others: the cheapest of the best wins.

    A search is a true vector of the new model; it is answered from the mapped vectors of the left-out
    pairs and compared with the answer from their true vectors. A method is as good as the best one when
    the 95 % interval of their difference, over searches, reaches zero.

    Returns:
        The name of the method, and all trials in the order of their cost. No trials for few pairs.
    """
    if len(pairs) < FEWEST_PAIRS:
        return "ridge", []
    shuffled = np.random.default_rng(pairs.seed).permutation(len(pairs))
    left_out = shuffled[: min(MOST_LEFT_OUT, int(LEFT_OUT * len(pairs)))]
    fitted, measured = pairs.take(shuffled[len(left_out) :]), pairs.take(left_out)
    k = min(NEIGHBOURS, max(1, len(left_out) // 5))
    expected = search(measured.target, measured.target, k)
    names = [name for name in METHODS if name != "lexical" or pairs.texts is not None]
    shares = {}
    for name in names:
        step, _ = METHODS[name](fitted)
        found = search(measured.target, step.apply(measured.source.astype(np.float32), measured.texts), k)
        shares[name] = np.array([np.isin(a, b).mean() for a, b in zip(expected, found, strict=True)])
    best = max(names, key=lambda name: float(shares[name].mean()))
    shortfalls = {name: _interval(shares[best] - shares[name], pairs.seed) for name in names}
    chosen = next(name for name in names if shortfalls[name][0] <= 0)
    trials = [Trial(name, float(shares[name].mean()), shortfalls[name][1], name == chosen) for name in names]
    return chosen, trials


def _interval(differences: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Lower end of the 95 % bootstrap interval of the mean, and the mean."""
    picks = np.random.default_rng(seed).integers(0, len(differences), (RESAMPLES, len(differences)))
    return float(np.percentile(differences[picks].mean(axis=1), 2.5)), float(differences.mean())
