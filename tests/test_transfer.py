"""From one database to another: real Chroma and PostgreSQL, with a projection and without, killed and resumed."""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg import sql

from lightmigrate import Migrator, Projection
from lightmigrate.cli.app import main
from lightmigrate.errors import DatabaseError, LightmigrateError, RefusedError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.memory import MemoryStore
from lightmigrate.stores.pgvector.receive import incoming_name
from tests.contract.crashing import kill_before
from tests.contract.material import same_value
from tests.contract.postgres import PgMaker
from tests.databases import folder_hash, make_vectors
from tests.faults import EVERY_OPERATION
from tests.processes import start, was_killed

N = 60
METADATA: tuple[dict[str, Any] | None, ...] = (
    {"one": 1, "true": True, "float": 1.0, "zero": 0, "big": 2**63 - 1},
    {"fraction": 0.1, "text": "é ' \" %s {0} $1 \\ \n", "empty": ""},
    {"numbers": [1, 2, 3], "texts": ["a", "é"], "'; DROP TABLE notes; --": "%s"},
    None,
)


@pytest.fixture
def pg(tmp_path: Path) -> Iterator[PgMaker]:
    maker = PgMaker(tmp_path)
    yield maker
    maker.release()


def make_source(folder: Path, metric: str = "cosine") -> dict[str, Any]:
    """A Chroma folder; what it holds."""
    held = {
        "ids": [f"id {number}'\"" for number in range(N)],
        "embeddings": make_vectors(N),
        "documents": [f"text {number}\n" for number in range(N)],
        "metadatas": [METADATA[number % len(METADATA)] for number in range(N)],
    }
    with open_client(folder) as client:
        configuration: Any = {"hnsw": {"space": metric}}
        client.create_collection("my-notes", configuration=configuration, embedding_function=None).add(**held)
    return held


NOTES = Address("my-notes")


def copy_job() -> CollectionJob:
    return CollectionJob(NOTES, rebuild_index=True)


def fields(page: Page) -> list[Any]:
    return [None if payload is None else payload["metadata"] for payload in page.payloads]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_from_chroma_to_postgresql_with_another_model(
    tmp_path: Path, pg: PgMaker, projection: Projection, projection_file: Path, run: Any
) -> None:
    held, before = make_source(tmp_path / "db"), folder_hash(tmp_path / "db")
    command = ("migrate", tmp_path / "db", "--to", pg.locator, "-p", projection_file)
    assert run(*command)[0] == 2, "not confirmed"
    assert pg.client().collections() == []
    code, out, err = run(*command, "--yes", "--json")
    assert code == 0, err
    (result,) = json.loads(out)["collections"]
    assert (result["n_migrated"], result["previous_dim"], result["current_dim"]) == (N, 16, 24)
    assert result["verification"]["records"] == N
    assert folder_hash(tmp_path / "db") == before
    collection = pg.client().collection(NOTES)
    assert (collection.facts().space, collection.facts().dimension) == ("cosine", 24)
    records = collection.records(held["ids"])
    assert list(records.texts) == held["documents"]
    assert fields(records) == held["metadatas"]
    assert all(map(same_value, fields(records), held["metadatas"]))
    np.testing.assert_allclose(records.vectors, projection.apply(held["embeddings"]), rtol=1e-5, atol=1e-6)
    assert run("doctor", pg.locator)[0] == 0
    code, _, err = run(*command, "--yes")
    assert code == 2
    assert "has a collection my-notes already" in err


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_with_the_same_model_every_vector_is_the_same(tmp_path: Path, pg: PgMaker, metric: str) -> None:
    held = make_source(tmp_path / "db", metric)
    Migrator(tmp_path / "db").transfer([copy_job()], pg.locator)
    collection = pg.client().collection(NOTES)
    assert collection.facts().space == metric
    with open_client(tmp_path / "db") as client:
        stored: Any = client.get_collection("my-notes").get(held["ids"], include=["embeddings"])["embeddings"]
    assert collection.records(held["ids"]).vectors.tobytes() == np.asarray(stored, np.float32).tobytes()
    assert pg.client().versions() == []


def test_what_is_there_is_migrated_like_any_other(
    tmp_path: Path, pg: PgMaker, projection: Projection, run: Any, projection_file: Path
) -> None:
    held = make_source(tmp_path / "db", "l2")
    code, out, err = run("migrate", tmp_path / "db", "--to", pg.locator, "--yes")
    assert code == 0, err
    assert "60 records, 16 dimensions" in out
    assert "is as it was" in out
    assert run("migrate", pg.locator, "-p", projection_file, "--yes")[0] == 0
    live = pg.client().collection(NOTES)
    np.testing.assert_allclose(
        live.records(held["ids"]).vectors, projection.apply(held["embeddings"]), rtol=1e-5, atol=1e-6
    )
    assert run("verify", pg.locator)[0] == 0
    assert run("rollback", pg.locator, "--yes")[0] == 0
    assert pg.client().collection(NOTES).records(held["ids"]).vectors.tobytes() == held["embeddings"].tobytes()


