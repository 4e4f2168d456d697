"""Limits of money and time for work that calls embedding models."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from lightmigrate.errors import CostError, DeadlineError
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.parallel import in_thread

T = TypeVar("T")

# Called before a model is paid, with the bill and with what it is for, as in "to measure"; raises to refuse it.
BeforePaying = Callable[[Bill, str], None]


def unasked(bill: Bill, purpose: str) -> None:
    """Pay without asking anybody."""


class SpendingLimit:
    """Dollars that may be spent on embedding, by all collections together.

    Args:
        dollars: `None` for no limit.
    """

    def __init__(self, dollars: float | None) -> None:
        self._allowed = dollars
        self._spent = self._taken = 0.0

    @property
    def spent(self) -> float:
        """Dollars that were counted so far."""
        return self._spent

    @property
    def left(self) -> float | None:
        """Dollars that may still be spent; `None` for no limit."""
        return None if self._allowed is None else max(0.0, self._allowed - self._spent)

    def pay(self, provider: Provider, dollars: float | None, purpose: str) -> None:
        """Count an expense, before it is made.

        Args:
            provider: the model that is paid for.
            dollars: the estimate of its bill; `None` when no price is known.
            purpose: what it is paid for, for the message.

        Raises:
            CostError: it exceeds what is left, or its price is not known.
        """
        if self._allowed is not None and dollars is None:
            raise CostError(
                f"the price of {provider.name} is not known, and {purpose} may cost ${self._allowed:.2f} at most: "
                "leave max_cost out, or pass calibrate=0",
                spent=self._spent,
                allowed=self._allowed,
            )
        if self._allowed is not None and self._spent + (dollars or 0.0) > self._allowed:
            raise CostError(
                f"{purpose} would cost {_money(dollars or 0.0)}, {_money(self._spent)} of {_money(self._allowed)} are "
                "spent: calibrate on fewer documents, or raise max_cost",
                spent=self._spent,
                allowed=self._allowed,
            )
        self._spent += dollars or 0.0

    def give_back(self, dollars: float | None) -> None:
        """Count no longer as spent what was paid for and not embedded after all."""
        self._spent = max(0.0, self._spent - (dollars or 0.0))

    def take(self) -> float:
        """Dollars that were counted since this was last called: what is to be counted elsewhere, too."""
        new = max(0.0, self._spent - self._taken)
        self._taken += new
        return new


def _money(dollars: float) -> str:
    """Dollars in cents, and less than ten cents in two digits."""
    few = np.format_float_positional(dollars, precision=2, fractional=False)
    return f"${dollars:.2f}" if dollars >= 0.1 or not dollars else f"${few}"


class Deadline:
    """A number of seconds from now.

    Args:
        seconds: `None` for no deadline.
    """

    def __init__(self, seconds: float | None) -> None:
        self._started = time.monotonic()
        self._seconds = math.inf if seconds is None else seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without a deadline."""
        return self._seconds - self.elapsed

    def require(self, expected: float = 0.0, action: str = "going on") -> None:
        """Raise `DeadlineError` when fewer than `expected` seconds are left for an action."""
        if self.left < expected:
            raise DeadlineError(
                f"{action} would take {expected:.0f} s, {max(0.0, self.left):.0f} s of {self._seconds:.0f} s are left: "
                "nothing was migrated; raise max_seconds (LIGHTMIGRATE_MAX_SECONDS)"
            )

    def within(self, act: Callable[[], T], action: str) -> T:
        """Call `act` and return or raise what it does, if it ends in time.

        Raises:
            DeadlineError: it does not end in time. It cannot be stopped: it goes on in a thread that ends with the
                process.
        """
        if math.isinf(self._seconds):
            return act()
        left, outcome = max(0.0, self.left), in_thread(act)
        try:
            return outcome.result(timeout=min(left, threading.TIMEOUT_MAX))
        except TimeoutError:
            if outcome.done():
                raise
        raise DeadlineError(
            f"{action} did not end within the {left:.0f} s that were left of {self._seconds:.0f} s: nothing was "
            "migrated; raise max_seconds (LIGHTMIGRATE_MAX_SECONDS)"
        )
