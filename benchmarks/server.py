"""Migration over HTTP beside the script people write: `python benchmarks/server.py` writes `results/server.json`.

Every run has a server of its own (`chroma run`, on loopback), on its own copy of the same database, and the two routes
take turns. The script reads everything, deletes the collection and adds it again in hundreds; lightmigrate keeps the
old collection, reads back what it wrote, and looks twice for what was written meanwhile. `adding` is the floor: the new
vectors are there already and all records go to the server in pages as large as lightmigrate's, without being read, read
back or compared. Whoever keeps the old collection must add every record to the new one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import throughput

from lightmigrate import ChromaMigrator
from lightmigrate.reader import PAGE_SIZE
from lightmigrate.stores.chroma.client import connect

RESULT = Path(__file__).parent / "results" / "server.json"
START = 30.0  # seconds a server is waited for


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, nargs="+", default=[4000, 10_000])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    found = []
    for records in options.records:
        with tempfile.TemporaryDirectory() as home:
            throughput.build_database(Path(home) / "built", records)
            turns = [{route: migrate(Path(home), route, records) for route in ROUTES} for _ in range(options.repeat)]
        as_fast = {
            route: spread([turn["naive"]["seconds"] / turn[route]["seconds"] for turn in turns])
            for route in ("lightmigrate", "adding")
        }
        found.append({"records": records, "turns": turns, "times_as_fast": as_fast})
        print(json.dumps(as_fast), file=sys.stderr, flush=True)
    RESULT.write_text(json.dumps({"machine": throughput.machine(), "sizes": found}, indent=1) + "\n")


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest, largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def migrate(home: Path, route: str, records: int) -> dict[str, float]:
    """One migration through a fresh server; seconds, and CPU seconds on both sides."""
    shutil.copytree(home / "built", home / "served")
    with server(home / "served") as (port, process):
        client = connect("127.0.0.1", port, ssl=False, headers={}, tenant="default_tenant", database="default_database")
        before = cpu_of(process), throughput.cpu_seconds()
        seconds = ROUTES[route](client)
        after = cpu_of(process), throughput.cpu_seconds()
        collection = client.get_collection(throughput.COLLECTION, embedding_function=None)
        assert collection.count() == records
        assert len(collection.get(limit=1, include=["embeddings"])["embeddings"][0]) == throughput.STORED[1]
    shutil.rmtree(home / "served")
    return {"seconds": seconds, "server_cpu": after[0] - before[0], "client_cpu": after[1] - before[1]}


def naively(client: Any) -> float:
    """Everything into memory, collection deleted, everything back in hundreds: no backup, no check, no way back."""
    started = time.perf_counter()
    rows = projected(client)
    put_back(client, rows, throughput.NAIVE_BATCH)
    return time.perf_counter() - started


def with_lightmigrate(client: Any) -> float:
    """As the README says."""
    started = time.perf_counter()
    _, _, projection = throughput.random_projection(throughput.STORED)
    ChromaMigrator(client).migrate_collection(throughput.COLLECTION, projection)
    return time.perf_counter() - started


def adding(client: Any) -> float:
    """Nothing but what no route can do without."""
    rows = projected(client)
    started = time.perf_counter()
    put_back(client, rows, PAGE_SIZE)
    return time.perf_counter() - started


ROUTES = {"naive": naively, "lightmigrate": with_lightmigrate, "adding": adding}


def projected(client: Any) -> Any:
    """All records in one answer, with their new vectors."""
    weights, bias, _ = throughput.random_projection(throughput.STORED)
    rows = client.get_collection(throughput.COLLECTION, embedding_function=None).get(
        include=["embeddings", "documents", "metadatas"]
    )
    vectors = np.asarray(rows["embeddings"], dtype=np.float32) @ weights + bias
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {**rows, "embeddings": vectors}


def put_back(client: Any, rows: Any, at_once: int) -> None:
    """Delete the collection and add these records to a new one."""
    client.delete_collection(throughput.COLLECTION)
    collection = throughput.create_collection(client)
    for start in range(0, len(rows["ids"]), at_once):
        batch = slice(start, start + at_once)
        collection.add(
            ids=rows["ids"][batch],
            embeddings=rows["embeddings"][batch].tolist(),
            documents=rows["documents"][batch],
            metadatas=rows["metadatas"][batch],
        )


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, int]]:
    """A Chroma server on a free port: its port and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    command = [str(program), "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(int(START / 0.05)):
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_of(process: int) -> float:
    """Processor time of another process so far; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
