"""When a refinement may do its next small piece of work, and how large that may be, so that searches hardly wait.

Measured with Chroma 1.5.9 in the application's process: writing vectors in place of others takes 2 to 5 ms for each,
and for each piece, however small, 20 to 100 ms more on a disk that others use, too; every thread of the process waits
meanwhile, the model's too. So pieces are made as large as fits into a time, and never so small that most of it is lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from lightmigrate.refinement.processors import Processors
from lightmigrate.stores.serving import Served

# Rows compared and written at once where nobody has to be waited for, and at most.
ROWS_AT_ONCE, MOST_ROWS = 64, 512

# A piece that searches have to wait for takes about so many seconds while the application is calling; one that nobody
# waits for, so many.
SECONDS_CALLED, SECONDS_NOT_CALLED = 0.05, 0.5
FEWEST_ROWS = 8

# How much of what was learned of earlier pieces counts beside the last one.
REMEMBERED = 0.8

# While the application is calling, the next piece waits at most so long, so that constant traffic does not stop the
# work; and when it called within the last few seconds, pieces and rests take turns.
MOST_SECONDS_TO_WAIT, SECONDS_CALLING = 0.5, 2.0
CHECKED_EVERY = 0.005


# Rows that are embedded and recorded together: at first; at most; and in a time. Texts of like length are embedded
# together, a call of a server takes as long for many, and large pieces are written quicker; but rows that searches
# returned wait until a batch has ended.
BATCH, MOST_OF_BATCH, SECONDS_OF_BATCH = 64, 512, 8.0


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


class PieceTimes:
    """How long writing takes, for a piece and for each of its rows, from the pieces so far."""

    def __init__(self) -> None:
        # sums over the pieces, of which older ones count less: of 1, rows, seconds, rows * rows, rows * seconds
        self._sums = [0.0] * 5

    def add(self, rows: int, seconds: float) -> None:
        """Learn from a piece."""
        new = (1.0, rows, seconds, rows * rows, rows * seconds)
        self._sums = [REMEMBERED * before + now for before, now in zip(self._sums, new, strict=True)]

    def rows_in(self, seconds: float) -> int:
        """The rows of a piece that takes so long; more where less than half of that would be spent on its rows."""
        pieces, rows, taken, squares, products = self._sums
        if not pieces:
            return FEWEST_ROWS
        spread = pieces * squares - rows * rows
        if spread < 1e-3 * rows * rows:  # all of one size: another one shows what a row takes, and what a piece does
            usual, fitting = rows / pieces, max(2.0 * FEWEST_ROWS, seconds * rows / max(taken, 1e-6))
            return int(min(MOST_ROWS, 2 * usual if 0.7 * usual < fitting < 1.4 * usual else fitting))
        of_row = max(1e-6, (pieces * products - rows * taken) / spread)
        of_piece = max(0.0, (taken - of_row * rows) / pieces)
        return int(max(FEWEST_ROWS, min(MOST_ROWS, max(seconds - of_piece, of_piece) / of_row)))


class BatchSize:
    """How many rows are embedded together.

    Args:
        rows_per_second: the pace; `None` for as fast as it goes.
    """

    def __init__(self, rows_per_second: float | None) -> None:
        self._most = MOST_OF_BATCH if rows_per_second is None else max(1, min(BATCH, int(5 * rows_per_second)))
        self.rows = min(BATCH, self._most)

    def took(self, rows: int, seconds: float, affordable: int = MOST_OF_BATCH) -> None:
        """Learn how long some rows took to embed; twice as many, or `affordable`, are the most that follow."""
        fitting = int(SECONDS_OF_BATCH * rows / max(seconds, 1e-6))
        self.rows = min(self._most, max(BATCH, min(fitting, 2 * rows, affordable)))


class GivingWay:
    """Gives way to the application's calls, and can be paused and stopped by other threads.

    Attributes:
        processors: lets either the model or the database work, where both need the same.
    """

    def __init__(self) -> None:
        self.processors = Processors()
        self._served: Served | None = None
        self._times = PieceTimes()
        self._largest = FEWEST_ROWS
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
        # what was learned of small pieces does not tell how long one of many times their size takes
        return min(self._times.rows_in(SECONDS_CALLED if self.called else SECONDS_NOT_CALLED), 2 * self._largest)

    @property
    def called(self) -> bool:
        """Whether the application is calling these days, and has to wait for what is written."""
        served = self._served
        return served is not None and served.blocks_searches and served.seconds_since_call() < SECONDS_CALLING

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """See `Served.own`; the model may have to wait meanwhile."""
        with self.processors.taken(), contextlib.nullcontext() if self._served is None else self._served.own():
            yield

    def took(self, rows: int, seconds: float) -> None:
        """Expect of the next rows what these took, and what was expected of these."""
        self._rest = seconds
        if rows:
            self._largest = max(self._largest, min(rows, MOST_ROWS // 2))
            self._times.add(rows, seconds)
