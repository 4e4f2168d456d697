"""Threads of the libraries that multiply matrices: a core is left to what reads beside them."""

from __future__ import annotations

import contextlib
import functools

from threadpoolctl import ThreadpoolController

from lightmigrate.system import cores


def core_left() -> contextlib.AbstractContextManager[object]:
    """For a block: matrix products take all cores but one, in the whole process, and never more threads than before.

    Between two products their threads spin, on the core of a thread that reads the next vectors. Of blocks in several
    threads the first one counts.
    """
    libraries, threads = _libraries(), max(1, cores() - 1)
    now = max((int(library["num_threads"]) for library in libraries.info()), default=0)
    return libraries.limit(limits=threads, user_api="blas") if now > threads else contextlib.nullcontext()


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those that are loaded; NumPy's is."""
    return ThreadpoolController()
