"""Embeds texts in slices of a fraction of a second, so that a model on this machine leaves room for searches.

Of the slices that are short enough, those are made that make a text cheapest, which is measured meanwhile: a model on a
server or a GPU answers many texts in the time of one, and one of 8 bits on a processor none more quickly than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lightmigrate.errors import LightmigrateError, ProviderError

# A slice takes at most about so long while searches have to be answered, and while they have not.
SECONDS, SECONDS_UNCALLED = 0.1, 1.0

# A slice of twice as many texts is tried beyond that if the last doubling made a text cheaper by this factor.
CHEAPER = 0.75

# The largest of the slices whose texts cost hardly more than the cheapest ones is taken.
AS_CHEAP = 1.05

# A neighbouring size is tried again at every so many slices: the first measurements are of a model that warms up.
TRIED_EVERY = 12


class StoppedError(LightmigrateError):
    """The refinement was stopped before a text was embedded."""


class Slices:
    """Calls a model with a few texts at a time.

    Args:
        quiet: waits until the next slice may begin; `False` to stop.
        called: whether searches have to be answered meanwhile.
    """

    def __init__(self, quiet: Callable[[], bool], called: Callable[[], bool] = lambda: True) -> None:
        self._quiet, self._called = quiet, called
        self._each: dict[int, float] = {}  # seconds for a character, by the size of the slice
        self._made = 0

    def encode(self, model: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> list[Any]:
        """The vectors of some texts, in order. Calls the model.

        Raises:
            StoppedError: it was stopped.
            ProviderError: the model answered with fewer or more vectors.
        """
        vectors: list[Any] = []
        while len(vectors) < len(texts):
            if not self._quiet():
                raise StoppedError("the refinement was stopped")
            start = len(vectors)
            size = self._size(max(1, len(texts[start])))
            part = texts[start : start + size]
            started = time.monotonic()
            answer = list(model(part))
            if len(answer) != len(part):  # the next slice would be of other texts
                raise ProviderError(
                    f"the model gave {len(answer)} vectors for {len(part)} texts: the answer was cut short; try again"
                )
            vectors.extend(answer)
            if len(part) == size:
                self._learn(part, time.monotonic() - started)
        return vectors

    def _size(self, characters: int) -> int:
        """Texts of the next slice, if each has about so many characters."""
        if not self._each:
            return 1
        seconds = (SECONDS if self._called() else SECONDS_UNCALLED) / characters
        allowed: list[int] = []
        for size, each in sorted(self._each.items()):
            pays = bool(allowed) and each < CHEAPER * self._each[allowed[-1]]
            if size == 1 or size * each <= seconds or pays:
                allowed.append(size)
        cheapest = min(self._each[size] for size in allowed)
        best = max(size for size in allowed if self._each[size] <= AS_CHEAP * cheapest)
        if best == max(self._each):
            pays = best == 1 or self._each[best] < CHEAPER * self._each[best // 2]
            return 2 * best if pays or 2 * best * self._each[best] <= seconds else best
        self._made += 1
        return 2 * best if self._made % TRIED_EVERY == 0 and 2 * best in allowed else best

    def _learn(self, part: Sequence[str], seconds: float) -> None:
        each = seconds / max(1, sum(map(len, part)))
        before = self._each.get(len(part))
        self._each[len(part)] = each if before is None else 0.5 * (before + each)
