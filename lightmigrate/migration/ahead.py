"""Reading and working at the same time: the next page is fetched while this one is worked on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
