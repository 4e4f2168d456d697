"""`auto_migrate` on the memories of mem0, written and searched by the package itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import auto_migrate
from lightmigrate.stores.chroma.client import open_client
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server
from tests.startup.starts import CORPUS

TEXTS = [text[:200] for text in CORPUS.documents[:60]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EmbeddingServer]:
    """What mem0 embeds with: wordllama, in 128 or 256 dimensions, as the model's name says."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MEM0_TELEMETRY", "False")
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "mem0"))
    with running_server() as running:
        yield running


@pytest.fixture
def memory(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Any, int], Any]:
    """Opens mem0 on a Chroma client, with an embedding model of so many dimensions."""
    mem0 = importlib.import_module("mem0")

    def opened(client: Any, dimension: int) -> Any:
        def embed(server: EmbeddingServer, texts: list[str], name: str) -> Any:
            return shared_wordllama(dimension).embed(texts)

        monkeypatch.setattr(EmbeddingServer, "embed", embed)
        model = {"model": "minilm", "openai_base_url": server.url, "embedding_dims": dimension}
        return mem0.Memory.from_config(
            {
                "vector_store": {"provider": "chroma", "config": {"collection_name": "mem0", "client": client}},
                "embedder": {"provider": "openai", "config": model},
                "history_db_path": str(tmp_path / "history.db"),
            }
        )

    return opened


def test_mem0_finds_its_memories_with_another_model(memory: Callable[[Any, int], Any], tmp_path: Path) -> None:
    folder = tmp_path / "db"
    with open_client(folder) as client:
        old = memory(client, 128)
        for row, text in enumerate(TEXTS):
            old.add(text, user_id=f"user-{row % 2}", infer=False)
    report = auto_migrate(folder, WordLlamaFunction(256), calibrate=100, min_quality=0.1)
    assert report.action == "migrated", report
    (one,) = report.collections
    assert one.texts.startswith("the metadata field 'data'")
    assert (one.migrated, one.exact) == (len(TEXTS), len(TEXTS))
    with open_client(folder) as client:
        new = memory(client, 256)
        found = new.search(TEXTS[7], filters={"user_id": "user-1"}, top_k=3)["results"]
        assert found[0]["memory"] == TEXTS[7]
        assert {one["user_id"] for one in found} == {"user-1"}
        new.add("A new memory of the other model.", user_id="user-1", infer=False)
        assert len(new.get_all(filters={"user_id": "user-1"}, top_k=100)["results"]) == 31
