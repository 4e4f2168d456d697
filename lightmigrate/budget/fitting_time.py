"""How much longer a fit takes with more documents than it was measured with.

Neither in proportion nor with one power: with some hundred documents most of the time goes into choices that hardly
grow, with thousands into decompositions that grow with the cube. So what was measured once is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

# What a projection learns from.
Learned = Literal["vectors", "texts"]

# Documents, and how many times as long as with `STANDARD` of them `auto` takes: `benchmarks/results/fit_seconds.md`,
# medians over dimensions of the targets. Beyond the ends the nearest power continues.
STANDARD = 300
TIMES: Mapping[Learned, Sequence[tuple[int, float]]] = {
    "vectors": ((300, 1.0), (1000, 3.13)),
    "texts": ((300, 1.0), (1000, 4.13)),
}


def growth(learned: Learned, measured: int, fitted: int) -> float:
    """How many times as long a fit to `fitted` documents takes as one to `measured`; 1 where these are no fewer."""
    return max(1.0, _times(learned, fitted) / _times(learned, measured))


def _times(learned: Learned, documents: int) -> float:
    """Interpolated by the power between two sizes, which also continues beyond the ends."""
    pairs = list(pairwise(TIMES[learned]))
    (less, before), (more, after) = next((pair for pair in pairs if documents <= pair[1][0]), pairs[-1])
    power = math.log(after / before) / math.log(more / less)
    return before * math.pow(max(1, documents) / less, power)
