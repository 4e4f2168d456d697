"""A large database there and back again: `python benchmarks/soak.py [--rows 200000] [--dimension 1024]`.

Builds it, migrates it, rolls back, migrates again, and checks that nothing was lost or changed on the way: digests of
contents and vectors are the same after both migrations, and the database is byte for byte the old one in between.
Peak memory is that of the migrating process, beside a process that only has the same database open and has searched
it once. Writes `results/soak-ROWS.json`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import ChromaMigrator, Model, Projection
from lightmigrate.migration.record import Record
from lightmigrate.stores.chroma import open_client

RESULTS = Path(__file__).parent / "results"
TARGET_DIMENSION = 768
BATCH = 2000


def main() -> None:
    """Run it, or one step of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where; a temporary folder when left out")
    parser.add_argument("--step", choices=("build", "idle", "migrate", "rollback"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        STEPS[options.step](options.folder, options.rows, options.dimension)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as home:
        result = soak(Path(home) / "database", options)
    (RESULTS / f"soak-{options.rows}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def soak(database: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All steps, each in a process of its own."""

    def step(name: str) -> tuple[float, float]:
        """Seconds, and peak memory in MiB."""
        started = time.monotonic()
        command = [sys.executable, __file__, "--step", name, "--folder", str(database)]
        command += ["--rows", str(options.rows), "--dimension", str(options.dimension)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.monotonic() - started
        print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        return seconds, int(done.stdout.split()[-1]) / 1024

    build_seconds, _ = step("build")
    _, idle = step("idle")
    before = folder_hash(database)
    first_seconds, first_peak = step("migrate")
    first = digests(database)
    rollback_seconds, rollback_peak = step("rollback")
    assert folder_hash(database) == before, "the old database, byte for byte"
    second_seconds, second_peak = step("migrate")
    assert digests(database) == first, "the same contents and vectors"
    _, idle_after = step("idle")
    return {
        "rows": options.rows,
        "dimension": options.dimension,
        "target_dimension": TARGET_DIMENSION,
        "build_seconds": round(build_seconds),
        "migrate_seconds": [round(first_seconds), round(second_seconds)],
        "rollback_seconds": round(rollback_seconds, 1),
        "vectors_per_second": round(options.rows / first_seconds),
        "idle_client_mib": [round(idle), round(idle_after)],
        "migrate_peak_mib": [round(first_peak), round(second_peak)],
        "rollback_peak_mib": round(rollback_peak),
        "above_idle_mib": round(max(first_peak, second_peak) - idle),
    }


def build(database: Path, rows: int, dimension: int) -> None:
    """Random unit vectors with short texts and metadata."""
    rng = np.random.default_rng(0)
    with open_client(database) as client:
        collection = client.create_collection(
            "memory", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            vectors = rng.normal(size=(len(numbers), dimension)).astype(np.float32)
            collection.add(
                ids=[f"id-{number}" for number in numbers],
                embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
                documents=[f"document number {number} of a long series" for number in numbers],
                metadatas=[{"number": number, "even": number % 2 == 0} for number in numbers],
            )


def idle(database: Path, rows: int, dimension: int) -> None:
    """Open and search once, so that the index is loaded; on a copy of nothing, in a process that does nothing else."""
    copy = database.parent / "copy"
    subprocess.run(["cp", "-r", str(database), str(copy)], check=True)  # opening writes
    with open_client(copy) as client:
        collection = client.get_collection("memory", embedding_function=None)
        vector = collection.get(limit=1, include=["embeddings"])["embeddings"]
        collection.query(query_embeddings=vector, n_results=10)
    subprocess.run(["rm", "-r", str(copy)], check=True)


def migrate(database: Path, rows: int, dimension: int) -> None:
    """To 768 dimensions."""
    weights = np.random.default_rng(1).normal(size=(dimension, TARGET_DIMENSION)) / dimension**0.5
    models = Model("old", dimension), Model("new", TARGET_DIMENSION)
    projection = Projection.affine(weights, np.zeros(TARGET_DIMENSION), source=models[0], target=models[1])
    result = ChromaMigrator(database).migrate_collection("memory", projection)
    assert result.n_migrated == rows
    assert result.verification is not None


def rollback(database: Path, rows: int, dimension: int) -> None:
    """Back to the old database; the new one is deleted."""
    migrator = ChromaMigrator(database)
    migrator.rollback()
    migrator.clean()


STEPS = {"build": build, "idle": idle, "migrate": migrate, "rollback": rollback}


def digests(database: Path) -> tuple[str, str]:
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
