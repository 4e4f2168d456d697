"""Threads of the libraries that multiply matrices: what computes beside them is left its cores.

Between two products their threads spin, on cores that others could use. And where others do use them, each product
waits for its slowest thread: on two cores with four other processes a fit took 56 seconds by two threads, and 11 by
one; on two idle ones 3.4 and 3.5.
"""

from __future__ import annotations

import contextlib
import functools

from threadpoolctl import ThreadpoolController

from lightmigrate.system import cores


def core_left() -> contextlib.AbstractContextManager[object]:
    """For a block: matrix products take all cores but one, in the whole process, and never more threads than before.

    Of blocks in several threads the first one counts.
    """
    return _at_most(max(1, cores() - 1))


def one_core() -> contextlib.AbstractContextManager[object]:
    """As `core_left`, but they take one core: a model computes beside them, on all others."""
    return _at_most(1)


def _at_most(threads: int) -> contextlib.AbstractContextManager[object]:
    libraries = _libraries()
    now = max((int(library["num_threads"]) for library in libraries.info()), default=0)
    return libraries.limit(limits=threads, user_api="blas") if now > threads else contextlib.nullcontext()


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those that are loaded; NumPy's is."""
    return ThreadpoolController()
