"""Collections that LangChain, LlamaIndex and mem0 wrote are migrated, and their own code finds the same texts again."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaQdrantVectorStore
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.base import Address
from lightmigrate.stores.qdrant.store import QdrantStore
from lightmigrate.texts.chosen import chosen_texts
from tests.encoders import shared_wordllama
from tests.integrations.models import LangChainModel, LlamaIndexModel
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server

TEXTS = [text[:300] for text in load_corpus().documents[:90]]
OLD, NEW = 128, 256


class LengthsOfWords(SparseEmbeddings):
    """A sparse encoder: which lengths the words of a text have, and how often."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> SparseVector:
        lengths = [len(word) for word in text.split()]
        found = sorted(set(lengths))
        return SparseVector(indices=found, values=[float(lengths.count(length)) for length in found])


def fitted(client: QdrantClient, name: str) -> Projection:
    """A projection, fitted to what the new encoder makes of the texts that are found in a collection."""
    collection = QdrantStore(client).collection(Address(name))
    page = collection.sample(1000)
    texts = [text or "" for text in chosen_texts(collection).texts_of(page)]
    assert all(texts)
    return fit(page.vectors, shared_wordllama(NEW).embed(texts))


@pytest.mark.parametrize("hybrid", [False, True])
def test_langchain_finds_its_documents_with_another_model(hybrid: bool) -> None:
    client = QdrantClient(":memory:")
    mode: dict[str, Any] = {}
    sparse = {"sparse": models.SparseVectorParams()} if hybrid else None
    if hybrid:
        mode = {
            "retrieval_mode": RetrievalMode.HYBRID,
            "sparse_embedding": LengthsOfWords(),
            "vector_name": "dense",
            "sparse_vector_name": "sparse",
        }

    def opened(dimension: int) -> QdrantVectorStore:
        return QdrantVectorStore(client, "docs", LangChainModel(dimension), **mode)

    params = models.VectorParams(size=OLD, distance=models.Distance.COSINE)
    client.create_collection(
        "docs", vectors_config={"dense": params} if hybrid else params, sparse_vectors_config=sparse
    )
    documents = [Document(text, metadata={"row": row}) for row, text in enumerate(TEXTS)]
    opened(OLD).add_documents(documents)
    Migrator(client).migrate_collection("docs", fitted(client, "docs"))
    new = opened(NEW)
    for row in range(0, len(TEXTS), 9):
        (found,) = new.similarity_search(TEXTS[row], k=1)
        assert (found.page_content, found.metadata["row"]) == (TEXTS[row], row)
    new.add_documents([Document("A new document of the other model.", metadata={"row": -1})])
    assert client.count("docs").count == len(TEXTS) + 1


def test_llamaindex_finds_its_nodes_with_another_model() -> None:
    client = QdrantClient(":memory:")
    store = LlamaQdrantVectorStore(client=client, collection_name="nodes")
    nodes = [TextNode(text=text, metadata={"source": f"{row}.md"}) for row, text in enumerate(TEXTS)]
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(nodes, storage_context=context, embed_model=LlamaIndexModel(OLD))
    collection = QdrantStore(client).collection(Address("nodes"))
    page = collection.sample(5)
    assert set(page.texts) == {None}  # the text is in the node
    assert all("source: " in str(text) for text in chosen_texts(collection).texts_of(page))
    Migrator(client).migrate_collection("nodes", fitted(client, "nodes"))
    store = LlamaQdrantVectorStore(client=client, collection_name="nodes")
    index = VectorStoreIndex.from_vector_store(store, embed_model=LlamaIndexModel(NEW))
    retriever = index.as_retriever(similarity_top_k=1)
    for row in range(0, len(TEXTS), 9):
        (found,) = retriever.retrieve(TEXTS[row])
        assert found.node.get_content() == TEXTS[row]
        assert found.node.metadata == {"source": f"{row}.md"}


def test_mem0_finds_its_memories_with_another_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MEM0_TELEMETRY", "False")
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "mem0"))
    mem0, client = importlib.import_module("mem0"), QdrantClient(":memory:")
    with running_server() as server:

        def opened(dimension: int) -> Any:
            def embed(server: EmbeddingServer, texts: list[str], name: str) -> Any:
                return shared_wordllama(dimension).embed(texts)

            monkeypatch.setattr(EmbeddingServer, "embed", embed)
            model = {"model": "minilm", "openai_base_url": server.url, "embedding_dims": dimension}
            place = {"collection_name": "memories", "client": client, "embedding_model_dims": dimension}
            return mem0.Memory.from_config(
                {
                    "vector_store": {"provider": "qdrant", "config": place},
                    "embedder": {"provider": "openai", "config": model},
                    "history_db_path": str(tmp_path / "history.db"),
                }
            )

        old = opened(OLD)
        for row, text in enumerate(TEXTS[:40]):
            old.add(text, user_id=f"user-{row % 2}", infer=False)
        page = QdrantStore(client).collection(Address("memories")).sample(1000)
        texts = [(payload or {})["data"] for payload in page.payloads]
        projection = fit(page.vectors, shared_wordllama(NEW).embed(texts))
        Migrator(client).migrate_collection("memories", projection)
        new = opened(NEW)  # it looks for its collection in the list of all
        (memory, *_) = new.search(TEXTS[7], filters={"user_id": "user-1"}, top_k=3)["results"]
        assert (memory["memory"], memory["user_id"]) == (TEXTS[7], "user-1")
        new.add("A new memory of the other model.", user_id="user-1", infer=False)
        assert client.count("memories").count == 41
