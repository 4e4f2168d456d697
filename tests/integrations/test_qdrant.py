"""Applications of LangChain and LlamaIndex in Qdrant whose model changes: their own code, before and after."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from lightmigrate.errors import LightmigrateError
from lightmigrate.integrations import langchain, llamaindex
from tests.integrations.models import LangChainModel, LlamaIndexModel, nearest, notes

QUESTION = "an instrument that measures"


def client_with_others() -> QdrantClient:
    client = QdrantClient(":memory:")
    client.create_collection("others", models.VectorParams(size=3, distance=models.Distance.DOT))
    client.upsert("others", [models.PointStruct(id=1, vector=[1.0, 2.0, 3.0], payload={"page_content": "of others"})])
    return client


@pytest.mark.parametrize("vector", ["", "dense"])
def test_langchain(vector: str) -> None:
    client = client_with_others()
    params = {"dense": models.VectorParams(size=64, distance=models.Distance.COSINE)}
    if vector:  # beside a second one, so that its name belongs to the address
        params["image"] = models.VectorParams(size=2, distance=models.Distance.COSINE)
    client.create_collection("notes", params if vector else params["dense"])

    def opened(dimension: int) -> QdrantVectorStore:
        return QdrantVectorStore(
            client, "notes", LangChainModel(dimension), vector_name=vector, validate_collection_config=False
        )

    def answer(store: QdrantVectorStore, question: str, k: int = 3) -> list[str]:
        return [found.page_content for found in store.similarity_search(question, k=k)]

    opened(64).add_documents([Document(text, metadata={"row": row}) for row, text in enumerate(notes())])
    assert answer(opened(64), QUESTION) == nearest(64, QUESTION)
    store = opened(256)
    report = langchain.auto_migrate(store)
    assert report.action == "migrated", report.error
    assert [(each.finding.address.name, each.finding.address.vector) for each in report.collections] == [
        ("notes", vector)
    ]
    assert answer(store, QUESTION) == nearest(256, QUESTION)
    store.add_documents([Document("a note that came later")])
    assert answer(store, "a note that came later", 1) == ["a note that came later"]
    assert langchain.auto_migrate(opened(256)).action == "nothing"
    assert client.count("others").count == 1


def test_llamaindex() -> None:
    old, new, client = LlamaIndexModel(64), LlamaIndexModel(256), client_with_others()
    store = LlamaIndexStore("notes", client)
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex([TextNode(text=text) for text in notes()], embed_model=old, storage_context=context)

    def answer(index: VectorStoreIndex, question: str) -> list[str]:
        return [node.get_content() for node in index.as_retriever(similarity_top_k=3).retrieve(question)]

    assert answer(index, QUESTION) == nearest(64, QUESTION)
    report = llamaindex.auto_migrate(index, new)
    assert report.action == "migrated", report.error
    after = VectorStoreIndex.from_vector_store(store, new)
    assert answer(after, QUESTION) == nearest(256, QUESTION)
    after.insert_nodes([TextNode(text="a note that came later")])
    assert answer(after, "a note that came later")[0] == "a note that came later"


def test_an_asynchronous_client_alone_is_refused() -> None:
    client: Any = AsyncQdrantClient(":memory:")
    with pytest.raises(LightmigrateError, match="asynchronous client only"):
        llamaindex.auto_migrate(LlamaIndexStore("notes", aclient=client), LlamaIndexModel(64))
