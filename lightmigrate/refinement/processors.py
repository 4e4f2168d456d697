"""The model and the database take turns, where the model computes on the processors that writing needs.

Threads of a model wait for each other without letting go of their processors, and each step of it waits for the
slowest one: with a writer beside them, on as many processors, both take longer than one after the other.
"""

from __future__ import annotations

import contextlib
import os
import threading

# Of all processors the share that a model takes which computes on them; one on a GPU or a server takes hardly any. And
# how much of what was learned of earlier calls counts beside the last one.
TAKEN, REMEMBERED = 0.6, 0.7

# Calls that take less say nothing: the clock of the processor may be as coarse.
MEASURABLE_SECONDS = 0.01


class Processors:
    """Lets either the model or the database work, unless the model turns out to compute elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._share = 1.0

    def taken(self) -> contextlib.AbstractContextManager[object]:
        """Around a call of the model, or of the database. It may be taken again within itself."""
        return self._lock if self._share >= TAKEN else contextlib.nullcontext()

    def learn(self, seconds: float, processor_seconds: float) -> None:
        """Learn from a call of the model: how long it took, and the seconds of all processors meanwhile."""
        if seconds >= MEASURABLE_SECONDS:
            share = min(1.0, processor_seconds / seconds / (os.cpu_count() or 1))
            self._share = REMEMBERED * self._share + (1 - REMEMBERED) * share
