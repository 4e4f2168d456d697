"""Applications of LangChain and LlamaIndex in PostgreSQL whose model changes: their own code, before and after."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_postgres import PGEngine, PGVector, PGVectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.postgres import PGVectorStore as LlamaIndexStore

from lightmigrate.integrations import langchain, llamaindex
from tests.contract.postgres import PgMaker
from tests.integrations.models import LangChainModel, LlamaIndexModel, nearest, notes

QUESTION = "an instrument that measures"


@pytest.fixture
def pg(tmp_path: Path) -> Iterator[PgMaker]:
    maker = PgMaker(tmp_path)
    yield maker
    maker.release()


def sqlalchemy_url(pg: PgMaker, driver: str) -> str:
    return pg.locator.replace("postgresql://", f"postgresql+{driver}://")


def test_a_table_of_langchain(pg: PgMaker) -> None:
    engine = PGEngine.from_connection_string(sqlalchemy_url(pg, "psycopg"))
    engine.init_vectorstore_table("notes", vector_size=64)
    before = PGVectorStore.create_sync(engine, LangChainModel(64), "notes")
    before.add_documents([Document(page_content=text, id=str(uuid.uuid4())) for text in notes()])
    for _ in range(8):  # the driver prepares a statement that is repeated
        assert [found.page_content for found in before.similarity_search(QUESTION, k=3)] == nearest(64, QUESTION)
    after = PGVectorStore.create_sync(engine, LangChainModel(256), "notes")
    report = langchain.auto_migrate(after)
    assert report.action == "migrated", report.error
    assert "postgres:" not in repr(report)
    for _ in range(8):
        assert [found.page_content for found in after.similarity_search(QUESTION, k=3)] == nearest(256, QUESTION)
    after.add_documents([Document(page_content="a note that came later", id=str(uuid.uuid4()))])
    assert after.similarity_search("a note that came later", k=1)[0].page_content == "a note that came later"


def test_a_collection_of_langchain_beside_others(pg: PgMaker) -> None:
    def opened(name: str, dimension: int) -> PGVector:
        return PGVector(LangChainModel(dimension), connection=sqlalchemy_url(pg, "psycopg"), collection_name=name)

    before, others = opened("notes", 64), opened("of others", 64)
    before.add_texts(list(notes()))
    others.add_texts(list(notes()[:5]))
    for _ in range(8):
        assert [found.page_content for found in before.similarity_search(QUESTION, k=3)] == nearest(64, QUESTION)
    report = langchain.auto_migrate(before, LangChainModel(256))
    assert report.action == "migrated", report.error
    assert [found.finding.address.part for found in report.collections] == ["notes"]
    after = opened("notes", 256)
    for _ in range(8):
        assert [found.page_content for found in after.similarity_search(QUESTION, k=3)] == nearest(256, QUESTION)
    assert others.similarity_search(notes()[2], k=1)[0].page_content == notes()[2]
    after.add_texts(["a note that came later"])
    assert after.similarity_search("a note that came later", k=1)[0].page_content == "a note that came later"


def test_a_table_of_llamaindex(pg: PgMaker) -> None:
    def opened(model: LlamaIndexModel) -> Any:
        return LlamaIndexStore(
            connection_string=sqlalchemy_url(pg, "psycopg"),
            async_connection_string=sqlalchemy_url(pg, "psycopg"),
            table_name="Notes",
            embed_dim=model.dimension,
            schema_name="public",
        )

    old, new = LlamaIndexModel(64), LlamaIndexModel(256)
    before = opened(old)
    nodes = [TextNode(text=text) for text in notes()]
    index = VectorStoreIndex(nodes, embed_model=old, storage_context=StorageContext.from_defaults(vector_store=before))
    found = index.as_retriever(similarity_top_k=3).retrieve(QUESTION)
    assert [node.get_content() for node in found] == nearest(64, QUESTION)
    store = opened(new)
    report = llamaindex.auto_migrate(store, new)
    assert report.action == "migrated", report.error
    retriever = VectorStoreIndex.from_vector_store(store, new).as_retriever(similarity_top_k=3)
    assert [node.get_content() for node in retriever.retrieve(QUESTION)] == nearest(256, QUESTION)
