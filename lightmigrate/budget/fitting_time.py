"""How long a fit takes with more documents than it was measured with.

Neither in proportion nor with one power: with some hundred documents most of the time goes into choices that hardly
grow, with thousands into decompositions that grow with the cube. So what was measured once is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from lightmigrate.estimators.choose import FEWEST_PAIRS
from lightmigrate.migration.duration import machine_seconds

# What a projection learns from.
Learned = Literal["vectors", "texts", "extracts"]

# Documents (for extracts all whose extracts are known, with 300 pairs at most), and how many times as long as with
# `STANDARD` of them `auto` takes: `benchmarks/results/fit_seconds.md`, medians over the dimensions of the targets.
STANDARD = 300
TIMES: Mapping[Learned, Sequence[tuple[int, float]]] = {
    "vectors": ((100, 0.49), (300, 1), (1000, 3.79), (2000, 7.91), (4000, 35.8)),
    "texts": ((100, 0.33), (300, 1), (1000, 3.89), (2000, 6.84), (4000, 23.7)),
    "extracts": ((100, 0.144), (300, 1), (1000, 1.24), (2000, 1.71), (4000, 2.38)),
}

# Seconds that `STANDARD` documents took there, for where no such fit was measured here: to targets of so many numbers,
# on a machine whose `machine_seconds` are these.
SECONDS: Mapping[Literal["vectors", "texts"], float] = {"vectors": 0.578, "texts": 1.01}
DIMENSION, MACHINE_SECONDS = 768, 0.0245


def foreseen(learned: Literal["vectors", "texts"], measured: int, seconds: float, fitted: int, dimension: int) -> float:
    """The seconds of a fit to `fitted` documents and so many target numbers, if one to `measured` took so many.

    With fewer than 40 documents nothing but a ridge is fitted, which says nothing of what more of them take.
    """
    if measured < FEWEST_PAIRS <= fitted:
        return usual(learned, fitted, dimension)
    return seconds * growth(learned, measured, fitted)


def usual(learned: Literal["vectors", "texts"], fitted: int, dimension: int) -> float:
    """The seconds of a fit to so many documents and target numbers where none was measured. Times the machine, once."""
    scale = dimension / DIMENSION * machine_seconds() / MACHINE_SECONDS
    return SECONDS[learned] * _times(learned, fitted) * scale


def growth(learned: Learned, measured: int, fitted: int) -> float:
    """How many times as long a fit to `fitted` documents takes as one to `measured`; 1 where these are no fewer."""
    return max(1.0, _times(learned, fitted) / _times(learned, measured))


def _times(learned: Learned, documents: int) -> float:
    """Interpolated by the power between two sizes, which also continues beyond the ends."""
    pairs = list(pairwise(TIMES[learned]))
    (less, before), (more, after) = next((pair for pair in pairs if documents <= pair[1][0]), pairs[-1])
    power = math.log(after / before) / math.log(more / less)
    return before * math.pow(max(1, documents) / less, power)
