"""LlamaIndex applications whose embedding model changes: real packages, a real encoder, LlamaIndex's own searches."""

from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from examples.llamaindex_notes import answer, open_notes
from lightmigrate import Migrator
from lightmigrate.integrations.llamaindex import BridgedEmbedding
from lightmigrate.providers.chroma import ChromaProvider
from tests.integrations.models import LlamaIndexModel, nearest, notes

OLD, NEW = LlamaIndexModel(64), LlamaIndexModel(256)
QUESTION = "an instrument that measures"


def build(folder: Path) -> ChromaVectorStore:
    """The application before its model changes."""
    store = ChromaVectorStore(chromadb.PersistentClient(str(folder)).get_or_create_collection("notes"))
    nodes = [TextNode(id_=f"n{row}", text=text) for row, text in enumerate(notes())]
    VectorStoreIndex(nodes, embed_model=OLD, storage_context=StorageContext.from_defaults(vector_store=store))
    return store


def test_an_application_changes_its_model_and_its_searches_are_answered(tmp_path: Path) -> None:
    build(tmp_path / "db")
    assert answer(open_notes(str(tmp_path / "db"), OLD), QUESTION) == nearest(64, QUESTION)
    after = open_notes(str(tmp_path / "db"), NEW)
    assert answer(after, QUESTION) == nearest(256, QUESTION)
    after.insert_nodes([TextNode(text="a note that came later")])
    assert answer(after, "a note that came later")[0] == "a note that came later"


def test_queries_of_the_new_model_before_the_migration(tmp_path: Path) -> None:
    store = build(tmp_path / "db")
    back = Migrator(store).bridge("notes", ChromaProvider(NEW))
    bridged = VectorStoreIndex.from_vector_store(store, BridgedEmbedding(NEW, back))
    assert np.mean([note in answer(bridged, note) for note in notes()]) > 0.8
    assert len(BridgedEmbedding(NEW, back).get_text_embedding_batch(["one", "two"])[1]) == 64
