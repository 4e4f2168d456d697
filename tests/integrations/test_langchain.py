"""LangChain applications whose embedding model changes: real packages, a real encoder, LangChain's own searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from langchain_chroma import Chroma

from examples.langchain_notes import answer, open_notes
from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError, WrongDirectionError
from lightmigrate.integrations.langchain import BridgedEmbeddings, auto_migrate
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.base import Store
from lightmigrate.stores.open import open_database
from tests.integrations.models import LangChainModel, nearest, notes

OLD, NEW = LangChainModel(64), LangChainModel(256)
QUESTION = "an instrument that measures"


def stored(folder: Path) -> Chroma:
    """The application before its model changes."""
    store = open_notes(str(folder), OLD)
    store.add_texts(list(notes()), [{"row": row} for row in range(len(notes()))], [f"n{row}" for row in range(90)])
    return store


def test_an_application_changes_its_model_and_its_searches_are_answered(tmp_path: Path) -> None:
    before = stored(tmp_path / "db")
    assert answer(before, QUESTION) == nearest(64, QUESTION)
    after = open_notes(str(tmp_path / "db"), NEW)
    assert answer(after, QUESTION) == nearest(256, QUESTION)
    assert after.get(["n7"])["documents"] == [notes()[7]]
    assert after.get(["n7"])["metadatas"] == [{"row": 7}]
    after.add_texts(["a note that came later"], ids=["late"])
    assert answer(after, "a note that came later")[0] == "a note that came later"


def test_a_store_that_is_open_goes_on(tmp_path: Path) -> None:
    store = stored(tmp_path / "db")
    report = auto_migrate(store, NEW)
    assert report.action == "migrated"
    other = Chroma("notes", NEW, client=chromadb.PersistentClient(str(tmp_path / "db")))
    assert answer(other, QUESTION) == nearest(256, QUESTION)
    vectors: Any = store.get(["n3"], include=["embeddings"])["embeddings"]
    np.testing.assert_allclose(vectors[0], NEW.embed_query(notes()[3]), rtol=1e-4, atol=1e-5)
    assert auto_migrate(other).action == "nothing"


def test_only_its_own_collection_is_looked_at(tmp_path: Path) -> None:
    client: Any = chromadb.PersistentClient(str(tmp_path / "db"))
    client.create_collection("notes-of-others").add(["a"], embeddings=[[1.0, 2.0, 3.0]])
    stored(tmp_path / "db")
    report = auto_migrate(Chroma("notes", NEW, client=client))
    assert [found.finding.address.name for found in report.collections] == ["notes"]
    assert client.get_collection("notes-of-others").get(include=["embeddings"])["embeddings"][0].tolist() == [1, 2, 3]


def test_a_database_in_memory_is_migrated_too() -> None:
    store = Chroma("in_memory", OLD, client=chromadb.EphemeralClient())
    store.add_texts(list(notes()))
    with open_database(store) as opened:  # type: ignore[union-attr]  # a client is a store
        assert isinstance(opened, Store)
        assert opened.folder is None
    assert auto_migrate(store, NEW).action == "migrated"
    assert answer(Chroma("in_memory", NEW, client=chromadb.EphemeralClient()), QUESTION) == nearest(256, QUESTION)


def test_queries_of_the_new_model_before_the_migration(tmp_path: Path) -> None:
    store = stored(tmp_path / "db")
    back = Migrator(store).bridge("notes", ChromaProvider(NEW))
    bridged = Chroma("notes", BridgedEmbeddings(NEW, back), client=store._client)
    hits = [note in answer(bridged, note) for note in notes()]
    assert np.mean(hits) > 0.8
    assert len(BridgedEmbeddings(NEW, back).embed_documents(["one", "two"])[1]) == 64
    with pytest.raises(WrongDirectionError):
        BridgedEmbeddings(OLD, back).embed_query("one")


def test_what_holds_no_collection_is_refused() -> None:
    with pytest.raises(LightmigrateError, match="LangChainModel holds no collection"):
        auto_migrate(NEW)
    with pytest.raises(LightmigrateError, match="does not know its embedding model"):
        auto_migrate(Chroma("empty", client=chromadb.EphemeralClient()))
