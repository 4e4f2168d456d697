"""Waits for a model that is busy: whatever answers it, a server or a function in this process that calls one."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

from lightmigrate.errors import BusyError
from lightmigrate.progress import logger

_T = TypeVar("_T")

# As often, and as long, as OpenAI's official client: half a second before the second try, doubled each time up to 8
# seconds and shortened by a random share of up to a quarter; or as long as the model says, if that is a minute at most.
RETRIES = 6
_FIRST, _MOST, _SHORTER, _MOST_SAID = 0.5, 8.0, 0.25, 60.0


def unlimited() -> float:
    """Seconds that are left where nobody set a limit."""
    return math.inf


def again_while_busy(act: Callable[[], _T], name: str, retries: int, left: Callable[[], float] = unlimited) -> _T:
    """What an act returns, called again while the model is busy.

    Args:
        act: calls the model.
        name: of the model, for the log.
        retries: how often it is called again, at most.
        left: the seconds that may still be waited: a longer wait is not begun.

    Raises:
        BusyError: the model is busy every time, or there is no time to wait for it.
    """
    started = time.monotonic()
    for tried in range(1, retries + 2):
        try:
            return act()
        except BusyError as error:
            seconds = _pause(tried, error.seconds)
            if tried > retries or seconds > left():
                if not retries:
                    raise
                waited = time.monotonic() - started
                message = f"{error}; it was busy at {tried} of {retries + 1} tries, in {waited:.0f} s: go on later"
                raise BusyError(message, seconds=error.seconds) from None
            logger.info("%s is busy: trying again in %.0f s, %d of %d times", name, seconds, tried, retries)
            time.sleep(seconds)
    raise AssertionError("unreachable")


def _pause(tried: int, said: float | None) -> float:
    """The seconds to wait after so many tries, where the model said how long, or did not."""
    if said is not None and said <= _MOST_SAID:
        return said
    return min(_FIRST * 2.0 ** (tried - 1), _MOST) * (1 - _SHORTER * random.random())  # noqa: S311  # no secret
