"""Cores are left to other threads, in a process of its own, whose libraries have several threads."""

from __future__ import annotations

import os
import subprocess
import sys

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
