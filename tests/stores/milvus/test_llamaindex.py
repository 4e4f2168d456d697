"""A collection that LlamaIndex wrote is migrated, and its own code finds the same nodes again. See `conftest`."""

from __future__ import annotations

from typing import Any

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.milvus import MilvusVectorStore
from pymilvus import MilvusClient

from lightmigrate import Migrator
from lightmigrate.integrations import llamaindex
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus.store import MilvusStore
from lightmigrate.stores.open import framework_store
from lightmigrate.texts.chosen import chosen_texts
from tests.contract.milvus import shared
from tests.integrations.models import LlamaIndexModel, nearest, notes
from tests.stores.milvus.fitted import NEW, OLD, TEXTS, fitted


def test_llamaindex_finds_its_nodes_with_another_model(client: MilvusClient) -> None:
    def opened(dimension: int) -> Any:
        return MilvusVectorStore(
            uri=str(shared().path), collection_name="nodes", dim=dimension, similarity_metric="COSINE",
            use_async_client=False,
        )  # fmt: skip

    nodes = [TextNode(text=text, metadata={"source": f"{row}.md"}) for row, text in enumerate(TEXTS)]
    store = opened(OLD)
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(nodes, storage_context=context, embed_model=LlamaIndexModel(OLD))
    collection = MilvusStore(client).collection(Address("nodes"))
    texts = chosen_texts(collection).texts_of(collection.sample(5))
    assert all("source: " in str(text) for text in texts)
    held = framework_store(store)
    assert held is not None
    assert held.names[0] == "nodes"
    Migrator(held.database).migrate_collection("nodes", fitted(client, Address("nodes")))
    index = VectorStoreIndex.from_vector_store(opened(NEW), embed_model=LlamaIndexModel(NEW))
    retriever = index.as_retriever(similarity_top_k=1)
    for row in range(0, len(TEXTS), 9):
        (found,) = retriever.retrieve(TEXTS[row])
        assert found.node.get_content() == TEXTS[row]
        assert found.node.metadata == {"source": f"{row}.md"}


def test_llamaindex_follows_its_model_when_it_starts(client: MilvusClient) -> None:
    def opened(dimension: int) -> Any:
        return MilvusVectorStore(
            uri=str(shared().path), collection_name="nodes", dim=dimension, similarity_metric="COSINE",
            use_async_client=False,
        )  # fmt: skip

    store, question = opened(64), "an instrument that measures"
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(
        [TextNode(text=text) for text in notes()], embed_model=LlamaIndexModel(64), storage_context=context
    )
    report = llamaindex.auto_migrate(store, LlamaIndexModel(256))
    assert report.action == "migrated", report.error
    after = VectorStoreIndex.from_vector_store(opened(256), LlamaIndexModel(256))
    found = after.as_retriever(similarity_top_k=3).retrieve(question)
    assert [each.node.get_content() for each in found] == nearest(256, question)
    assert llamaindex.auto_migrate(opened(256), LlamaIndexModel(256)).action == "nothing"
