"""How many texts a model on this machine is given at once: as many as make a text cheapest, measured meanwhile.

A GPU answers many texts in the time of one. A model of 8 bits on a processor takes 5 ms for a text of sixty words in
calls of four, and 7 in calls of 64 (all-MiniLM-L6-v2 on two cores; `benchmarks/call_size.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

# A call of twice as many texts is tried beyond the time that there is if the last doubling made a text cheaper by this
# factor.
CHEAPER = 0.75

# The largest of the calls whose texts cost hardly more than the cheapest ones is taken.
AS_CHEAP = 1.05

# A neighbouring size is tried again at every so many calls: the first measurements are of a model that warms up.
TRIED_EVERY = 12


class CallSize:
    """The number of texts of a call, a power of two, by what calls took before.

    Texts of about one length are compared with each other: a short one costs more for each of its characters.
    """

    def __init__(self) -> None:
        self._by_length: dict[int, dict[int, float]] = {}  # seconds for a character, by length and by texts of the call
        self._asked = 0

    def texts(self, characters: int, seconds: float = math.inf) -> int:
        """How many texts the next call should have.

        Args:
            characters: of the longest of them.
            seconds: that it may take, unless a longer one makes a text much cheaper.
        """
        length = _length(characters)
        known = self._by_length.get(length)
        if known is None:
            if not self._by_length:
                return 1
            return _best(self._by_length[min(self._by_length, key=lambda other: abs(other - length))])
        seconds /= max(1, characters)
        allowed: list[int] = []
        for size, each in sorted(known.items()):
            pays = bool(allowed) and each < CHEAPER * known[allowed[-1]]
            if not allowed or size * each <= seconds or pays:
                allowed.append(size)
        best = _best({size: known[size] for size in allowed})
        if best == max(known):
            pays = best == 1 or (best // 2 in known and known[best] < CHEAPER * known[best // 2])
            return 2 * best if pays or 2 * best * known[best] <= seconds else best
        self._asked += 1
        return 2 * best if self._asked % TRIED_EVERY == 0 and 2 * best in allowed else best

    def learn(self, texts: Sequence[str], seconds: float) -> None:
        """Learn from a call, of the power of two that is nearest: there are not always as many texts as asked for."""
        if not texts:
            return
        known = self._by_length.setdefault(_length(max(map(len, texts))), {})
        size, each = 1 << round(math.log2(len(texts))), seconds / max(1, sum(map(len, texts)))
        before = known.get(size)
        known[size] = each if before is None else 0.5 * (before + each)


def _length(characters: int) -> int:
    return max(1, characters).bit_length()


def _best(known: dict[int, float]) -> int:
    """The largest number of texts of which one costs hardly more than where it is cheapest."""
    cheapest = min(known.values())
    return max(size for size, each in known.items() if each <= AS_CHEAP * cheapest)
