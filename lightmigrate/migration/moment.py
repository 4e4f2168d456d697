"""The moment in a backup's name: `YYYYMMDD_HHMMSS` in local time, with `_2`, `_3`, ... for others of that second."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

_MOMENT = re.compile(r"(\d{8}_\d{6})(?:_(\d+))?")


def is_moment(text: str) -> bool:
    """Whether `next_moment` could have said this."""
    return _MOMENT.fullmatch(text) is not None


def order(text: str) -> tuple[str, int]:
    """Sorts moments by time; what is none comes first."""
    found = _MOMENT.fullmatch(text)
    return (found[1], int(found[2] or 1)) if found else ("", 0)


def next_moment(taken: Iterable[str]) -> str:
    """Now, and after all that are taken, also when the clock was put back: the last one is the newest."""
    stamp, number = datetime.datetime.now().strftime("%Y%m%d_%H%M%S"), 1
    latest, last = max(map(order, taken), default=("", 0))
    if latest >= stamp:
        stamp, number = latest, last + 1
    return f"{stamp}_{number}" if number > 1 else stamp
