"""What a start asks a server that embeds for: every text once, and hardly anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from lightmigrate import auto_migrate
from lightmigrate.providers.cache import PROBE
from lightmigrate.providers.parallel import CALLS_AT_ONCE
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
    assert Counter(server.texts) == Counter([PROBE, *TEXTS]), "nothing but its texts, and no text twice"
    # in the first one the fixed text and the documents by which the model is recognised, in the second one the others
    assert server.requests <= 2 + CALLS_AT_ONCE


def test_a_model_that_does_not_answer_changes_nothing(folder: Path, server: EmbeddingServer) -> None:
    function = OpenAIEmbeddingFunction(model_name=MODEL, api_base=server.url)
    server.failures = [403] * 9
    report = auto_migrate(folder, function, max_cost=1.0)
    assert report.action == "failed"
    assert list(folder.parent.glob(".*")) == []
