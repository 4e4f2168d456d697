"""A database while an application of this process serves from it: shared with the application, and its calls observed.

Work beside a serving application has to use what the application opened: another engine on the same files would neither
see its writes nor be seen by it. And it has to give way: the application's calls come first.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lightmigrate.stores.base import Store


@dataclass(frozen=True)
class Found:
    """Records that a search of the application returned.

    Attributes:
        collection: the store's own id of the collection; see `CollectionFacts.id`.
        ids: of the records, nearest first.
    """

    collection: str
    ids: Sequence[str]


class Served(Protocol):
    """An open database, as the application of this process has it open. Several threads may use it at once."""

    @property
    def store(self) -> Store:
        """The database through the application's own engine or connection. Closing it closes nothing."""

    @property
    def closed(self) -> bool:
        """Whether the application has closed the database."""

    @property
    def blocks_searches(self) -> bool:
        """Whether searches may have to wait until a write has ended."""

    def own(self) -> contextlib.AbstractContextManager[None]:
        """Around calls that are not the application's: they are not observed, and closing waits for their end.

        Raises:
            DatabaseError: the application has closed the database.
        """

    def calls_under_way(self) -> int:
        """Number of calls of the application that have not returned yet."""

    def seconds_since_call(self) -> float:
        """Seconds since the last call of the application began; infinite before the first."""

    def found(self) -> list[Found]:
        """What searches returned since this was last called, the newest last; the oldest are dropped when many wait."""

    def release(self) -> None:
        """Stop observing; the application's objects are as they were."""


class Unobserved:
    """A database whose store cannot observe the application. See `Served`.

    Args:
        store: the open database.
    """

    blocks_searches = False
    closed = False

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def store(self) -> Store:
        """The open database."""
        return self._store

    def own(self) -> contextlib.AbstractContextManager[None]:
        """Nothing is observed, so nothing has to be left out."""
        return contextlib.nullcontext()

    def calls_under_way(self) -> int:
        """None that is known."""
        return 0

    def seconds_since_call(self) -> float:
        """Infinite: none is known."""
        return math.inf

    def found(self) -> list[Found]:
        """Nothing that is known."""
        return []

    def release(self) -> None:
        """Do nothing."""