def test_from_an_open_client_and_out_of_a_part_of_a_database(tmp_path: Path, pg: PgMaker) -> None:
    make_source(tmp_path / "db")
    with open_client(tmp_path / "db") as client:
        client.create_collection("another", embedding_function=None).add(["a"], embeddings=[[1.0, 2.0]])
        (result,) = Migrator(client).transfer([copy_job()], pg.locator)
        assert result.n_migrated == N
        with pytest.raises(RefusedError, match="has a collection my-notes already"):
            Migrator(client).plan_transfer([copy_job()], pg.locator)
        Migrator(client).transfer([CollectionJob("another", rebuild_index=True)], pg.locator)
    assert [facts.name for facts in pg.client().collections()] == ["another", "my-notes"]


def test_what_postgresql_cannot_hold_is_refused_and_nothing_is_published(tmp_path: Path, pg: PgMaker) -> None:
    with open_client(tmp_path / "db") as client:
        collection = client.create_collection("my-notes", embedding_function=None)
        collection.add(["a", "b"], embeddings=[[1.0, 2.0], [2.0, 1.0]], documents=["fine", "not \x00 fine"])
        with pytest.raises(LightmigrateError):
            Migrator(client).transfer([copy_job()], pg.locator)
        assert pg.client().collections() == []
        collection.update(["b"], documents=["fine"], embeddings=[[2.0, 1.0]])
        Migrator(client).transfer([copy_job()], pg.locator)
    assert pg.client().collection(NOTES).count() == 2


def test_a_database_that_cannot_receive_is_refused(tmp_path: Path, database: Path) -> None:
    np.save(tmp_path / "vectors.npy", make_vectors(3))
    with pytest.raises(DatabaseError, match="cannot receive collections of another database yet"):
        Migrator(database).plan_transfer([copy_job()], tmp_path)
    with pytest.raises(DatabaseError, match="cannot receive collections of another database yet"):
        Migrator(database).plan_transfer([copy_job()], MemoryStore())


def test_the_command_says_what_goes_with_to(database: Path, run: Any) -> None:
    code, _, err = run("migrate", database, "--to", "postgresql://nobody@localhost/none", "--target-model", "x")
    assert code == 1
    assert "--to takes --projection FILE" in err


def transfer_and_be_killed(folder: str, locator: str, failpoint: tuple[str, str, str], step: int) -> None:
    """In a process of its own, which is killed before a call of a method."""
    module, owner, method = failpoint
    kill_before(getattr(importlib.import_module(f"lightmigrate.stores.pgvector.{module}"), owner), method, COUNT, step)
    Migrator(folder, page_size=7).transfer([copy_job()], locator)


COUNT = itertools.count()
EXECUTE, ADD = ("session", "Session", "execute"), ("collection", "PgCollection", "add")
COMPLETE, PUBLISH = ("receive", "PgReceiver", "complete"), ("receive", "PgReceiver", "publish")

# `make crash` kills before every statement, too.
KILLS = [(EXECUTE, step) for step in range(100 if EVERY_OPERATION else 0)]
KILLS += [(ADD, 2), (COMPLETE, 0), (PUBLISH, 0)]


def test_a_killed_run_goes_on(tmp_path: Path, pg: PgMaker) -> None:
    held, arrived = make_source(tmp_path / "db"), []
    for failpoint, step in KILLS:
        if not was_killed(start(transfer_and_be_killed, str(tmp_path / "db"), pg.locator, failpoint, step)):
            assert failpoint == EXECUTE
            pg.client().delete(NOTES)
            continue
        assert pg.client().collections() == []
        name = sql.Identifier(incoming_name(NOTES))
        if pg.rows(sql.SQL("SELECT to_regclass({})").format(sql.Literal(name.as_string()))) != [(None,)]:
            arrived.append(pg.rows(sql.SQL("SELECT count(*) FROM {}").format(name))[0][0])
    assert arrived[-3:] == [14, 60, 60]
    (result,) = Migrator(tmp_path / "db").transfer([copy_job()], pg.locator)
    assert result.n_migrated == N
    records = pg.client().collection(NOTES).records(held["ids"])
    assert list(records.texts) == held["documents"]
    assert fields(records) == held["metadatas"]
    assert pg.rows(sql.SQL("SELECT relname FROM pg_class WHERE relname LIKE 'lightmigrate%'")) == []


def test_an_interrupted_run_to_another_model_begins_anew(tmp_path: Path, pg: PgMaker, projection: Projection) -> None:
    held = make_source(tmp_path / "db")
    assert was_killed(start(transfer_and_be_killed, str(tmp_path / "db"), pg.locator, PUBLISH, 0))
    Migrator(tmp_path / "db").transfer([CollectionJob(NOTES, projection)], pg.locator)
    vectors = pg.client().collection(NOTES).records(held["ids"]).vectors
    np.testing.assert_allclose(vectors, projection.apply(held["embeddings"]), rtol=1e-5, atol=1e-6)
