"""Timestamps in the names of backups: `YYYYMMDD_HHMMSS`, local time, with `_2`, `_3`, ... in the same second."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

_TIMESTAMP = re.compile(r"(\d{8}_\d{6})(?:_(\d+))?")


def is_timestamp(text: str) -> bool:
    """Whether the text has the form that `next_timestamp` returns."""
    return _TIMESTAMP.fullmatch(text) is not None


def order(text: str) -> tuple[str, int]:
    """Sort key of timestamps, by time; other texts sort first."""
    match = _TIMESTAMP.fullmatch(text)
    return (match[1], int(match[2] or 1)) if match else ("", 0)


def next_timestamp(taken: Iterable[str], number: int = 1) -> str:
    """The present time, but always later than all of `taken`, also when the clock was set back.

    Args:
        taken: timestamps; other texts are passed over.
        number: in the second; so many more than that of the latest one in the same second.
    """
    stamp = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
    latest, last = max(map(order, taken), default=("", 0))
    if latest >= stamp:
        stamp, number = latest, last + number
    return f"{stamp}_{number}" if number > 1 else stamp
