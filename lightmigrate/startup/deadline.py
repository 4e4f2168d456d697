"""How long a start may take, and what is done about it in time."""

from __future__ import annotations

import math
import time

from lightmigrate.errors import DeadlineError


class Deadline:
    """So many seconds from now.

    Args:
        seconds: `None` for no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self._started = time.monotonic()
        self._seconds = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without an end."""
        return math.inf if self._seconds is None else self._seconds - self.elapsed

    def require(self, expected: float = 0.0, what: str = "") -> None:
        """Raise `DeadlineError` when so many more seconds would be too many."""
        if self.left < expected:
            raise DeadlineError(
                f"{what or 'going on'} would take {expected:.0f} s more, {max(0.0, self.left):.0f} s of "
                f"{self._seconds:.0f} s are left: nothing was migrated; allow more (max_seconds), or run it by hand"
            )
