"""How far a long step is: the one event that everything reports, and the log that hears it when nobody else does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("lightmigrate")


@dataclass(frozen=True)
class Progress:
    """One report of a long step.

    Attributes:
        step: what is being done, in a word or two: `copy`, `project`, `write`, `verify`, `embed documents`, ...
        done: units finished: bytes for `copy`, records or texts otherwise.
        total: units there are.
        collection: the collection at work, where it is one.
    """

    step: str
    done: int
    total: int
    collection: str = ""


OnProgress = Callable[[Progress], None]

# Called with what is being done, how much of it is done, and how much there is.
Report = Callable[[str, int, int], None]


def reporting(on_progress: OnProgress | None, collection: str = "") -> Report:
    """What a step calls to report how far it is; does nothing when nobody listens."""

    def report(step: str, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(Progress(step, done, total, collection))

    return report


def together(on_progress: OnProgress, total: int, collections: int) -> OnProgress:
    """Reports of several collections, worked on one after another, as one report: one progress bar instead of hundreds.

    Args:
        on_progress: receives the reports of all of them as one.
        total: records of all collections.
        collections: how many there are; reports of a single one, and of no collection, are passed on as they are.
    """
    finished: dict[str, int] = {}
    now: dict[str, tuple[str, int]] = {}

    def report(progress: Progress) -> None:
        if collections < 2 or not progress.collection:
            on_progress(progress)
            return
        collection, done = now.get(progress.step, ("", 0))
        if collection != progress.collection or done > progress.done:  # the next one begins
            finished[progress.step] = finished.get(progress.step, 0) + done
        now[progress.step] = progress.collection, progress.done
        on_progress(Progress(progress.step, min(total, finished[progress.step] + progress.done), total))

    return report


# Steps that take less time are not logged.
SECONDS_UNTIL_LOGGED = 10.0


class LogProgress:
    """The default: nothing about a step of less than ten seconds; then a line for every tenth, and one at its end.

    Args:
        clock: tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._step = ("", "")
        self._began = 0.0
        self._tenth = 0

    def __call__(self, progress: Progress) -> None:
        """Log the report if its step has taken long, and it is the first of its tenth."""
        step, now = (progress.step, progress.collection), self._clock()
        if step != self._step:
            self._step, self._began, self._tenth = step, now, -1
        tenth = 10 * progress.done // progress.total if progress.total else 10
        seconds = now - self._began
        if tenth <= self._tenth or seconds < SECONDS_UNTIL_LOGGED:
            return
        self._tenth = tenth
        named = f"{progress.step} {progress.collection}".strip()
        logger.info("%s: %d %% in %.0f s", named, 10 * tenth, seconds)
