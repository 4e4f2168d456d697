"""A process that embeds every text is killed, while it does and afterwards: the same command goes on, and pays once."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.providers.same_model import PROBE
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.budget.collections import CORPUS, build, require_reembedded, texts
from tests.crash.run_embedding import MODEL, begin, command
from tests.encoders import shared_wordllama
from tests.migration.shadow.server import running_server
from tests.processes import TIMEOUT, start, was_killed
from tests.providers import embedding_server
from tests.providers.embedding_server import KEY, EmbeddingServer

ROWS = 400
SAID = [*texts(ROWS - 1), texts(1)[0]]  # one text twice

# Texts that the model has embedded at least when it answers no more: some of those that recognise it, and half of all.
KILLED_AT = (20, ROWS // 2)


@dataclass(frozen=True)
class Place:
    """A database of the old model.

    Attributes:
        name: its folder, or the port of its server.
        words: the options of a command that name it.
        client: opens a client for the length of a block.
        database: what the library is given, once no client of a folder is open.
        written: the step that reports when new vectors are written, but not in the database yet.
    """

    name: str
    words: tuple[str, ...]
    client: Callable[[], contextlib.AbstractContextManager[Any]]
    database: Callable[[], Any]
    written: str

    def vectors(self) -> Vectors:
        """All vectors, by row."""
        with self.client() as client:
            held = client.get_collection("notes", embedding_function=None)
            return np.asarray(held.get([f"n{row}" for row in range(ROWS)], include=["embeddings"])["embeddings"])

    def rows(self) -> dict[str, Any]:
        """Everything else."""
        with self.client() as client:
            held = client.get_collection("notes", embedding_function=None)
            return dict(held.get(include=["documents", "metadatas", "uris"]))


@pytest.fixture(params=["a folder", "a server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "a folder":
        folder = build(tmp_path / "home" / "db", SAID)
        yield Place(str(folder), (str(folder),), lambda: open_client(folder), lambda: folder, "verify")
        return
    with running_server(tmp_path / "db") as server:
        held = server.client().create_collection("notes", embedding_function=None)
        held.add(
            ids=[f"n{row}" for row in range(ROWS)],
            documents=SAID,
            embeddings=CORPUS.old_documents[:ROWS],
            metadatas=[{"row": row} for row in range(ROWS)],
        )
        words = ("--host", "127.0.0.1", "--port", str(server.port))
        yield Place(str(server.port), words, lambda: contextlib.nullcontext(server.client()), server.client, "project")


@pytest.fixture
def model() -> Iterator[EmbeddingServer]:
    with embedding_server.running_server() as server:
        server.others[MODEL] = shared_wordllama(128).embed
        yield server


@pytest.mark.parametrize("way", ["a command", "a start"])
def test_what_was_embedded_before_a_kill_is_not_paid_for_again(
    place: Place, model: EmbeddingServer, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": model.url,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    words = ("migrate", *place.words, "--target-provider", "openai", "--target-model", MODEL, "--yes")
    vectors, rows = place.vectors(), place.rows()

    def process(fatal: str = "") -> Any:
        if way == "a command":
            return start(command, words, environment, fatal)
        return start(begin, place.name, environment, fatal)

    for most in KILLED_AT:
        model.most, model.waiting = most, 0
        embedding, given_up = process(), time.monotonic() + TIMEOUT
        while not (model.waiting and _written(tmp_path / "cache") == len(_paid(model))):
            embedding.join(0.01)
            assert embedding.is_alive(), "it ended before it had embedded so many texts"
            assert time.monotonic() < given_up, "what the model has answered is not written"
        embedding.kill()
        assert was_killed(embedding)
        assert most <= len(_paid(model)) < len(set(SAID))
        np.testing.assert_array_equal(place.vectors(), vectors)
    model.most = None
    assert was_killed(process(place.written)), "after every text was embedded"
    assert set(_paid(model)) >= set(SAID)
    paid = len(_paid(model))
    np.testing.assert_array_equal(place.vectors(), vectors)
    assert not was_killed(process())
    assert len(_paid(model)) == len(set(_paid(model))) == paid, "no text was asked for twice"

    with place.client() as client:
        require_reembedded(client)
    (status,) = Migrator(place.database()).status()
    assert status.share_exact == 1.0
    Migrator(place.database()).rollback()
    np.testing.assert_array_equal(place.vectors(), vectors)
    assert place.rows() == rows


def _paid(model: EmbeddingServer) -> list[str]:
    """The texts that the model has embedded; which model it is, each run asks it once."""
    return [text for text in model.texts if text != PROBE]


def _written(cache: Path) -> int:
    """How many texts are in the cache of embeddings."""
    with contextlib.closing(sqlite3.connect(cache / "lightmigrate" / "embeddings.sqlite3")) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM embeddings").fetchone()[0])
        except sqlite3.OperationalError:  # it is just being created
            return 0
