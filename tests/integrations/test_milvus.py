"""An application of LangChain in Milvus whose model changes: its own code, before and after.

LlamaIndex's package asks for another pymilvus; see `tests/stores/milvus/test_llamaindex.py`.
"""

from __future__ import annotations

from langchain_core.documents import Document
from langchain_milvus import Milvus

from lightmigrate.integrations import langchain
from tests.contract.milvus import make_collection, shared
from tests.integrations.models import LangChainModel, nearest, notes

QUESTION = "an instrument that measures"


def test_langchain() -> None:
    shared().clear()
    client = shared().client
    make_collection(client, "others", 3)
    client.insert("others", [{"id": "one", "text": "of others", "vector": [1.0, 2.0, 3.0]}])

    def opened(dimension: int) -> Milvus:
        return Milvus(
            LangChainModel(dimension), "notes", connection_args={"uri": str(shared().path)}, auto_id=False,
            index_params={"metric_type": "COSINE", "index_type": "HNSW", "params": {"M": 8, "efConstruction": 64}},
            search_params={"metric_type": "COSINE", "params": {"ef": 100}},  # with fewer it may miss the third
        )  # fmt: skip

    def answer(store: Milvus, question: str, k: int = 3) -> list[str]:
        return [found.page_content for found in store.similarity_search(question, k=k)]

    documents = [Document(text, metadata={"row": row}) for row, text in enumerate(notes())]
    opened(64).add_documents(documents, ids=[f"note {row}" for row in range(len(documents))])
    assert answer(opened(64), QUESTION) == nearest(64, QUESTION)
    store = opened(256)
    report = langchain.auto_migrate(store)
    assert report.action == "migrated", report.error
    assert [each.finding.address.name for each in report.collections] == ["notes"]
    assert answer(store, QUESTION) == nearest(256, QUESTION)
    store.add_documents([Document("a note that came later", metadata={"row": -1})], ids=["late"])
    assert answer(store, "a note that came later", 1) == ["a note that came later"]
    assert langchain.auto_migrate(opened(256)).action == "nothing"
    (other,) = client.get("others", ids=["one"])
    assert list(other["vector"]) == [1.0, 2.0, 3.0]
