"""Reading and working at the same time: the next pages are fetched while this one is worked on."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_S = TypeVar("_S")
_T = TypeVar("_T")


class _End:
    pass


@contextlib.contextmanager
def ahead(things: Iterable[_T]) -> Iterator[Iterator[_T]]:
    """The same things in the same order, each fetched in a thread of its own while its predecessor is worked on.

    What fetching raises is raised here, in its turn. At most two things are in memory. When the block ends, however it
    does, nothing is being fetched any more.
    """
    iterator, end = iter(things), _End()

    def fetched(reader: ThreadPoolExecutor) -> Iterator[_T]:
        coming = reader.submit(next, iterator, end)
        while not isinstance(thing := coming.result(), _End):
            coming = reader.submit(next, iterator, end)
            yield thing

    with ThreadPoolExecutor(1) as reader:
        yield fetched(reader)


@contextlib.contextmanager
def ahead_by(fetch: Callable[[_S], _T], of: Iterable[_S], at_once: int = 2) -> Iterator[Iterator[_T]]:
    """What `fetch` gives of each, in the same order, so many of them being fetched at the same time.

    A server answers one request while the answer to another is taken apart here. What fetching raises is raised here,
    in its turn. When the block ends, however it does, nothing is being fetched any more.
    """
    asked = iter(of)

    def fetched(readers: ThreadPoolExecutor) -> Iterator[_T]:
        coming = deque(readers.submit(fetch, one) for one in itertools.islice(asked, at_once))
        while coming:
            thing = coming.popleft().result()
            coming.extend(readers.submit(fetch, one) for one in itertools.islice(asked, 1))
            yield thing

    with ThreadPoolExecutor(at_once) as readers:
        yield fetched(readers)
