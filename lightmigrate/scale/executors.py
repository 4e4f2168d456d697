"""Where units are worked on: the seam between a migration and processes or clusters.

To add a kind of cluster, write a module with an executor and list its scheme here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, cast

from lightmigrate.errors import LightmigrateError

Task = TypeVar("Task")
Returned = TypeVar("Returned")

# The executor of each scheme: `MODULE:CLASS`, which is called with the address.
_CLUSTERS: Mapping[str, str] = {"ray": "lightmigrate.scale.ray_tasks:RayTasks"}


class Executor(Protocol):
    """Workers that call a function for each task, in any order."""

    @property
    def workers(self) -> int:
        """How many tasks are worked on at once; 0 for a cluster that was not asked yet."""

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        """Work on tasks; those that fail do not stop the others.

        Args:
            work: a function of a module, which every worker can import.
            tasks: its arguments; can be pickled.

        Yields:
            Each task, with its result or what was raised.
        """


def open_cluster(address: str) -> Executor:
    """The executor of a cluster, such as `ray` or `ray://HOST:10001`. Connects to nothing yet.

    Raises:
        LightmigrateError: no such kind of cluster is known.
        MissingExtraError: its package is not installed.
    """
    scheme = address.partition("://")[0]
    if scheme not in _CLUSTERS:
        raise LightmigrateError(f"{scheme} is no cluster that is known: {', '.join(_CLUSTERS)}, as ray://HOST:10001")
    module, _, name = _CLUSTERS[scheme].partition(":")
    return cast(Executor, getattr(importlib.import_module(module), name)(address))
