"""Units are worked on by tasks of a Ray cluster, one task each; see `executor`. Loads ray.

Ray tasks, not Ray Data: that has names of its own for files, mixes rows, and leaves unreadable files behind when its
driver dies.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightmigrate.errors import DatabaseError, FailedError, MissingExtraError, ProviderError, RefusedError
from lightmigrate.providers.cache import default_cache
from lightmigrate.providers.cache_file import CacheFile, Change, VectorFile
from lightmigrate.scale.executor import Returned, Task, never
from lightmigrate.scale.processes import MEMORY, limit_arrow

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    raise MissingExtraError("ray", "ray") from None

# How often Ray begins a task again whose worker or machine is gone.
_RETRIES = 5

_SECONDS_TO_ANSWER = 5.0

# Tasks that wait in the cluster for each that runs.
_AHEAD = 2


class RayTasks:
    """A Ray cluster. See `executor.Executor`.

    Every machine of it sees the folder under the same path, and has lightmigrate installed.

    Args:
        address: `ray` for the cluster that this machine belongs to (or `RAY_ADDRESS` names), or else one that is
            started on this machine; `ray://HOST:10001` for one elsewhere.

    Attributes:
        workers: the cores of the cluster; 0 until it was asked.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_connected = False
        self.workers = 0

    @contextlib.contextmanager
    def sharing(self, cache: Path) -> Iterator[VectorFile]:
        """See `Executor`: one process of the cluster has it open, on this machine if that belongs to the cluster.

        Raises:
            RefusedError: this machine does not belong to the cluster, and the cache is not said to be on all machines.
            DatabaseError: no cluster answers.
        """
        elsewhere = "://" in self._address
        if elsewhere and cache == default_cache():
            raise RefusedError(
                f"{self._address} does not see the cache of embeddings of this machine: name one that all machines see "
                "under the same path, with --cache FILE, for plan and migrate"
            )
        with self._connected():
            here = None if elsewhere else NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
            keeper: Any = ray.remote(num_cpus=0)(CacheFile)
            yield _FileOfKeeper(keeper.options(scheduling_strategy=here).remote(cache, shared=True))

    def prepared(self, work: Callable[[Task], Returned]) -> contextlib.AbstractContextManager[None]:
        """See `Executor`: nothing, the cluster has its own workers."""
        return contextlib.nullcontext()

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task], stopped: Callable[[], bool] = never
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        """See `Executor`.

        Raises:
            DatabaseError: no cluster answers.
        """
        with self._connected():
            remote: Any = ray.remote(num_cpus=1, max_retries=_RETRIES)(_in_worker)
            remote = remote.options(name=work.__name__)  # as lists of tasks and processes show it
            waiting = list(reversed(tasks))
            running: dict[Any, Task] = {}
            while (waiting and not stopped()) or running:
                while waiting and not stopped() and len(running) < _AHEAD * self.workers:
                    task = waiting.pop()
                    running[remote.remote([ray.put((work, task))])] = task
                ready, _ = ray.wait(list(running), num_returns=1)
                for reference in ready:
                    yield running.pop(reference), _result(reference)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        if self._is_connected:
            yield
            return
        address = self._address if "://" in self._address else os.environ.get("RAY_ADDRESS", "")
        try:
            _require_open(address)
            ray.init(address or None, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            raise DatabaseError(
                f"no Ray cluster answers at {address or 'this machine'} ({type(error).__name__}): start one with  "
                "ray start --head"
            ) from None
        try:
            self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            self._is_connected = True
            yield
        finally:
            self._is_connected = False
            ray.shutdown()


def _in_worker(boxed: Sequence[Any]) -> object:
    """Work on a task, in a worker of one core that is set up as those of `Processes` are.

    Args:
        boxed: a reference to the function and the task; opening it loads their modules, and pyarrow with them.
    """
    for name, value in MEMORY.items():
        os.environ.setdefault(name, value)
    limit_arrow(1)
    work, task = ray.get(boxed[0])
    return work(task)


@dataclass(frozen=True)
class _FileOfKeeper:
    """A file that one process of the cluster has open, for all others. See `VectorFile`.

    Attributes:
        keeper: the process.
    """

    keeper: Any

    def rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """See `VectorFile`."""
        found: list[tuple[Any, ...]] = _answer(self.keeper.rows.remote(statement, values))
        return found

    def change(self, *changes: Change) -> None:
        """See `VectorFile`."""
        _answer(self.keeper.change.remote(*changes))

    def close(self) -> None:
        """See `VectorFile`: it stays open for the others."""


def _answer(reference: Any) -> Any:
    """What the keeper of a file returned.

    Raises:
        ProviderError: the file cannot be used, or its keeper is gone.
    """
    result = _result(reference)
    if isinstance(result, ProviderError):
        raise result
    if isinstance(result, Exception):
        raise ProviderError(f"the cache of embeddings cannot be reached ({result}): run this again")
    return result


def _require_open(address: str) -> None:
    """Raise `OSError` when nobody listens at an address; Ray itself tries for many minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        socket.create_connection((parts.hostname, parts.port), _SECONDS_TO_ANSWER).close()


def _result(reference: Any) -> Any:
    """What a task returned, or what went wrong."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        return cause if isinstance(cause, Exception) else FailedError(str(cause))
    except RayError as error:
        return FailedError(f"{type(error).__name__}: its workers died {_RETRIES + 1} times: is there enough memory?")
