"""What a threshold on a distance corresponds to in another space.

The correspondence is a quantile-quantile curve (Wilk and Gnanadesikan, Biometrika 55, 1968): a distance corresponds to
the one that lets through the same share of the pairs of a query vector and one of its nearest records. Beyond the
farthest of these pairs it goes on with pairs of random records. It is linear between two pairs, and never falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result
from lightmigrate.scores.distances import WITH_SIMILARITY, Distances
from lightmigrate.vectors import Metric, evenly

Numbers = npt.NDArray[np.float64]

# Samples of the bootstrap, and the ends of the 95 % interval.
_ROUNDS = 200
_ENDS = (0.025, 0.975)

# Query vectors of many collections that are used at most: with more the interval does not get narrower than matters.
_MOST = 2000

# Distances are float32; a threshold that was computed from one still lets it through.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ThresholdShift(Result):
    """A threshold of before, and the one that corresponds to it now.

    Both are distances as the database reports them: smaller is nearer, and a result passes if its distance is not
    larger.

    Attributes:
        threshold: of before.
        now: the one that corresponds to it: of the measured pairs of a query vector and one of its nearest records, it
            lets the same share through.
        low: lower end of the 95 % interval of `now`, by a bootstrap over the query vectors.
        high: upper end.
        outside: `nothing`: smaller than every distance that was measured, so that it let nothing through, and so does
            everything below `now`. `everything`: larger than every one, so that it let everything through, and so does
            everything above `now`. Otherwise empty.
        share: share of the pairs that the threshold let through.
        share_now: share of the pairs that `now` (or what is below it) lets through; not quite `share` where distances
            are equal.
        random: share of the pairs of random records that the threshold let through; `None` without such pairs.
        random_now: share of these pairs that `now` lets through.
        unchanged: share of the pairs of nearest records that the old threshold, unchanged, lets through now.
        similarity: 1 - `threshold`, where that is a similarity (cosine, inner product); otherwise `None`.
        similarity_now: 1 - `now`, likewise.
    """

    threshold: float
    now: float
    low: float
    high: float
    outside: Literal["", "nothing", "everything"]
    share: float
    share_now: float
    random: float | None
    random_now: float | None
    unchanged: float
    similarity: float | None
    similarity_now: float | None


def corresponding(
    thresholds: Sequence[float], measured: Sequence[tuple[Distances, Distances]], seed: int = 0
) -> tuple[ThresholdShift, ...]:
    """What corresponds to some thresholds.

    Args:
        thresholds: distances in the old space.
        measured: distances before and now, from the same query vectors; of one collection, or of several that have the
            same two metrics.
        seed: of the bootstrap.

    Raises:
        LightmigrateError: a threshold is not a finite number.
    """
    if not thresholds:
        return ()
    if (wrong := next((value for value in thresholds if not np.isfinite(value)), None)) is not None:
        raise LightmigrateError(f"{wrong} is not a threshold: give a distance as the database reports it, such as .25")
    evidence = _Evidence.of(measured)
    values = np.asarray(thresholds, np.float64)
    now = evidence.curve(np.ones(evidence.samples))
    rng, rounds = np.random.default_rng(seed), []
    for _ in range(_ROUNDS):
        drawn = rng.integers(0, evidence.samples, evidence.samples)
        rounds.append(np.interp(values, *evidence.curve(np.bincount(drawn, minlength=evidence.samples))))
    ends = np.quantile(rounds, _ENDS, axis=0)
    before, after = (distances.metric for distances in measured[0])
    return tuple(
        _described(value, evidence, now, (float(low), float(high)), before, after)
        for value, low, high in zip(values.tolist(), *ends, strict=True)
    )


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a query vector and a record: their distances `(n,)`, ascending, and the number of the query vector."""

    distances: Numbers
    samples: npt.NDArray[np.intp]

    @classmethod
    def of(cls, tables: Sequence[npt.NDArray[np.float32]]) -> _Pairs:
        distances, samples, first = [], [], 0
        for table in tables:
            distances.append(table.astype(np.float64).ravel())
            samples.append(np.repeat(np.arange(first, first + len(table)), table.shape[1]))
            first += len(table)
        joined = np.concatenate(distances)
        order = np.argsort(joined, kind="stable")
        return cls(joined[order], np.concatenate(samples)[order])

    def let_through(self, threshold: float) -> float:
        """Share of the pairs whose distance is not larger."""
        limit = threshold + _ROUNDING * abs(threshold)
        return float(np.searchsorted(self.distances, limit, side="right") / len(self.distances))

    def levels(self, weights: npt.NDArray[np.number]) -> tuple[Numbers, Numbers]:
        """The distances whose query vector has a weight, and the weighted share of the pairs up to each."""
        weighted = weights[self.samples]
        used = weighted > 0
        shares = np.cumsum(weighted[used], dtype=np.float64)
        return self.distances[used], shares / shares[-1] if len(shares) else shares


