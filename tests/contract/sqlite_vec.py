"""SQLite files with sqlite-vec: one whose vec0 tables hold all, and one whose texts are in tables beside them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.sqlite_vec.driver import Connection, connect, load_sqlite_vec
from lightmigrate.stores.sqlite_vec.store import SqliteVecStore

# Processes are killed here, the machine is not: what a dead process wrote, the system still has.
_UNSYNCED = "PRAGMA synchronous = OFF"


def application(path: Path) -> Connection:
    """A connection as an application opens it; the file is made when it is missing."""
    if not path.exists():
        path.touch()
    connection = connect(path)
    load_sqlite_vec(connection)
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute(_UNSYNCED)
    return connection


def opened(path: Path) -> SqliteVecStore:
    """The file as lightmigrate opens it."""
    store = SqliteVecStore(path)
    store.session.execute(_UNSYNCED)
    return store


class SqliteVecMaker:
    """A vec0 table with text keys, auxiliary columns for text and payload, and nothing else."""

    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=True, sees_changes=False, ordered=False, stale_handles=False,
        shared_records=False,
    )  # fmt: skip
    metrics: Sequence[Metric] = ("l2", "cosine")
    payloads: Sequence[Payload | None] = (
        None,
        {"number": 2**63 - 1},
        {"number": -(2**63), "fraction": 5e-324},
        {"fraction": {"real": "inf"}, "raw": {"blob": "AAH/"}, "number": 0},
        {"fraction": 1.0, "tag": "'; DROP TABLE docs; -- %s ?1 :a $b"},
        {"tag": "é e\u0301 日本語 😀", "raw": {"blob": ""}},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = False
    failpoints: Sequence[tuple[str, str, str]] = (
        ("lightmigrate.stores.sqlite_vec.session", "Session", "begin"),
        ("lightmigrate.stores.sqlite_vec.session", "Session", "commit"),
        ("lightmigrate.stores.sqlite_vec", "exchange", "move"),
        ("lightmigrate.stores.sqlite_vec.exchange", "Exchange", "keep_rows"),
        ("lightmigrate.stores.sqlite_vec", "exchange", "require_readable"),
    )

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.db"
        self._open: list[SqliteVecStore] = []
        self.execute()

    def execute(self, *statements: str) -> None:
        """Statements, as the application gives them."""
        connection = application(self.path)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def client(self) -> Store:
        self._open.append(opened(self.path))
        return self._open[-1]

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        self.execute(
            f"CREATE VIRTUAL TABLE {name} USING vec0(id text primary key, embedding float[{dimension}] "
            f"distance_metric={metric}, +contents text, +number integer, +fraction float, +raw blob, +tag text, "
            "chunk_size=64)"
        )
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = hashlib.sha256(self.path.read_bytes()).hexdigest()
        store = self.client()
        yield store
        store.close()
        assert hashlib.sha256(self.path.read_bytes()).hexdigest() == before
        assert [path.name for path in self.path.parent.iterdir()] == [self.path.name]

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    @property
    def locator(self) -> str:
        return str(self.path)

    def let_go(self) -> None:
        """Others work beside it."""

    def release(self) -> None:
        for store in self._open:
            store.close()


class SqliteVecRowsMaker(SqliteVecMaker):
    """A vec0 table that holds vectors alone; texts and payloads are in a table beside it. The file has a WAL."""

    payloads: Sequence[Payload | None] = (
        *SqliteVecMaker.payloads,
        {"tag": 1.5, "number": "no number", "fraction": "0x10"},
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.execute("PRAGMA journal_mode = WAL")

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        self.execute(
            f"CREATE TABLE {name}_source (chunk VARCHAR PRIMARY KEY, body TEXT, number INTEGER, fraction REAL, "
            "raw BLOB, tag)",
            f"CREATE VIRTUAL TABLE {name} USING vec0(chunk_id text primary key, v FLOAT[{dimension}] "
            f"distance_metric={metric})",
        )
        return Address(name)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        store = opened(self.path)
        store.session.execute("PRAGMA query_only = ON")
        yield store
        store.close()
