"""Cores are left to other threads, and blocks of rows run in threads: in processes whose libraries have several."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextvars import ContextVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate import threads
from tests.processes import TIMEOUT

SCRIPT = """
import threading
import numpy as np
from threadpoolctl import ThreadpoolController
from lightmigrate import threads

threads.cores = lambda: {cores}
controller = ThreadpoolController()
assert controller.info(), "NumPy without a library whose threads can be counted"
with controller.limit(limits=3, user_api="blas"):
    now = lambda: print(*{{each["num_threads"] for each in controller.info()}})
    now()
    with threads.{block}():
        now()
        with threads.core_left():
            now()
        now()
        def other():
            with threads.core_left():
                now()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        now()
    now()
"""


def seen(cores: int, block: str = "core_left") -> list[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    script = [sys.executable, "-c", SCRIPT.format(cores=cores, block=block)]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_matrix_products_leave_a_core_as_long_as_the_block_lasts() -> None:
    assert seen(cores=2) == ["3", "1", "1", "1", "1", "1", "3"]


def test_they_never_get_more_threads_than_they_had() -> None:
    assert set(seen(cores=9)) == {"3"}


def test_they_leave_all_cores_but_one_to_a_model() -> None:
    assert seen(cores=9, block="one_core") == ["3", "1", "1", "1", "1", "1", "3"]


FIT = """
import numpy as np
from threadpoolctl import ThreadpoolController
from lightmigrate import fit, threads
from lightmigrate.estimators import choose

threads.cores = lambda: 2
controller = ThreadpoolController()
search = choose.search

def watched(*arguments):
    print(*{each["num_threads"] for each in controller.info()})
    return search(*arguments)

choose.search = watched
pairs = np.random.default_rng(0).normal(size=(60, 8))
with controller.limit(limits=3, user_api="blas"):
    fit(pairs, pairs)
"""


def test_a_fit_leaves_a_core() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"1"}


BLOCKS = """
import os, threading
import numpy as np
from threadpoolctl import ThreadpoolController
from lightmigrate import threads

controller = ThreadpoolController()
now = lambda: max(each["num_threads"] for each in controller.info())
with controller.limit(limits=3, user_api="blas"):
    inside, names = set(), set()
    together = threading.Barrier(3, timeout=60)

    def work(rows):
        inside.add(now())
        names.add(threading.current_thread().name)
        together.wait()
        together.wait()

    threads.in_blocks(work, 90, 30)
    print(len(names), *inside, now())

    begun, first = [], threading.Lock()

    def fail(rows):
        begun.append(rows)
        raise KeyError("at fault")

    try:
        threads.in_blocks(fail, 90, 1)
    except KeyError as error:
        print(error.args[0], len(begun) <= 3, now())

    def nested(rows):
        inside.clear()
        threads.in_blocks(lambda _: inside.add(threading.current_thread().name == name), 90, 30)

    with threads._at_most(1):
        name = threading.current_thread().name
        nested(None)
        print(*inside, now())

    # Blocks that begin and end in another order than nested ones.
    first, second = threads._at_most(1), threads._at_most(2)
    first.__enter__(), second.__enter__()
    print(now())
    first.__exit__(None, None, None)
    print(now())
    if not os.fork():
        second.__exit__(None, None, None)
        print("child", now(), flush=True)
        os._exit(0)
    os.wait()
    second.__exit__(None, None, None)
    print(now())

    with np.errstate(over="raise"):
        try:
            threads.in_blocks(lambda rows: np.float32(1e38) * np.full(1, 1e38, np.float32), 90, 30)
        except FloatingPointError:
            print("overflow")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_blocks_of_rows_run_in_threads_whose_products_have_one() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", BLOCKS], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "3 1 3", "at fault True 3", "True 1", "1", "2", "child 3", "3", "overflow",
    ]  # fmt: skip


@given(rows=st.integers(0, 200), block=st.integers(1, 50), count=st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_every_row_is_computed_once(rows: int, block: int, count: int) -> None:
    computed, largest = np.zeros(rows, dtype=int), []

    def work(some: slice) -> None:
        computed[some] += 1
        largest.append(some.stop - some.start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_threads", lambda: count)
        threads.in_blocks(work, rows, block)
    assert (computed == 1).all()
    assert max(largest, default=0) <= block
    assert min(largest, default=1) > 0


LATE = """
import threading
from lightmigrate import threads

threads._threads = lambda: 3
done = []

def late():
    threading.main_thread().join()
    threads.in_blocks(done.append, 90, 10)
    print(len(done))

threading.Thread(target=late).start()
"""


def test_a_thread_that_outlives_the_main_one_goes_on_alone() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("9\n", "")


def test_parts_are_worked_on_side_by_side_in_their_order_with_what_the_caller_has_set() -> None:
    said: ContextVar[str] = ContextVar("said", default="nothing")
    said.set("something")
    both, used = threading.Barrier(2), set[int]()

    def work(part: int) -> tuple[int, str]:
        used.add(threading.get_ident())
        both.wait(TIMEOUT)
        return part, said.get()

    assert threads.side_by_side(work, range(4), 2) == [(part, "something") for part in range(4)]
    assert len(used) == 2
    assert threading.get_ident() in used
    assert threads.side_by_side(lambda part: part, [], 2) == []


def test_a_part_that_fails_begins_no_more_of_them() -> None:
    begun: list[int] = []

    def work(part: int) -> None:
        begun.append(part)
        raise ValueError(part)

    with pytest.raises(ValueError, match=r"^[01]$"):
        threads.side_by_side(work, range(100), 2)
    assert len(begun) <= 2
