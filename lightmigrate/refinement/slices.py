"""Embeds texts in slices of a fraction of a second, so that a model on this machine leaves room for searches.

A larger slice is tried while that makes a text cheaper: a model on a server or a GPU answers many texts in the time of
one, and does not compute here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lightmigrate.errors import LightmigrateError

# A slice takes about so long, unless the time of a text falls by this factor when slices are twice as large.
SECONDS = 0.1
CHEAPER = 0.75


class StoppedError(LightmigrateError):
    """The refinement was stopped before a text was embedded."""


class Slices:
    """Calls a model with a few texts at a time.

    Args:
        quiet: waits until the next slice may begin; `False` to stop.
    """

    def __init__(self, quiet: Callable[[], bool]) -> None:
        self._quiet = quiet
        self.size = 1
        self._seconds: dict[int, float] = {}  # of a text, by the size of the slice

    def encode(self, model: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> list[Any]:
        """The vectors of some texts, in order. Calls the model.

        Raises:
            StoppedError: it was stopped.
        """
        vectors: list[Any] = []
        while len(vectors) < len(texts):
            if not self._quiet():
                raise StoppedError("the refinement was stopped")
            part = texts[len(vectors) : len(vectors) + self.size]
            started = time.monotonic()
            vectors.extend(model(part))
            if len(part) == self.size:
                self._learn(time.monotonic() - started)
        return vectors

    def _learn(self, seconds: float) -> None:
        size = self.size
        each = self._seconds[size] = seconds / size
        smaller = self._seconds.get(size // 2)
        pays = each < CHEAPER * smaller if smaller is not None else 2 * size not in self._seconds
        if seconds < 0.5 * SECONDS or pays:
            self.size = 2 * size
        elif seconds > 2 * SECONDS and size > 1:
            self.size = size // 2
