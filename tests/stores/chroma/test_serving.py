"""What the application has opened is shared with it and observed, and the application decides when it closes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.rust import RustBindingsAPI
from chromadb.config import Settings, System

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import open_database, open_folder, served
from lightmigrate.stores.serving import Served
from lightmigrate.stores.users import users_of
from tests.processes import TIMEOUT

# As applications have them: another client with other settings for the same folder would raise.
SETTINGS = Settings(anonymized_telemetry=False, allow_reset=True)
NOTES = Address("notes")


def opened(folder: Path) -> Any:
    client: Any = chromadb.PersistentClient(str(folder), SETTINGS)
    notes = client.get_or_create_collection("notes", embedding_function=None)
    notes.upsert(ids=["a", "b"], embeddings=[[1.0, 0.0], [0.0, 1.0]])
    return client


def test_it_is_the_applications_engine_and_is_not_held_open(tmp_path: Path) -> None:
    database = open_folder(tmp_path / "db")
    assert served(database) is None
    with opened(tmp_path / "db") as client:
        shared = served(database)
        assert shared is not None
        assert shared.blocks_searches
        notes = client.get_collection("notes", embedding_function=None)
        with shared.own():
            shared.store.collection(NOTES).replace_vectors(["a"], np.array([[-1.0, 0.0]], np.float32))
        assert notes.query(query_embeddings=[[-1.0, 0.0]], n_results=1)["ids"] == [["a"]]
        notes.add(ids=["c"], embeddings=[[0.5, 0.5]])
        with shared.own():
            assert list(shared.store.collection(NOTES).ids()) == ["a", "b", "c"]
        again: Any = chromadb.PersistentClient(str(tmp_path / "db"), SETTINGS)  # the same settings are still accepted
        again.close()
        assert not shared.closed
    assert shared.closed
    assert users_of(tmp_path / "db" / "chroma.sqlite3") == []
    with pytest.raises(DatabaseError, match="the application has closed"), shared.own():
        pass
    assert served(database) is None


def test_an_engine_that_is_just_being_opened_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that ask an engine for its parts before it runs make one each, and one of them never runs."""
    database, seen = open_folder(tmp_path / "db"), list[Served | None]()
    looking, runs = threading.Event(), threading.Event()
    initialize, begin = RustBindingsAPI.__init__, System.start

    def look() -> None:
        seen.append(served(database))
        looking.set()

    thread = threading.Thread(target=look)

    def looked_at_meanwhile(engine: RustBindingsAPI, system: System) -> None:
        if threading.current_thread() is thread:
            looking.set()
            assert runs.wait(TIMEOUT)
        else:
            thread.start()
            assert looking.wait(TIMEOUT)
        initialize(engine, system)

    def start(system: System) -> None:
        begin(system)
        runs.set()
        thread.join()

    monkeypatch.setattr(RustBindingsAPI, "__init__", looked_at_meanwhile)
    monkeypatch.setattr(System, "start", start)
    with opened(tmp_path / "db"):
        assert seen == [None]
        assert served(database) is not None


def test_calls_of_the_application_are_observed_and_own_ones_are_not(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as client:
        notes = client.get_collection("notes", embedding_function=None)
        shared = served(open_folder(tmp_path / "db"))
        assert shared is not None
        with shared.own():
            shared.store.collection(NOTES).nearest(np.eye(2, dtype=np.float32), 1)
        assert (shared.found(), shared.seconds_since_call()) == ([], float("inf"))
        notes.query(query_embeddings=[[1.0, 0.0], [0.0, 1.0]], n_results=2)
        assert [(one.collection, list(one.ids)) for one in shared.found()] == [
            (str(notes.id), ["a", "b"]),
            (str(notes.id), ["b", "a"]),
        ]
        assert shared.found() == []
        assert shared.seconds_since_call() < 60
        with pytest.raises(Exception, match="dimension"):
            notes.query(query_embeddings=[[1.0, 0.0, 0.0]])
        assert shared.calls_under_way() == 0
        before = dict(vars(client._server))
        shared.release()
        assert [name for name in before if name not in vars(client._server)] != []
        assert not [name for name in vars(client._server) if name in ("_query", "_get", "stop")]


def test_closing_waits_for_a_call_that_is_under_way(tmp_path: Path) -> None:
    client = opened(tmp_path / "db")
    shared = served(open_folder(tmp_path / "db"))
    assert shared is not None
    closing = threading.Thread(target=client.close)
    with shared.own():
        closing.start()
        assert shared.store.collection(NOTES).count() == 2
        assert not shared.closed
    closing.join(60)
    assert shared.closed


def test_a_client_is_shared_as_it_is(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as client:
        shared = served(open_database(client))
        assert shared is not None
        with shared.own():
            assert shared.store.collection(NOTES).count() == 2
        shared.release()
    assert shared.closed


def test_searches_of_its_own_are_not_the_application_s_in_however_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightmigrate.stores.chroma.collection.cores", lambda: 3)
    with opened(tmp_path / "db"):
        shared = served(open_folder(tmp_path / "db"))
        assert shared is not None
        queries = np.eye(2, dtype=np.float32)[[0, 1, 1] * 20]
        with shared.own():
            ids, distances = shared.store.collection(NOTES).nearest(queries, 1)
        assert ids == [["a"], ["b"], ["b"]] * 20
        np.testing.assert_allclose(distances, 0.0, atol=1e-6)
        assert (shared.found(), shared.seconds_since_call()) == ([], float("inf"))
