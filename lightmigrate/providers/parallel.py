"""Calls of one model at the same time: a server answers several requests in the time of one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain, islice
from typing import TypeVar

from lightmigrate.errors import BusyError
from lightmigrate.progress import logger
from lightmigrate.providers.busy import unlimited

_T = TypeVar("_T")

# Calls of a server at the same time. OpenAI's lowest tier takes 3,000 calls a minute.
CALLS_AT_ONCE = 4

# Seconds to wait for a busy server that does not say how long, and at most, before it is asked by one call at a time.
SECONDS_BUSY, MOST_SECONDS_BUSY = 1.0, 30.0


class ParallelCalls:
    """Makes calls of one model, some of them at the same time.

    Args:
        most: calls at the same time; 1 for a model that computes in this process.

    Attributes:
        most: becomes 1 when the server says that it is busy.
        left: the seconds that may still be waited for a busy server.
    """

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.left: Callable[[], float] = unlimited

    def run(self, acts: Iterable[Callable[[], _T]]) -> Iterator[_T]:
        """What the acts return, as they end.

        A failure is raised when the calls that were under way have ended and what they returned was yielded, because it
        is paid for. After `BusyError` the calls that failed with it are made again, one at a time, and so are all
        others of this object from then on.
        """
        left, again = iter(acts), list[Callable[[], _T]]()
        if self.most > 1:
            yield from self._at_once(left, again)
        for act in chain(again, left):
            yield act()

    def _at_once(self, left: Iterator[Callable[[], _T]], again: list[Callable[[], _T]]) -> Iterator[_T]:
        """Make calls at the same time; ends without a failure when all have ended, or when the server is busy."""
        under_way: dict[Future[_T], Callable[[], _T]] = {}
        failure: BaseException | None = None
        while True:
            if failure is None:
                under_way |= {in_thread(act): act for act in islice(left, self.most - len(under_way))}
            if not under_way:
                break
            for ended in wait(under_way, return_when=FIRST_COMPLETED).done:
                act = under_way.pop(ended)
                error = ended.exception()
                if error is None:
                    yield ended.result()
                    continue
                if isinstance(error, BusyError):
                    again.append(act)
                if failure is None or isinstance(failure, BusyError):
                    failure = error
        if isinstance(failure, BusyError):
            seconds = min(SECONDS_BUSY if failure.seconds is None else failure.seconds, MOST_SECONDS_BUSY)
            if seconds > self.left():
                raise failure
            logger.info("the model's server is busy: going on in %.0f s, with one call at a time", seconds)
            self.most = 1
            time.sleep(seconds)
        elif failure is not None:
            raise failure


def in_thread(act: Callable[[], _T]) -> Future[_T]:
    """Begin an act in a thread of its own, which does not keep the process from ending."""
    outcome: Future[_T] = Future()

    def run() -> None:
        try:
            outcome.set_result(act())
        except BaseException as error:  # raised again in the thread that waits  # noqa: BLE001
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome
