"""Large databases there and back again: `python benchmarks/soak.py [--rows 10000 200000] [--dimension 1024]`.

One database grows from size to size. At each it is migrated, rolled back and migrated again, and nothing may be lost or
changed on the way: digests of contents and vectors are the same after both migrations, and the database is byte for
byte the old one in between. Beside it are measured what Chroma itself takes to insert the same records, a process that
only has the database open and has searched it once, what the plan foretold, and, at sizes it can be waited for, the
script people write instead.

Writes `results/soak.json`, one entry for each size. Databases are kept in `--databases` and used again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_passages import Passages
from throughput import peak_mib

from lightmigrate import ChromaMigrator, CollectionJob, Model, Projection
from lightmigrate.migration.aside.record import Record
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors

RESULT = Path(__file__).parent / "results" / "soak.json"
TARGET_DIMENSION = 768
BATCH, NAIVE_BATCH = 2000, 100
NAIVE_ROWS = 30_000  # of more Chroma cannot give all at once
WORDS = 40
COLLECTION = "memory"
LOOK_EVERY = 0.2  # seconds between two looks at a process's memory


def main() -> None:
    """Run it, or one step of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000], help="sizes (default %(default)s)")
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--databases", type=Path, help="where they are made and kept; thrown away when left out")
    parser.add_argument("--build-only", action="store_true", help="make the databases, measure no migration")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)  # which, in which folder, with which numbers
    options = parser.parse_args()
    if options.step:
        name, folder, *numbers = options.step
        STEPS[name](Path(folder), *map(int, numbers))
        print(peak_mib())
        return
    with tempfile.TemporaryDirectory() as temporary:
        databases = options.databases or Path(temporary)
        databases.mkdir(parents=True, exist_ok=True)
        sizes = sorted(options.rows)
        for rows, smaller in zip(sizes, [0, *sizes], strict=False):
            grow(databases, smaller, rows, options.dimension)
            if not options.build_only:
                measured = there_and_back(databases, rows, options.dimension)
                keep(measured)
                print(json.dumps({name: value for name, value in measured.items() if name != "memory"}, indent=1))


def keep(measured: dict[str, Any]) -> None:
    """Put this size in the place of an earlier measurement of it."""
    known = json.loads(RESULT.read_text()) if RESULT.exists() else []
    others = [one for one in known if one["rows"] != measured["rows"]]
    RESULT.write_text(json.dumps(sorted([*others, measured], key=lambda one: one["rows"]), indent=1) + "\n")


def step(name: str, folder: Path, *numbers: int) -> dict[str, Any]:
    """Take one step in a process of its own: seconds, CPU seconds, MiB at its peak and over time, what it printed."""
    command = [sys.executable, __file__, "--step", name, str(folder), *map(str, numbers)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory = []
    while child.poll() is None:
        memory.append([round(time.monotonic() - started, 1), _resident(child.pid)])
        time.sleep(LOOK_EVERY)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert child.stdout is not None
    said = child.stdout.read().splitlines()
    if child.returncode:
        raise SystemExit(f"{name} ended with {child.returncode}")
    print(f"{name} {numbers}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mib": round(float(said[-1])),
        "memory": memory[:: max(1, len(memory) // 100)],
        "said": json.loads(said[-2]) if len(said) > 1 else None,
    }


def _resident(process: int) -> float:
    """The memory another process holds, in MiB; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    fields = {line.partition(":")[0]: line.split() for line in lines}
    return round(int(fields["VmRSS"][1]) / 1024, 1) if "VmRSS" in fields else 0


def grow(databases: Path, smaller: int, rows: int, dimension: int) -> None:
    """Make the database of so many records from the next smaller one, and note what inserting them took."""
    database = databases / str(rows)
    if (notes := databases / f"{rows}.json").exists():
        return
    shutil.rmtree(database, ignore_errors=True)
    before = {"cpu_seconds": 0.0}
    if smaller:
        shutil.copytree(databases / str(smaller), database)
        before = json.loads((databases / f"{smaller}.json").read_text())
    taken = step("insert", database, smaller, rows, dimension)
    notes.write_text(json.dumps({name: round(before[name] + taken["said"][name], 1) for name in before}))


def there_and_back(databases: Path, rows: int, dimension: int) -> dict[str, Any]:
    """All steps at one size, on a copy, each in a process of its own."""
    with tempfile.TemporaryDirectory(dir=databases) as home:
        database = Path(home) / "database"

        def fresh() -> None:
            shutil.rmtree(database, ignore_errors=True)
            shutil.copytree(databases / str(rows), database)

        fresh()
        idle = step("search", database)
        fresh()  # opening writes
        naive = step("naive", database, dimension) if rows <= NAIVE_ROWS else None
        if naive:
            fresh()
        foretold = step("plan", database, dimension)
        before = folder_hash(database)
        first = step("migrate", database, rows, dimension)
        digests = digests_of(database)
        rollback = step("rollback", database)
        assert folder_hash(database) == before, "the old database, byte for byte"
        second = step("migrate", database, rows, dimension)
        assert digests_of(database) == digests, "the same contents and vectors"
        idle_after = step("search", database)
    peak = max(first["peak_mib"], second["peak_mib"])
    return {
        "rows": rows,
        "shape": [dimension, TARGET_DIMENSION],
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("chromadb", "numpy")},
        },
        "insertion_cpu_seconds": json.loads((databases / f"{rows}.json").read_text())["cpu_seconds"],
        "migrations": [
            {name: one[name] for name in ("seconds", "cpu_seconds")} | one["said"] for one in (first, second)
        ],
        "foretold": foretold["said"],
        "naive": naive and {name: naive[name] for name in ("seconds", "cpu_seconds", "peak_mib")},
        "rollback_seconds": rollback["seconds"],
        "idle_mib": [idle["peak_mib"], idle_after["peak_mib"]],
        "peak_mib": peak,
        "above_idle_mib": peak - idle["peak_mib"],
        "memory": {
            "migration": first["memory"],
            "idle client": idle["memory"],
            **({"the original design": naive["memory"]} if naive else {}),
        },
    }


def insert(database: Path, first: int, end: int, dimension: int) -> None:
    """Passages with their vectors and metadata, numbered on from `first`; prints what giving them to Chroma took."""
    passages, seconds = Passages(dimension, WORDS), 0.0
    with open_client(database) as client:
        collection = create(client) if first == 0 else client.get_collection(COLLECTION, embedding_function=None)
        for start in range(first, end, BATCH):
            numbers = range(start, min(start + BATCH, end))
            documents, vectors = passages.take(numbers.start, numbers.stop)
            started = time.process_time()
            collection.add(
                ids=[f"id-{number}" for number in numbers],
                embeddings=vectors,
                documents=documents,
                metadatas=[{"number": number, "even": number % 2 == 0} for number in numbers],
            )
            seconds += time.process_time() - started
    print(json.dumps({"cpu_seconds": seconds}))


def create(client: Any) -> Any:
    """The empty collection; no embedding function, because the vectors are given."""
    return client.create_collection(COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}})


def search(database: Path) -> None:
    """Open and search once, so that the index is loaded."""
    with open_client(database) as client:
        collection = client.get_collection(COLLECTION, embedding_function=None)
        vector = collection.get(limit=1, include=["embeddings"])["embeddings"]
        collection.query(query_embeddings=vector, n_results=10)


def projection_from(dimension: int) -> Projection:
    """A random one, to 768 dimensions."""
    weights = np.random.default_rng(2).normal(size=(dimension, TARGET_DIMENSION)) / dimension**0.5
    models = Model("old", dimension), Model("new", TARGET_DIMENSION)
    return Projection.affine(weights, np.zeros(TARGET_DIMENSION), source=models[0], target=models[1])


def plan(database: Path, dimension: int) -> None:
    """Print what the plan says."""
    made = ChromaMigrator(database).plan([CollectionJob(COLLECTION, projection_from(dimension))])
    print(json.dumps({"seconds_kept": made.seconds_kept, "seconds_rebuilt": made.seconds_rebuilt}))


def migrate(database: Path, rows: int, dimension: int) -> None:
    """There; prints what became of the index."""
    result = ChromaMigrator(database).migrate_collection(COLLECTION, projection_from(dimension))
    assert result.n_migrated == rows
    checked = result.verification
    assert checked is not None
    print(json.dumps({"index": result.index, "recall": checked.recall, "recall_before": checked.recall_before}))


def rollback(database: Path) -> None:
    """Back to the old database; the new one is deleted."""
    migrator = ChromaMigrator(database)
    migrator.rollback()
    migrator.clean()


def naive(database: Path, dimension: int) -> None:
    """Everything into memory, collection deleted, everything back in hundreds: no backup, no check, no way back."""
    projection = projection_from(dimension)
    with open_client(database) as client:
        old = client.get_collection(COLLECTION, embedding_function=None)
        rows = old.get(include=["embeddings", "documents", "metadatas"])
        vectors: Vectors = projection.apply(np.asarray(rows["embeddings"], dtype=np.float32))
        client.delete_collection(COLLECTION)
        collection = create(client)
        for start in range(0, len(vectors), NAIVE_BATCH):
            batch = slice(start, start + NAIVE_BATCH)
            collection.add(
                ids=rows["ids"][batch],
                embeddings=vectors[batch].tolist(),
                documents=rows["documents"][batch],
                metadatas=rows["metadatas"][batch],
            )


STEPS: dict[str, Callable[..., None]] = {
    "insert": insert,
    "search": search,
    "plan": plan,
    "migrate": migrate,
    "rollback": rollback,
    "naive": naive,
}


def digests_of(database: Path) -> tuple[str, str]:
    """Of contents and of vectors, as the migration recorded them."""
    record = Record.read(database)
    assert record is not None
    return record.collections[0].content_sha256, record.collections[0].vectors_sha256


def folder_hash(folder: Path) -> str:
    """SHA-256 over names and bytes of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