@dataclass(frozen=True)
class _Evidence:
    """All measured pairs, before and now: of nearest records, and of random ones."""

    samples: int
    near: tuple[_Pairs, _Pairs]
    random: tuple[_Pairs, _Pairs]

    @classmethod
    def of(cls, measured: Sequence[tuple[Distances, Distances]]) -> _Evidence:
        total = sum(len(before) for before, _ in measured)
        if total > _MOST:
            chosen, first, fewer = np.asarray(evenly(total, _MOST)), 0, []
            for before, now in measured:
                rows = (chosen[(chosen >= first) & (chosen < first + len(before))] - first).tolist()
                fewer.append((before.rows(rows), now.rows(rows)))
                first += len(before)
            measured, total = fewer, _MOST
        sides = list(zip(*measured, strict=True))
        near = [_Pairs.of([distances.neighbours for distances in side]) for side in sides]
        random = [_Pairs.of([distances.random for distances in side]) for side in sides]
        return cls(total, (near[0], near[1]), (random[0], random[1]))

    def curve(self, weights: npt.NDArray[np.number]) -> tuple[Numbers, Numbers]:
        """The points of the correspondence, old distances and new ones, with a weight for every query vector."""
        (old, shares), (new, new_shares) = (pairs.levels(weights) for pairs in self.near)
        corresponds = np.interp(shares, new_shares, new)
        (far_old, shares), (far_new, new_shares) = (pairs.levels(weights) for pairs in self.random)
        if len(far_old) and len(far_new):
            far = np.interp(shares, new_shares, far_new)
            beyond = (far_old > old[-1]) & (far > corresponds[-1])
            old = np.concatenate([old, far_old[beyond]])
            corresponds = np.concatenate([corresponds, far[beyond]])
        last = np.append(old[1:] > old[:-1], True)  # of equal distances the last: a threshold lets all of them through
        return old[last], corresponds[last]


def _described(
    value: float,
    evidence: _Evidence,
    curve: tuple[Numbers, Numbers],
    interval: tuple[float, float],
    before: Metric,
    after: Metric,
) -> ThresholdShift:
    old, new = curve
    outside: Literal["", "nothing", "everything"] = ""
    if value < old[0]:
        outside = "nothing"
    elif value > old[-1]:
        outside = "everything"
    now = float(np.interp(value, old, new))
    limit = float(np.nextafter(now * (1 - 2 * _ROUNDING), -np.inf)) if outside == "nothing" else now
    with_random = bool(len(evidence.random[0].distances))
    return ThresholdShift(
        threshold=value,
        now=now,
        low=min(interval[0], now),
        high=max(interval[1], now),
        outside=outside,
        share=evidence.near[0].let_through(value),
        share_now=evidence.near[1].let_through(limit),
        random=evidence.random[0].let_through(value) if with_random else None,
        random_now=evidence.random[1].let_through(limit) if with_random else None,
        unchanged=evidence.near[1].let_through(value),
        similarity=1 - value if before in WITH_SIMILARITY else None,
        similarity_now=1 - now if after in WITH_SIMILARITY else None,
    )
