"""The retention to expect of real searches, from what searches among held-out documents show.

Two things are seen without judgements: how much of the gain of finding its own document a sentence keeps (`found`), and
how many of the nearest other documents stay the nearest (`overlap`). What people search for lies between the two: for
one particular document where the first tells more, for a topic where the second does. A sentence that finds its own
document, as all do by their own words where a projection reads texts, tells only so much of a query of a user: nothing
is certain but where the neighbours stay the same, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightmigrate.quality.retention import QualityEstimate

# Why an interval is wide however much was measured: collections on which people judged differ by so much.
NOT_JUDGED = "nobody judged what searches find here, and collections differ"

# Of a query of which nobody knows what it is to find.
NOT_KNOWN = QualityEstimate(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Expectation:
    """retention ≈ 1 - steepness·(1 - d·found)^a·(1 - overlap)^b ± error·(1 - overlap)^p.

    Attributes:
        steepness: the loss where nothing is found.
        found_weight: d, in [0, 1): how much sentences tell; 0 where nobody knows which document a query is to find.
        found_power: a.
        overlap_power: b.
        error: half of the 95 % interval where nothing is kept, of collections that the constants were not read off.
        error_power: p, > 0.
    """

    steepness: float
    found_weight: float
    found_power: float
    overlap_power: float
    error: float
    error_power: float

    def retention(self, found: float, overlap: float) -> float:
        """The retention to expect, in [0, 1]. Both arguments are in [0, 1]; what exceeds that counts as 1."""
        not_found = math.pow(1 - self.found_weight * min(1.0, found), self.found_power)
        return max(0.0, 1 - self.steepness * not_found * math.pow(max(0.0, 1 - overlap), self.overlap_power))

    def estimate(self, found: QualityEstimate, overlap: QualityEstimate, measured: str = "") -> QualityEstimate:
        """The retention with its 95 % interval: how sure the measurements are, and how sure the formula is.

        The upper end may exceed 1: projected documents are sometimes found better than embedded ones.

        Args:
            found: see `retention`, here and below.
            overlap: measured, too.
            measured: on what, in words, where `wide_by` is to tell that.
        """
        value, low, high = (self.retention(*ends) for ends in zip(found.ends, overlap.ends, strict=True))
        error = self.error * max(0.0, 1 - overlap.value) ** self.error_power
        ends = max(0.0, value - math.hypot(value - low, error)), value + math.hypot(high - value, error)
        # uncertainties that know nothing of each other add up as their squares
        squares = {measured: (value - low) ** 2 + (high - value) ** 2, NOT_JUDGED: 2 * error**2}
        width, total = ends[1] - ends[0], sum(squares.values())
        widths = {cause: width * square / total for cause, square in squares.items() if measured and total}
        return QualityEstimate.with_widths(value, *ends, widths)
