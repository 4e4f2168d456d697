"""Fetch the next items in threads while the caller processes the present one."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lightmigrate.threads import core_left

_S = TypeVar("_S")
_T = TypeVar("_T")


class _End:
    pass


@contextlib.contextmanager
def read_ahead(things: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """The same items in the same order, each fetched in a thread while the caller processes the previous one.

    An error while fetching an item is raised in its place. At most two items are in memory. When the block ends, with
    or without an error, no fetch is running. Matrix products leave the thread a core.
    """
    iterator, end = iter(things), _End()

    def fetched(reader: ThreadPoolExecutor) -> Iterator[_T]:
        pending = reader.submit(next, iterator, end)
        while not isinstance(item := pending.result(), _End):
            pending = reader.submit(next, iterator, end)
            yield item

    with core_left(), ThreadPoolExecutor(1) as reader:
        yield fetched(reader)


@contextlib.contextmanager
def read_ahead_by(fetch: Callable[[_S], _T], of: Iterable[_S], at_once: int = 2) -> Iterator[Iterator[_T]]:
    """What `fetch` returns for each item, in the same order; `at_once` fetches run at the same time.

    A server answers one request while this process decodes the answer to another. An error while fetching an item is
    raised in its place. When the block ends, with or without an error, no fetch is running.
    """
    requests = iter(of)

    def fetched(readers: ThreadPoolExecutor) -> Iterator[_T]:
        pending = deque(readers.submit(fetch, request) for request in itertools.islice(requests, at_once))
        while pending:
            item = pending.popleft().result()
            pending.extend(readers.submit(fetch, request) for request in itertools.islice(requests, 1))
            yield item

    with ThreadPoolExecutor(at_once) as readers:
        yield fetched(readers)
