"""Threads of the libraries that multiply matrices, and threads that call them.

Between two products their threads spin, on cores that others could use. And where others do use them, each product
waits for its slowest thread: a fit then takes twice as long by one thread a core as by one, and beside a model three
times as long (`benchmarks/fit_beside.py`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from lightmigrate.system import cores

_T = TypeVar("_T")
_Answer = TypeVar("_Answer")

# How many threads matrix products may have, for every block of code that has said so and is not done; what each library
# had before the first of them; and a lock for both.
_limits: list[int] = []
_before: list[int] = []
_lock = threading.Lock()


def core_left() -> contextlib.AbstractContextManager[None]:
    """For a block: matrix products take all cores but one, in the whole process, and never more threads than before.

    Of several such blocks in several threads the strictest counts.
    """
    return _at_most(max(1, cores() - 1))


def one_core() -> contextlib.AbstractContextManager[None]:
    """As `core_left`, but they take one core: a model computes beside them, on all others."""
    return _at_most(1)


def in_blocks(work: Callable[[slice], None], rows: int, block: int) -> None:
    """Call `work` for all rows, block by block, in as many threads at once as matrix products have now.

    While there are several, each product has one thread: nothing waits for the threads of a product, and what is no
    product takes all cores, too. Where a thread would get less than half a block, products keep their threads.

    Args:
        work: computes a range of rows, and may be called by several threads at once. Where it fails, no more calls
            begin, and the error is raised when those under way are done.
        rows: how many there are.
        block: the most that it is called for.
    """
    threads = _threads() if 2 * rows > block else 1
    if threads == 1 or 2 * rows < threads * block:
        for first in range(0, rows, block):
            work(slice(first, min(first + block, rows)))
        return
    rounds = -(-rows // (threads * block))
    size = -(-rows // (threads * rounds))  # equally many blocks for all threads
    settings = np.geterr()  # which each thread has its own of

    def of_block(first: int) -> None:
        with np.errstate(**settings):
            work(slice(first, min(first + size, rows)))

    with _at_most(1):
        side_by_side(of_block, range(0, rows, size), threads)


def side_by_side(work: Callable[[_T], _Answer], parts: Sequence[_T], threads: int) -> list[_Answer]:
    """What `work` returns for each of some parts, in their order; in so many threads at once, this one among them.

    Where it fails, no more calls begin, and the error is raised when those under way are done. All see the context
    variables of the caller.
    """
    left, answers, failures = deque(enumerate(parts)), dict[int, _Answer](), list[BaseException]()

    def work_on() -> None:
        try:
            while (part := _next(left)) is not None:
                answers[part[0]] = work(part[1])
        except BaseException as failure:  # noqa: BLE001  # raised below
            left.clear()
            failures.append(failure)

    helpers: list[threading.Thread] = []
    with contextlib.suppress(RuntimeError):  # none begins any more while Python ends; this one does it all then
        for _ in range(min(threads, len(parts)) - 1):
            helper = threading.Thread(target=copy_context().run, args=(work_on,))
            helper.start()
            helpers.append(helper)
    work_on()
    for helper in helpers:
        helper.join()
    if failures:
        raise failures[0]
    return [answers[place] for place in range(len(parts))]


def _next(left: deque[_T]) -> _T | None:
    try:
        return left.popleft()
    except IndexError:
        return None


@contextlib.contextmanager
def _at_most(threads: int) -> Iterator[None]:
    with _lock:
        if not _limits:
            _before[:] = [library.num_threads for library in _libraries()]
        _limits.append(threads)
        _set_threads()
    try:
        yield
    finally:
        with _lock, contextlib.suppress(ValueError):  # a forked child has begun anew
            _limits.remove(threads)
            _set_threads()


def _set_threads() -> None:
    for library, before in zip(_libraries(), _before, strict=True):
        threads = min(before, *_limits) if _limits else before
        if library.num_threads != threads:
            library.set_num_threads(threads)


def _threads() -> int:
    """How many threads a matrix product has now; 1 where nobody can tell."""
    return max((int(library.num_threads) for library in _libraries()), default=1)


@functools.cache
def _libraries() -> list[Any]:
    """Those that multiply matrices and are loaded, with `num_threads` and `set_num_threads`; NumPy's is among them."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _begin_anew() -> None:
    """In a forked child no thread is left that would end its block."""
    global _lock
    _lock = threading.Lock()
    if _limits:
        _limits.clear()
        _set_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
