"""How far a long step is: the one event that everything reports, and the log that hears it when nobody else does."""

from __future__ import annotations

import logging
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


class LogProgress:
    """The default: one log line for every tenth of a step."""

    def __init__(self) -> None:
        self._logged: tuple[str, str, int] | None = None

    def __call__(self, progress: Progress) -> None:
        """Log the report if it is the first of its tenth."""
        tenth = 10 * progress.done // progress.total if progress.total else 10
        now = (progress.step, progress.collection, tenth)
        if now != self._logged:
            self._logged = now
            logger.info("%s %s %d %%", progress.step, progress.collection, 10 * tenth)
