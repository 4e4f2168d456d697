"""How long steps say how far they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger("lightmigrate")


@dataclass(frozen=True)
class Progress:
    """One report of a long step.

    Attributes:
        step: what is being done: `copy`, `project`, `write` or `verify`.
        done: units finished: bytes for `copy`, records otherwise.
        total: units there are.
        collection: the collection at work, empty for `copy`.
    """

    step: str
    done: int
    total: int
    collection: str = ""


OnProgress = Callable[[Progress], None]


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
