"""Where units are worked on: the seam between a migration and processes or clusters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from lightmigrate.providers.cache_file import VectorFile

Task = TypeVar("Task")
Returned = TypeVar("Returned")


def never() -> bool:
    """Nothing stops it."""
    return False


class Executor(Protocol):
    """Workers that call a function for each task, in any order."""

    @property
    def workers(self) -> int:
        """How many tasks are worked on at once; 0 for a cluster that was not asked yet."""

    def sharing(self, cache: Path) -> contextlib.AbstractContextManager[VectorFile]:
        """A cache of embeddings on this machine, as workers reach it; as long as the block lasts.

        Raises:
            LightmigrateError: they cannot.
        """

    def prepared(self, work: Callable[[Task], Returned]) -> contextlib.AbstractContextManager[None]:
        """Start workers ahead that will call a function, where that takes time; they end with the block."""

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task], stopped: Callable[[], bool] = never
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        """Work on tasks; those that fail do not stop the others.

        Args:
            work: a function of a module, which every worker can import.
            tasks: its arguments; can be pickled.
            stopped: whether no more tasks are begun; those that were begun are ended.

        Yields:
            Each task, with its result or what was raised.
        """
