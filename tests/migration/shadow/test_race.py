"""Two machines that start in the same instant before one Chroma server: nothing is arranged after that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Model, auto_migrate
from lightmigrate.errors import AnotherRunError, LightmigrateError, WrongDirectionError
from lightmigrate.stores.chroma.names import State, VersionName
from tests.budget.collections import CORPUS, texts
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.migration.shadow.server import Server, connect, shared_server
from tests.processes import context, start

NAME, ROWS, OLD_DIM, NEW_DIM = "notes", 120, 256, 64
PROJECTION = make_projection(source=Model("old", OLD_DIM), target=Model("new", NEW_DIM))
ROUNDS = 4
RECORDS: dict[str, Any] = {
    "ids": [f"n{row}" for row in range(ROWS)],
    "documents": texts(ROWS),
    "metadatas": [{"row": row} for row in range(ROWS)],
}


def run(port: int, machine: Path, together: Barrier, told: Connection) -> None:
    """Do as told on a machine of its own, each time together with the other one; says what came of it."""
    os.environ["XDG_CACHE_HOME"] = str(machine)
    function = WordLlamaFunction(NEW_DIM)
    function(["loads the model"])
    while (how := told.recv()) is not None:
        client = connect(port)
        together.wait(60)
        try:
            if how == "start":
                told.send(auto_migrate(client, function).action)
            else:
                Migrator(client).migrate([CollectionJob(NAME, PROJECTION)])
                told.send("migrated")
        except LightmigrateError as error:
            told.send(type(error).__name__)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Connection]]]:
    server, together = shared_server(), context().Barrier(2)
    processes, ends = [], []
    for name in ("one", "other"):
        here, there = context().Pipe()
        processes.append(start(run, server.port, tmp_path_factory.mktemp(name), together, there))
        there.close()
        ends.append(here)
    yield server, ends
    for end, process in zip(ends, processes, strict=True):
        end.send(None)
        process.join(60)
        assert process.exitcode == 0


@pytest.mark.parametrize("how", ["start", "migrate"])
def test_exactly_one_migrates_and_nothing_is_lost(how: str, machines: tuple[Server, list[Connection]]) -> None:
    server, ends = machines
    client, others = server.client(), []
    for _ in range(ROUNDS):
        client.reset()
        client.create_collection(NAME, embedding_function=None).add(embeddings=CORPUS.old_documents[:ROWS], **RECORDS)
        for end in ends:
            end.send(how)
        outcomes = [end.recv() for end in ends]
        assert outcomes.count("migrated") == 1
        others += [outcome for outcome in outcomes if outcome != "migrated"]
        require_whole(client, how)
    if how == "start":
        assert others == ["nothing"] * ROUNDS, "it waited, and found the work done"
    else:
        assert AnotherRunError.__name__ in others
        # who comes to it a whole migration later finds other vectors than the projection is for
        assert {AnotherRunError.__name__, WrongDirectionError.__name__} >= set(others)


def require_whole(client: Any, how: str) -> None:
    """One collection of the new model and one backup, with all records; no lock, no unfinished version."""
    names = {VersionName.parse(one.name).state: one.name for one in client.list_collections()}
    assert names.keys() == {State.OWN, State.OLD}
    assert names[State.OWN] == NAME
    assert len(client.list_collections()) == 2
    projected = PROJECTION.apply(CORPUS.old_documents[:ROWS])
    expected = shared_wordllama(NEW_DIM).embed(RECORDS["documents"]) if how == "start" else projected
    for name, vectors in ((names[State.OLD], CORPUS.old_documents[:ROWS]), (NAME, expected)):
        rows = client.get_collection(name, embedding_function=None).get(
            include=["embeddings", "documents", "metadatas"]
        )
        assert {column: rows[column] for column in RECORDS} == RECORDS
        np.testing.assert_allclose(rows["embeddings"], vectors, atol=1e-5)
