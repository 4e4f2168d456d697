"""Collections that LangChain wrote are migrated, and its own code finds the same texts again."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_milvus import BM25BuiltInFunction, Milvus
from pymilvus import MilvusClient

from lightmigrate import Migrator
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import framework_store
from tests.contract.milvus import shared
from tests.integrations.models import LangChainModel
from tests.stores.milvus.fitted import NEW, OLD, TEXTS, fitted


@pytest.mark.parametrize("hybrid", [False, True])
def test_langchain_finds_its_documents_with_another_model(client: MilvusClient, hybrid: bool) -> None:
    more: dict[str, Any] = {}
    ranking: dict[str, Any] = {"ranker_type": "rrf", "ranker_params": {"k": 60}} if hybrid else {}
    if hybrid:
        dense = {"index_type": "HNSW", "metric_type": "COSINE", "params": {"M": 8, "efConstruction": 64}}
        more = {
            "builtin_function": BM25BuiltInFunction(),
            "vector_field": ["dense", "sparse"],
            "index_params": [dense, {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "BM25"}],
            "search_params": [{"metric_type": "COSINE", "params": {"ef": 64}}, {"metric_type": "BM25", "params": {}}],
        }

    def opened(dimension: int) -> Milvus:
        return Milvus(
            LangChainModel(dimension), "docs", connection_args={"uri": str(shared().path)}, auto_id=False, **more
        )

    documents = [Document(text, metadata={"row": row}) for row, text in enumerate(TEXTS)]
    store = opened(OLD)
    store.add_documents(documents, ids=[f"doc-{row}" for row in range(len(TEXTS))])
    held = framework_store(store)
    assert held is not None
    assert held.names[0] == "docs"
    Migrator(held.database).migrate_collection("docs", fitted(client, Address("docs")))
    for new in (opened(NEW), store):
        new.embedding_func = LangChainModel(NEW)  # `store` was open all the time
        for row in range(0, len(TEXTS), 9):
            (found,) = new.similarity_search(TEXTS[row], k=1, **ranking)
            assert (found.page_content, found.metadata["row"]) == (TEXTS[row], row)
    store.add_documents([Document("A new document of the other model.", metadata={"row": -1})], ids=["new"])
    assert client.query("docs", filter="", output_fields=["count(*)"])[0]["count(*)"] == len(TEXTS) + 1
