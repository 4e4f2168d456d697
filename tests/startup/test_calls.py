"""What a start asks a server that embeds for: every text once, and hardly anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction
from langchain_core.embeddings import Embeddings
from openai import OpenAI

from lightmigrate import auto_migrate
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.parallel import CALLS_AT_ONCE
from lightmigrate.providers.same_model import PROBE
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server
from tests.startup.starts import CORPUS, MINILM, vectors_of, write

TEXTS = list(CORPUS.documents[:100])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = shared_wordllama(64).embed
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with vectors of another dimension."""
    return write(tmp_path / "own" / "db", vectors_of(MINILM)[:100], documents=TEXTS)


def test_a_small_collection_takes_two_rounds_of_calls(folder: Path, server: EmbeddingServer) -> None:
    function = OpenAIEmbeddingFunction(model_name=MODEL, api_base=server.url)
    report = auto_migrate(folder, function, max_cost=1.0)
    (collection,) = report.collections
    assert (report.action, collection.exact) == ("migrated", len(TEXTS)), report.error
    assert Counter(server.paid) == Counter(TEXTS), "nothing but its texts, and no text twice"
    assert server.texts.count(PROBE) == server.requests, "each with the fixed text, which has the first one for itself"
    # in the first one the fixed text and the documents by which the model is recognised, in the second one the others
    assert server.requests <= 2 + CALLS_AT_ONCE


class Own(Embeddings):
    """An application's own class around a client: it has no name and reports no configuration."""

    def __init__(self, url: str, model: str = MODEL, api_key: str | None = None) -> None:
        self.model, self._client = model, OpenAI(base_url=url, api_key=api_key)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        answer = self._client.embeddings.create(input=texts, model=self.model)
        return [each.embedding for each in answer.data]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_a_service_without_a_name_is_paid_once_for_a_text(
    tmp_path: Path, folder: Path, server: EmbeddingServer
) -> None:
    assert auto_migrate(folder, Own(server.url)).action == "migrated"
    again = write(tmp_path / "again" / "db", vectors_of(MINILM)[:100], documents=TEXTS)
    asked = len(server.texts)
    assert auto_migrate(again, Own(server.url)).action == "migrated", "as a start does after a killed one"
    assert set(server.texts[asked:]) == {PROBE}


def test_another_model_or_server_without_a_name_is_another_one(server: EmbeddingServer) -> None:
    one, other = ChromaProvider(Own(server.url)), ChromaProvider(Own(server.url, "another"))
    elsewhere = ChromaProvider(Own("http://127.0.0.1:9/v1"))
    assert len({one.key, other.key, elsewhere.key}) == 3
    assert one.key == ChromaProvider(Own(server.url, api_key="another key")).key, "it says nothing about the model"
    nameless = Own(server.url, "")
    assert ChromaProvider(nameless).key != ChromaProvider(nameless).key


def test_a_model_that_does_not_answer_changes_nothing(folder: Path, server: EmbeddingServer) -> None:
    function = OpenAIEmbeddingFunction(model_name=MODEL, api_base=server.url)
    server.failures = [403] * 9
    report = auto_migrate(folder, function, max_cost=1.0)
    assert report.action == "failed"
    assert list(folder.parent.glob(".*")) == []
