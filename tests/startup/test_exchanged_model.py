"""A server begins to serve another model under the same name while an application starts, or while it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction
from openai import OpenAI

from lightmigrate import auto_migrate
from lightmigrate.refinement import background
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.vectors import Vectors
from tests.databases import folder_hash
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server
from tests.startup.serving import FIRST_STEP, IDS, SERVED, documents, fill, open_folder
from tests.startup.test_background import MEMORY, TIMEOUT, environment

__all__ = ["environment"]

Embed = Callable[[list[str]], Vectors]

FIRST: Embed = shared_wordllama().embed
SECOND: dict[str, Embed] = {
    "the same dimension": lambda texts: np.ascontiguousarray(FIRST(texts)[:, ::-1]),
    "another dimension": shared_wordllama(64).embed,
}


class Bare:
    """An application's own function around a client, which no later object is known to be the same as."""

    def __init__(self, url: str) -> None:
        self._client = OpenAI(base_url=url)

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        return [each.embedding for each in self._client.embeddings.create(input=list(texts), model=MODEL).data]


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "with a name": lambda url: OpenAIEmbeddingFunction(model_name=MODEL, api_base=url),
    "without one": Bare,
}


CASES = pytest.mark.parametrize(
    ("function", "second"), list(zip(FUNCTIONS.values(), SECOND.values(), strict=True)), ids=list(FUNCTIONS)
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = FIRST
        yield running


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A database of the old model."""
    with open_folder(tmp_path / "home" / "chroma_data") as client:
        fill(client)
    return tmp_path / "home" / "chroma_data"


def exchange_after(server: EmbeddingServer, more: int, second: Embed) -> None:
    """The server serves another model once it has embedded so many more texts."""
    last = len(server.texts) + more
    server.model = lambda texts: (FIRST if len(server.texts) <= last else second)(texts)


def held(folder: Path) -> Vectors:
    with open_folder(folder) as client:
        collection = client.get_collection("memory", embedding_function=None)
        return np.asarray(collection.get(IDS, include=["embeddings"])["embeddings"], np.float32)


@CASES
def test_a_start_leaves_the_database_as_it_was(
    folder: Path,
    server: EmbeddingServer,
    function: Callable[[str], Any],
    second: Embed,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = folder_hash(folder)
    exchange_after(server, SERVED // 2, second)
    report = auto_migrate(folder, function(server.url), refine="off", max_cost=1.0)
    assert (report.action, "was the model exchanged" in caplog.text) == ("refused", True), report
    assert folder_hash(folder) == before
    report = auto_migrate(folder, function(server.url), refine="off", max_cost=1.0)
    assert report.action == "migrated", report.error
    np.testing.assert_allclose(held(folder), second(documents()), atol=1e-6)


@CASES
def test_rows_become_exact_as_long_as_the_model_is_there(
    folder: Path,
    server: EmbeddingServer,
    function: Callable[[str], Any],
    second: Embed,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "RETRIES", ())
    assert auto_migrate(folder, function(server.url), refine="off", **FIRST_STEP).action == "migrated"
    projected, done = held(folder), exact(folder)
    exchange_after(server, 100, second)
    report = auto_migrate(folder, function(server.url), refine="background", **FIRST_STEP)
    assert report.refinement is not None, report
    with open_folder(folder):
        assert report.refinement.wait(TIMEOUT)
    assert report.refinement.status.state == "failed"
    assert "was the model exchanged" in caplog.text
    now, more = held(folder), exact(folder)
    assert len(done) < len(more) < SERVED
    own = FIRST(documents())
    for row, vector in enumerate(now):
        np.testing.assert_allclose(vector, own[row] if IDS[row] in more else projected[row], atol=1e-6)


@CASES
def test_no_row_becomes_exact_after_a_start_with_another_model(
    folder: Path,
    server: EmbeddingServer,
    function: Callable[[str], Any],
    second: Embed,
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = auto_migrate(folder, function(server.url), refine="background", **FIRST_STEP)
    assert report.refinement is not None, report
    server.model = second
    with open_folder(folder):
        assert report.refinement.wait(TIMEOUT)
    assert report.refinement.status.state == "failed"
    assert "gives other vectors" in caplog.text
    own, vectors, done = FIRST(documents()), held(folder), exact(folder)
    assert 0 < len(done) < SERVED
    for row in (row for row, record in enumerate(IDS) if record in done):
        np.testing.assert_allclose(vectors[row], own[row], atol=1e-6)


def exact(folder: Path) -> set[str]:
    with Provenance.existing(folder) as provenance:
        return set(provenance.ids(MEMORY, VectorOrigin.EXACT))
