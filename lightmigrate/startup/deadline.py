"""How long a start may take, and what is done about it in time."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from lightmigrate.errors import DeadlineError
from lightmigrate.providers.chroma import ChromaProvider

T = TypeVar("T")


class Deadline:
    """So many seconds from now.

    Args:
        seconds: `None` for no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self._started = time.monotonic()
        self._seconds = math.inf if seconds is None else seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without an end."""
        return self._seconds - self.elapsed

    def require(self, expected: float = 0.0, what: str = "") -> None:
        """Raise `DeadlineError` when so many more seconds would be too many."""
        if self.left < expected:
            raise DeadlineError(
                f"{what or 'going on'} would take {expected:.0f} s more, {max(0.0, self.left):.0f} s of "
                f"{self._seconds:.0f} s are left: nothing was migrated; allow more (max_seconds), or run it by hand"
            )

    def within(self, act: Callable[[], T], what: str) -> T:
        """What `act` returns or raises, if it does so in time.

        Raises:
            DeadlineError: it does not. Nobody can stop it; it goes on in a thread that ends with the process.
        """
        if math.isinf(self._seconds):
            return act()
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(act())
            except BaseException as error:  # of whatever kind: it is raised where it is waited for  # noqa: BLE001
                outcome.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            return outcome.result(timeout=min(max(0.0, self.left), threading.TIMEOUT_MAX))
        except TimeoutError:
            if outcome.done():
                raise
        raise DeadlineError(
            f"{what} was not done when the {self._seconds:.0f} s that were allowed had passed: nothing was migrated; "
            "allow more (max_seconds), or run it by hand"
        )


class InTime(ChromaProvider):
    """An embedding function that is not waited for longer than there is time.

    Args:
        function: as for `ChromaProvider`.
        deadline: until when.
    """

    def __init__(self, function: Any, deadline: Deadline) -> None:
        super().__init__(function)
        self._deadline = deadline

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """See `Provider.encode`."""
        ask = super().encode
        return self._deadline.within(lambda: ask(texts, queries), f"embedding {len(texts)} texts")
