"""Makes the next item in a thread while the caller uses the present one, and leaves no thread that holds up an exit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

_T = TypeVar("_T")

CHECKED_EVERY = 0.2


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextlib.contextmanager
def made_ahead(items: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """The same items, made in a daemon thread, at most two of them ahead of the caller.

    An error is raised in the place of an item. At the end of the block no item is made any more, once the one that is
    being made is finished; the block waits for that.
    """
    ready: Queue[_T | _End] = Queue(maxsize=1)
    ended = threading.Event()

    def put(item: _T | _End) -> bool:
        while not ended.is_set():
            with contextlib.suppress(Full):
                ready.put(item, timeout=CHECKED_EVERY)
                return True
        return False

    def make() -> None:
        error = None
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as raised:  # raised again in the thread that waits  # noqa: BLE001
            error = raised
        put(_End(error))

    def made() -> Iterator[_T]:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    maker = threading.Thread(target=make, name="lightmigrate-embed", daemon=True)
    maker.start()
    try:
        yield made()
    finally:
        ended.set()
        with contextlib.suppress(Empty):
            ready.get_nowait()
        maker.join()
