"""Two machines before one Chroma server: processes that share nothing but the server."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import CollectionJob, Migrator, auto_migrate
from lightmigrate.errors import AnotherRunError
from lightmigrate.progress import Progress
from lightmigrate.stores.chroma import claim
from lightmigrate.stores.chroma.claim import LOCK, ServerLock
from tests.databases import NEW_DIM, make_projection, records
from tests.migration.shadow.server import Server, connect, shared_server
from tests.processes import context, start

NAME = "notes"


@pytest.fixture
def server() -> Server:
    server = shared_server()
    client = server.client()
    client.reset()
    client.create_collection(NAME, embedding_function=None).add(**records(60))
    return server


def migrate(port: int, machine: Path, told: Connection) -> None:
    """Migrate on a machine of its own: says when it has begun, and goes on when it is told to."""
    os.environ["XDG_CACHE_HOME"] = str(machine)
    waits = True

    def on_progress(progress: Progress) -> None:
        nonlocal waits
        if waits:
            waits = False
            told.send("begun")
            told.recv()

    try:
        Migrator(connect(port), on_progress=on_progress).migrate([CollectionJob(NAME, make_projection())])
    except AnotherRunError as error:
        told.send(str(error))
    else:
        told.send("migrated")


def start_server_process(port: int, machine: Path, told: Connection) -> None:
    """Start the application on a machine of its own."""
    os.environ["XDG_CACHE_HOME"] = str(machine)
    told.send("started")
    told.send(auto_migrate(connect(port), expected_dim=NEW_DIM).action)


def begun(function: Any, port: int, machine: Path) -> tuple[Any, Connection]:
    here, there = context().Pipe()
    process = start(function, port, machine, there)
    there.close()
    return process, here


def dimension(client: Any) -> int:
    held = client.get_collection(NAME, embedding_function=None).get(limit=1, include=["embeddings"])
    return int(held["embeddings"].shape[1])


def test_of_two_machines_that_start_at_once_one_migrates(server: Server, tmp_path: Path) -> None:
    first, told = begun(migrate, server.port, tmp_path / "first")
    assert told.recv() == "begun"
    second, answer = begun(migrate, server.port, tmp_path / "second")
    assert "another machine is working on this database" in answer.recv()
    third, report = begun(start_server_process, server.port, tmp_path / "third")
    assert report.recv() == "started"
    told.send("go on")
    assert told.recv() == "migrated"
    assert report.recv() == "nothing"
    for process in (first, second, third):
        process.join()
    client = server.client()
    assert dimension(client) == NEW_DIM
    assert [one.name for one in client.list_collections() if one.name.startswith(LOCK)] == []
    assert len(client.list_collections()) == 2, "one backup"


@pytest.mark.parametrize("machine", ["first", "second"])
def test_what_a_killed_process_held_is_taken_over(
    machine: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once by another process of its machine, by other machines when the lock has expired."""
    process, told = begun(migrate, server.port, tmp_path / "first")
    assert told.recv() == "begun"
    process.kill()
    process.join()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
    monkeypatch.setattr(claim, "SECONDS_TO_EXPIRE", 1.0 if machine == "second" else 1e9)
    client = server.client()
    Migrator(client).migrate([CollectionJob(NAME, make_projection())])
    assert dimension(client) == NEW_DIM
    assert [one.name for one in client.list_collections() if one.name.startswith(LOCK)] == []


def test_a_holder_that_was_silent_for_too_long_exchanges_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "SECONDS_PER_BEAT", 1e6)
    monkeypatch.setattr(claim, "SECONDS_TO_EXPIRE", 0.5)
    client, other = server.client(), ServerLock(server.client())
    with other.held("other machine") as still:
        still()
        with ServerLock(client).held("this one") as ours:
            with pytest.raises(AnotherRunError, match="took this database over"):
                still()
            ours()
    assert not other.is_held()


def test_a_lock_in_use_is_refused_soon(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "SECONDS_PER_BEAT", 0.05)
    with ServerLock(server.client()).held("other machine"):
        with pytest.raises(AnotherRunError), ServerLock(server.client()).held("this one"):
            raise AssertionError
        assert not Migrator(server.client()).interrupted
        assert Migrator(server.client()).unfinished is None
        assert [str(facts.address) for facts in Migrator(server.client()).collections()] == [NAME]
