"""The new model's queries on a collection that was not migrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import BridgedEmbeddingFunction, Migrator, Model, Projection, fit
from lightmigrate.errors import WrongDirectionError
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import CORPUS, NEW, ROWS, build, cached, texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("bridge") / "db")


@pytest.fixture(scope="module")
def back(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Projection:
    return Migrator(folder).bridge("notes", cached(tmp_path_factory.mktemp("cache")), source_model=Model("potion", 256))


def test_queries_by_the_new_model_find_documents_of_the_old_one(folder: Path, back: Projection, tmp_path: Path) -> None:
    function = BridgedEmbeddingFunction(NEW, back.save(tmp_path / "back.npz"))
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=function)
        asked = [" ".join(text.split()[20:50]) for text in texts(60)]
        found = collection.query(query_texts=asked, n_results=10)["ids"]
        collection.add(ids=["late"], documents=["a text that came later"])
        assert len(collection.get(ids=["late"], include=["embeddings"])["embeddings"][0]) == 256
        collection.delete(ids=["late"])
    hits = np.mean([f"n{row}" in ids for row, ids in enumerate(found)])
    assert hits > 0.7
    assert 0 < back.info.quality["bridged_recall"] <= back.info.quality["reembedded_recall"] <= 1


def test_the_way_there_is_refused_as_the_way_back(folder: Path) -> None:
    new = np.asarray(NEW.embed(texts()), dtype=np.float32)
    there = fit(
        CORPUS.old_documents[:ROWS], new, source_model=Model("potion", 256), target_model=Model("wordllama-128", 128)
    )
    with pytest.raises(WrongDirectionError, match="leads from wordllama-128 to the model of the stored vectors"):
        BridgedEmbeddingFunction(NEW, there)
    nameless = fit(CORPUS.old_documents[:ROWS], new)
    with pytest.raises(WrongDirectionError, match="128 dimensions"):
        BridgedEmbeddingFunction(NEW, nameless)(["text"])


def test_it_stands_in_for_the_function_a_collection_records(tmp_path: Path, back: Projection) -> None:
    from tests.encoders import MiniLMFunction, WordLlamaFunction

    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=WordLlamaFunction(256)).add(ids=["a"], documents=["text"])
        record = {"name": "test_wordllama", "config": {"dimension": 256}}
        function = BridgedEmbeddingFunction(NEW, back, record)
        held = client.get_collection("notes", embedding_function=function)
        assert held.query(query_texts=["text"], n_results=1)["ids"] == [["a"]]
        with pytest.raises(ValueError, match="conflict"):
            client.get_collection("notes", embedding_function=MiniLMFunction())
