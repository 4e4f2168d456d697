"""Units are worked on by processes of this machine; see `executor`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lightmigrate.errors import FailedError
from lightmigrate.providers.cache_file import CacheFile, VectorFile
from lightmigrate.scale.executor import Returned, Task, never
from lightmigrate.system import cores

# How often a unit is tried whose worker died; which of several at work made it die cannot be seen.
_ATTEMPTS = 3

# What limits the threads of the libraries that multiply matrices; read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# pyarrow gives back memory that it frees and takes it again for the next rows, which costs a tenth of the time. Read
# when it is loaded.
MEMORY = {"MIMALLOC_PURGE_DELAY": "-1"}


class Processes:
    """New processes of this machine. See `executor.Executor`.

    A worker that dies is replaced; a task whose workers die is returned with the error, and the others go on. Workers
    end when this process ends, for whatever reason. They do not take more threads than the machine has cores. A script
    that uses them needs `if __name__ == "__main__":`, as every use of processes in Python.

    Attributes:
        workers: how many processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._ready: ProcessPoolExecutor | None = None

    @contextlib.contextmanager
    def prepared(self, work: Callable[[Task], Returned]) -> Iterator[None]:
        """See `Executor`."""
        with self._pool() as pool:
            with _settings_of_libraries(self.workers):
                for _ in range(self.workers):  # a worker is started for each
                    pool.submit(_load, work)
            self._ready = pool
            try:
                yield
            finally:
                self._ready = None

    def sharing(self, cache: Path) -> contextlib.AbstractContextManager[VectorFile]:
        """See `Executor`: the file itself."""
        return contextlib.nullcontext(CacheFile(cache, shared=True))

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task], stopped: Callable[[], bool] = never
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        """See `Executor`."""
        waiting = list(reversed(tasks))
        attempts: dict[int, int] = {}
        while waiting and not stopped():
            with _settings_of_libraries(self.workers), self._some_pool() as pool:
                running: dict[Future[Returned], Task] = {}
                broken = False
                while (waiting and not broken and not stopped()) or running:
                    while waiting and not broken and not stopped() and len(running) < self.workers:
                        task = waiting.pop()
                        try:
                            running[pool.submit(work, task)] = task
                        except BrokenProcessPool:
                            waiting.append(task)
                            broken, self._ready = True, None
                    for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                        task = running.pop(future)
                        error = future.exception()
                        if isinstance(error, BrokenProcessPool):
                            broken, self._ready = True, None
                            attempts[id(task)] = attempts.get(id(task), 0) + 1
                            if attempts[id(task)] < _ATTEMPTS:
                                waiting.append(task)
                                continue
                            error = FailedError(f"its worker died {_ATTEMPTS} times: is there enough memory? use fewer")
                        if error is not None and not isinstance(error, Exception):
                            raise error
                        yield task, future.result() if error is None else error

    @contextlib.contextmanager
    def _pool(self) -> Iterator[ProcessPoolExecutor]:
        # spawned, not forked: the libraries that multiply matrices have threads, which do not survive a fork
        context, threads = multiprocessing.get_context("spawn"), threads_of(self.workers)
        pool = ProcessPoolExecutor(self.workers, context, _begin, (threads,))
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)

    def _some_pool(self) -> contextlib.AbstractContextManager[ProcessPoolExecutor]:
        """The workers that were started ahead, or new ones."""
        return self._pool() if self._ready is None else contextlib.nullcontext(self._ready)


def threads_of(workers: int) -> int:
    """How many threads each of so many workers may use."""
    return max(1, cores() // workers)


@contextlib.contextmanager
def _settings_of_libraries(workers: int) -> Iterator[None]:
    """Processes that are started meanwhile inherit them."""
    settings = {**dict.fromkeys(_THREADS, str(threads_of(workers))), **MEMORY}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(threads: int) -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to all; whoever runs them ends them, after their unit
    limit_arrow(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def limit_arrow(threads: int) -> None:
    """Give pyarrow so many threads, where it is installed; it takes one a core."""
    with contextlib.suppress(ImportError):
        import pyarrow as pa

        pa.set_cpu_count(threads)


def _load(work: Callable[[Task], Returned]) -> None:
    """Nothing: a worker that was sent a function has imported its module."""


def _end_with_parent() -> None:
    # a worker waits for tasks on a pipe that it holds open itself, and would wait for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
