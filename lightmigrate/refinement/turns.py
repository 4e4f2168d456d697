"""When a refinement may do its next small piece of work, and how large that may be, so that searches hardly wait.

Measured with Chroma 1.5.9 in the application's process: writing a vector in place of another takes 4 to 7 ms, up to
five times as long as adding one, and every thread of the process waits meanwhile. So pieces are made as large as fits
into a time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol

from lightmigrate.stores.serving import Served

# Rows compared and written at once, at most.
ROWS_AT_ONCE = 64

# A piece that searches have to wait for takes about so many seconds while the application is calling, and while it is
# not; one that they need not wait for, so many. Fewer rows at once would take hardly less time, and in all much more:
# each write waits for the disk.
SECONDS_CALLED, SECONDS_NOT_CALLED, SECONDS_UNNOTICED = 0.05, 0.1, 0.5
FEWEST_ROWS = 8

# While the application is calling, the next piece waits at most so long, so that constant traffic does not stop the
# work; and when it called within the last few seconds, pieces and rests take turns.
MOST_SECONDS_TO_WAIT, SECONDS_CALLING = 0.5, 2.0
CHECKED_EVERY = 0.005


class Turns(Protocol):
    """Who decides when the next piece of work begins."""

    def next(self) -> int:
        """Wait for the next piece; its number of rows, or 0 to stop."""

    def own(self) -> contextlib.AbstractContextManager[None]:
        """Around calls of the database."""

    def took(self, rows: int, seconds: float) -> None:
        """Learn how long writing some rows took."""


class AtOnce:
    """Nobody has to be waited for."""

    def next(self) -> int:
        """All that is compared at once."""
        return ROWS_AT_ONCE

    def own(self) -> contextlib.AbstractContextManager[None]:
        """Nothing has to be observed."""
        return contextlib.nullcontext()

    def took(self, rows: int, seconds: float) -> None:
        """Nothing depends on it."""


class GivingWay:
    """Gives way to the application's calls, and can be paused and stopped by other threads."""

    def __init__(self) -> None:
        self._served: Served | None = None
        self._seconds_of_a_row = SECONDS_CALLED / FEWEST_ROWS
        self._rest = 0.0
        self._stopped = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def serve(self, served: Served) -> None:
        """From now on, work on this database beside its application."""
        self._served = served

    @property
    def stopped(self) -> bool:
        """Whether the work is to end."""
        return self._stopped.is_set()

    @property
    def paused(self) -> bool:
        """Whether the work rests until `resume`."""
        return not self._running.is_set()

    def stop(self) -> None:
        """End the work after the present piece."""
        self._stopped.set()
        self._running.set()

    def pause(self) -> None:
        """Rest after the present piece."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until stopped; whether the work goes on."""
        return not self._stopped.wait(seconds)

    def quiet(self) -> bool:
        """Wait while the application waits for an answer, and while paused; whether the work goes on."""
        self._running.wait()
        if (served := self._served) is None:
            return not self.stopped
        waited_until = time.monotonic() + MOST_SECONDS_TO_WAIT
        while served.calls_under_way() and time.monotonic() < waited_until and not self.stopped:
            self._stopped.wait(CHECKED_EVERY)
        if served.seconds_since_call() < SECONDS_CALLING:
            self._stopped.wait(self._rest)
        self._rest = 0.0
        return not self.stopped

    def next(self) -> int:
        """Wait for the next piece; its number of rows, or 0 to stop."""
        if not self.quiet():
            return 0
        target = SECONDS_UNNOTICED
        if self._served is not None and self._served.blocks_searches:
            is_called = self._served.seconds_since_call() < SECONDS_CALLING
            target = SECONDS_CALLED if is_called else SECONDS_NOT_CALLED
        return max(FEWEST_ROWS, min(ROWS_AT_ONCE, int(target / self._seconds_of_a_row)))

    def own(self) -> contextlib.AbstractContextManager[None]:
        """See `Served.own`."""
        return contextlib.nullcontext() if self._served is None else self._served.own()

    def took(self, rows: int, seconds: float) -> None:
        """Expect of the next rows what these took, and what was expected of these."""
        self._rest = seconds
        if rows:
            self._seconds_of_a_row = 0.5 * (self._seconds_of_a_row + max(seconds, 1e-6) / rows)
