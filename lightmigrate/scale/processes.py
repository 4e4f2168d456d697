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

from lightmigrate.errors import FailedError
from lightmigrate.scale.executor import Returned, Task
from lightmigrate.system import cores

# How often a unit is tried whose worker died; which of several at work made it die cannot be seen.
_ATTEMPTS = 3

# What limits the threads of the libraries that multiply matrices; read when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


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

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task]
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        """See `Executor`."""
        waiting = list(reversed(tasks))
        attempts: dict[int, int] = {}
        while waiting:
            with _limited_threads(self.workers), _pool(self.workers) as pool:
                running: dict[Future[Returned], Task] = {}
                broken = False
                while (waiting and not broken) or running:
                    while waiting and not broken and len(running) < self.workers:
                        task = waiting.pop()
                        try:
                            running[pool.submit(work, task)] = task
                        except BrokenProcessPool:
                            waiting.append(task)
                            broken = True
                    for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                        task = running.pop(future)
                        error = future.exception()
                        if isinstance(error, BrokenProcessPool):
                            broken = True
                            attempts[id(task)] = attempts.get(id(task), 0) + 1
                            if attempts[id(task)] < _ATTEMPTS:
                                waiting.append(task)
                                continue
                            error = FailedError(f"its worker died {_ATTEMPTS} times: is there enough memory? use fewer")
                        if error is not None and not isinstance(error, Exception):
                            raise error
                        yield task, future.result() if error is None else error


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # spawned, not forked: the libraries that multiply matrices have threads, which do not survive a fork
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (threads_of(workers),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def threads_of(workers: int) -> int:
    """How many threads each of so many workers may use."""
    return max(1, cores() // workers)


@contextlib.contextmanager
def _limited_threads(workers: int) -> Iterator[None]:
    """Processes that are started meanwhile inherit the limit."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads_of(workers))))
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
    with contextlib.suppress(ImportError):
        import pyarrow as pa

        pa.set_cpu_count(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # a worker waits for tasks on a pipe that it holds open itself, and would wait for ever
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
