"""A real Ray cluster of three nodes on this machine, a folder that it converts, and what may die meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ray.cluster_utils import Cluster

from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from tests.databases import make_projection, make_vectors
from tests.processes import TIMEOUT

OLD, NEW, ROWS = 8, 12, 200
STORE_BYTES = 100 * 2**20  # of a node, which would take a third of the memory; results are small
Victim = Literal["worker", "node", "driver"]
VICTIMS: tuple[Victim, ...] = ("worker", "node", "driver")


@contextlib.contextmanager
def running_cluster(nodes: int = 3) -> Iterator[Any]:
    """A cluster of so many nodes with a core each, besides the head, which works on nothing."""
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes):
        add_node(cluster)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any) -> None:
    """One more node, with a core."""
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)


def make_folder(folder: Path, files: int) -> None:
    """Parquet files, each with its own vectors."""
    folder.mkdir(parents=True)
    for number in range(files):
        column = pa.FixedSizeListArray.from_arrays(pa.array(make_vectors(ROWS, OLD, number).ravel()), OLD)
        ids = [f"{number}-{row}" for row in range(ROWS)]
        pq.write_table(pa.table({"id": ids, "vector": column}), folder / f"part-{number:03}.parquet")


def projection_at(file: Path) -> Path:
    """A projection of these vectors, as a file."""
    return make_projection(1, Model("a", OLD), Model("b", NEW)).save(file)


def require_exact(folder: Path, projection: Path, files: int) -> None:
    """Every row is there once, in its order, with the vector that its old one is projected to."""
    found = sorted(path.name for path in folder.glob("*.parquet"))
    assert found == [f"part-{number:03}.parquet" for number in range(files)]
    loaded = Projection.load(projection)
    for number, name in enumerate(found):
        table = pq.read_table(folder / name)
        assert table.column("id").to_pylist() == [f"{number}-{row}" for row in range(ROWS)]
        stored = np.asarray(table.column("vector").to_pylist(), np.float32)
        np.testing.assert_allclose(stored, loaded.apply(make_vectors(ROWS, OLD, number)), atol=1e-5)


def built(home: Path) -> list[Path]:
    """The files that the run has finished, which must be readable at every moment."""
    return sorted(path for path in home.glob(".*.lightmigrate-files/new-*/*.parquet") if not path.name.startswith("."))


def migrate_and_kill(cluster: Any, folder: Path, projection: Path, victim: Victim, after: int) -> int:
    """Migrate a folder through a cluster, kill something once so many files are done, and go on until all is done.

    Returns:
        How many files were done when it was killed.
    """
    driver = _driver(cluster, folder, projection)
    while len(built(folder.parent)) < after and driver.poll() is None:
        time.sleep(0.005)
    done = built(folder.parent)
    if victim == "driver":
        driver.kill()
    elif victim == "worker":
        while not (workers := _workers()) and driver.poll() is None:
            time.sleep(0.005)
        assert workers, "the migration ended before a worker was killed"
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    else:
        before = list(cluster.worker_nodes)
        add_node(cluster)  # there are as many afterwards
        cluster.remove_node(before[0], allow_graceful=False)
    for path in done:
        if path.exists():
            pq.ParquetFile(path)
    status = driver.wait(TIMEOUT)
    if status:
        status = _driver(cluster, folder, projection).wait(TIMEOUT)
    assert status == 0, (folder.parent / "driver.log").read_text()[-2000:]
    return len(done)


def settings_of_worker(_: int) -> tuple[str | None, int, bytes]:
    """Of the worker that is asked: when its memory is given back, the threads of pyarrow, its name among processes."""
    name = Path("/proc/self/cmdline").read_bytes().partition(b"\0")[0]
    return os.environ.get("MIMALLOC_PURGE_DELAY"), pa.cpu_count(), name.rstrip(b"()")


def a_moment(random: Random, files: int) -> int:
    """After how many files something is killed; some are left then."""
    return random.randrange(1, files - 5)


def _driver(cluster: Any, folder: Path, projection: Path) -> subprocess.Popen[bytes]:
    words = ["migrate", str(folder), "-p", str(projection), "--cluster", "ray", "--force", "--yes"]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    with (folder.parent / "driver.log").open("ab") as log:
        command = [sys.executable, "-m", "lightmigrate", *words]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _workers() -> list[int]:
    """Processes of Ray that convert a file just now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes().startswith(b"ray::convert"):
                    found.append(int(entry.name))
    return found
