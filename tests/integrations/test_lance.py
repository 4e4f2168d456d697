"""Applications of LangChain and LlamaIndex in LanceDB whose model changes: their own code, before and after."""

from __future__ import annotations

from pathlib import Path

import lancedb
import pytest
from langchain_community.vectorstores import LanceDB
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.lancedb import LanceDBVectorStore

from lightmigrate.integrations import langchain, llamaindex
from tests.integrations.models import LangChainModel, LlamaIndexModel, nearest, notes

QUESTION = "an instrument that measures"


def test_langchain(tmp_path: Path) -> None:
    connection = lancedb.connect(tmp_path / "db")

    def opened(dimension: int) -> LanceDB:
        return LanceDB(connection, LangChainModel(dimension), table_name="notes", mode="append")

    def answer(store: LanceDB, question: str, k: int = 3) -> list[str]:
        return [found.page_content for found in store.similarity_search(question, k=k)]

    opened(64).add_texts(list(notes()), [{"row": row} for row in range(len(notes()))])
    assert answer(opened(64), QUESTION) == nearest(64, QUESTION)
    store = opened(256)
    report = langchain.auto_migrate(store)
    assert report.action == "migrated", report.error
    assert answer(store, QUESTION) == nearest(256, QUESTION)
    store.add_texts(["a note that came later"], [{"row": -1}])
    assert answer(store, "a note that came later", 1) == ["a note that came later"]
    assert langchain.auto_migrate(opened(256)).action == "nothing"


def test_llamaindex_goes_on_with_the_table_that_it_has_open(tmp_path: Path) -> None:
    old, new = LlamaIndexModel(64), LlamaIndexModel(256)
    LanceDBVectorStore(uri=str(tmp_path / "db"), table_name="others").add(
        [TextNode(text="of others", embedding=[1.0, 2.0, 3.0])]
    )
    store = LanceDBVectorStore(uri=str(tmp_path / "db"), table_name="notes")
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex([TextNode(text=text) for text in notes()], embed_model=old, storage_context=context)

    def answer(index: VectorStoreIndex, question: str) -> list[str]:
        return [node.get_content() for node in index.as_retriever(similarity_top_k=3).retrieve(question)]

    assert answer(index, QUESTION) == nearest(64, QUESTION)
    of_another = LanceDBVectorStore(uri=str(tmp_path / "db"), table_name="notes")
    report = llamaindex.auto_migrate(store, new)
    assert report.action == "migrated", report.error
    assert [found.finding.address.name for found in report.collections] == ["notes"]
    after = VectorStoreIndex.from_vector_store(store, new)
    assert answer(after, QUESTION) == nearest(256, QUESTION)
    after.insert_nodes([TextNode(text="a note that came later")])
    assert answer(after, "a note that came later")[0] == "a note that came later"
    with pytest.raises(Exception, match="dim"):  # it has the table as it was when it was opened
        answer(VectorStoreIndex.from_vector_store(of_another, new), QUESTION)
    assert llamaindex.auto_migrate(of_another, new).action == "nothing"
    assert answer(VectorStoreIndex.from_vector_store(of_another, new), QUESTION) == nearest(256, QUESTION)
