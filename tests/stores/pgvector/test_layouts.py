"""Tables of LangChain, LlamaIndex, Open WebUI and AnythingLLM: found, migrated, searched by their own code."""

from __future__ import annotations

import uuid

import numpy as np
import psycopg
import pytest
from langchain_postgres import PGEngine, PGVector, PGVectorStore
from langchain_postgres.v2.indexes import HNSWIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from llama_index.vector_stores.postgres import PGVectorStore as LlamaStore
from psycopg import sql
from psycopg.types.json import Jsonb

from lightmigrate import CollectionJob, Migrator, Model, Projection, fit
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from lightmigrate.texts.find import find_texts
from lightmigrate.texts.forms import FieldForm
from lightmigrate.texts.llamaindex import LlamaIndexForm
from lightmigrate.vectors import Vectors
from tests.contract.postgres import PgMaker
from tests.encoders import shared_wordllama
from tests.integrations.models import LangChainModel

OLD, NEW = 64, 128
ANIMALS, PLACES = ("cat", "horse", "whale", "sparrow", "beetle", "shark"), ("forest", "river", "desert", "city", "barn")
TEXTS = [f"the {animal} sleeps near the {place}" for animal in ANIMALS for place in PLACES]


def vectors(dimension: int, texts: list[str] = TEXTS) -> Vectors:
    return shared_wordllama(dimension).embed(texts)


@pytest.fixture(scope="module")
def projection() -> Projection:
    """From the first 64 numbers of wordllama to the first 128, which are a model of their own."""
    old, new = Model("wordllama-64", OLD), Model("wordllama-128", NEW)
    return fit(vectors(OLD), vectors(NEW), source_model=old, target_model=new, method="ridge")


def migrated(maker: PgMaker, projection: Projection) -> Migrator:
    """All collections of the database, migrated."""
    with PgStore(maker.conninfo) as store:
        addresses = [facts.address for facts in store.collections()]
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob(address, projection) for address in addresses], force=True)
    return migrator


def alchemy(maker: PgMaker, driver: str) -> str:
    return maker.locator.replace("postgresql://", f"postgresql+{driver}://")


def rows(maker: PgMaker, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def test_langchain_collections_of_one_table_are_migrated_and_searched(maker: PgMaker, projection: Projection) -> None:
    for name, texts in (("first", TEXTS[:15]), ("second", TEXTS[15:])):
        store = PGVector(LangChainModel(OLD), collection_name=name, connection=alchemy(maker, "psycopg"))
        store.add_texts(
            texts, ids=[f"{name}-{row}" for row in range(15)], metadatas=[{"row": row} for row in range(15)]
        )
    before = sorted(rows(maker, "SELECT id, embedding::text, document, cmetadata::text FROM langchain_pg_embedding"))
    found = {str(facts.address): (facts.count, facts.dimension) for facts in Migrator(maker.locator).collections()}
    assert found == {"langchain_pg_embedding[first]": (15, OLD), "langchain_pg_embedding[second]": (15, OLD)}
    one = Address("langchain_pg_embedding", part="second")
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob(one, projection)], force=True)
    new = PGVector(LangChainModel(NEW), collection_name="second", connection=alchemy(maker, "psycopg"))
    assert [document.page_content for document in new.similarity_search(TEXTS[20], k=1)] == [TEXTS[20]]
    old = PGVector(LangChainModel(OLD), collection_name="first", connection=alchemy(maker, "psycopg"))
    assert [document.page_content for document in old.similarity_search(TEXTS[3], k=1)] == [TEXTS[3]]
    migrator.migrate([CollectionJob(Address("langchain_pg_embedding", part="first"), projection)], force=True)
    assert all(check.unchanged for check in migrator.verify())
    kept = rows(maker, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'langchain_pg_embedding'::regclass "
                       "AND attname LIKE 'lightmigrate%' AND NOT attisdropped")  # fmt: skip
    assert kept == [(1,)]  # the versions of both share a column
    for backup in migrator.backups():
        migrator.rollback(backup.name)
    assert sorted(
        rows(maker, "SELECT id, embedding::text, document, cmetadata::text FROM langchain_pg_embedding")
    ) == before  # fmt: skip
    migrator.clean()
    assert rows(maker, "SELECT attname FROM pg_attribute WHERE attname LIKE 'lightmigrate%'") == []
    assert rows(maker, "SELECT relname FROM pg_class WHERE relname LIKE 'lightmigrate%'") == []


def test_a_langchain_table_of_the_second_kind(maker: PgMaker, projection: Projection) -> None:
    engine = PGEngine.from_connection_string(alchemy(maker, "psycopg"))
    engine.init_vectorstore_table("docs", OLD)
    store = PGVectorStore.create_sync(engine, embedding_service=LangChainModel(OLD), table_name="docs")
    store.add_texts(TEXTS, metadatas=[{"row": row} for row in range(len(TEXTS))])
    store.apply_vector_index(HNSWIndex(name="docs_index"))
    before = sorted(rows(maker, "SELECT langchain_id::text, embedding::text FROM docs"))
    migrator = migrated(maker, projection)
    assert rows(maker, "SELECT indexdef LIKE '%hnsw (embedding vector_cosine_ops)%' FROM pg_indexes "
                       "WHERE indexname = 'docs_index'") == [(True,)]  # fmt: skip
    new = PGVectorStore.create_sync(engine, embedding_service=LangChainModel(NEW), table_name="docs")
    assert [document.page_content for document in new.similarity_search(TEXTS[7], k=1)] == [TEXTS[7]]
    migrator.rollback()
    assert sorted(rows(maker, "SELECT langchain_id::text, embedding::text FROM docs")) == before


@pytest.mark.parametrize("halfvec", [False, True])
def test_a_llamaindex_table(maker: PgMaker, projection: Projection, halfvec: bool) -> None:
    def opened(dimension: int) -> LlamaStore:
        return LlamaStore(
            connection_string=alchemy(maker, "psycopg2"), async_connection_string=alchemy(maker, "asyncpg"),
            table_name="notes", embed_dim=dimension, use_halfvec=halfvec, use_jsonb=True,
            hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_dist_method": "vector_cosine_ops"},
        )  # fmt: skip

    nodes = [
        TextNode(id_=str(uuid.UUID(int=row)), text=text, metadata={"title": f"no {row}"}, embedding=vector.tolist())
        for row, (text, vector) in enumerate(zip(TEXTS, vectors(OLD), strict=True))
    ]
    opened(OLD).add(list(nodes))
    before = sorted(rows(maker, "SELECT node_id, embedding::text FROM data_notes"))
    with PgStore(maker.conninfo) as store:
        found = find_texts(store.collection(Address("data_notes")))
        assert found.form == LlamaIndexForm()
    migrator = migrated(maker, projection)
    (vector,) = vectors(NEW, [TEXTS[11]]).tolist()
    answer = opened(NEW).query(VectorStoreQuery(query_embedding=vector, similarity_top_k=1))
    assert [node.get_content() for node in answer.nodes or []] == [TEXTS[11]]
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert sorted(rows(maker, "SELECT node_id, embedding::text FROM data_notes")) == before


OPEN_WEBUI = """
    CREATE TABLE document_chunk (id text PRIMARY KEY, vector vector(256), collection_name text NOT NULL, text text,
        vmetadata jsonb);
    CREATE INDEX idx_document_chunk_vector ON document_chunk USING ivfflat (vector vector_cosine_ops) WITH (lists = 4);
    CREATE INDEX idx_document_chunk_collection_name ON document_chunk (collection_name)
"""


def chunks(maker: PgMaker, collection: str, dimension: int) -> None:
    """Chunks as Open WebUI stores them: filled up with zeros to the length of the column."""
    padded = np.pad(vectors(dimension), ((0, 0), (0, 256 - dimension)))
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        insert = "INSERT INTO document_chunk VALUES (%s, %s, %s, %s, %s)"
        config = '{"embedding_config": {"engine": "", "model": "wordllama"}}'
        values = [
            (f"{collection}-{row}", str(vector.tolist()), collection, TEXTS[row], config)
            for row, vector in enumerate(padded)
        ]
        connection.cursor().executemany(insert, values)


def test_open_webui_s_padding_is_not_the_model_s(maker: PgMaker, projection: Projection) -> None:
    maker.execute(sql.SQL(OPEN_WEBUI))
    chunks(maker, "file-1", OLD)
    chunks(maker, "user-memory-2", OLD)
    before = sorted(rows(maker, "SELECT id, vector::text FROM document_chunk"))
    migrator = Migrator(maker.locator)
    assert [(facts.part, facts.dimension) for facts in migrator.collections()] == [
        ("file-1", OLD), ("user-memory-2", OLD),
    ]  # fmt: skip
    migrated(maker, projection)
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("document_chunk", part="file-1"))
        assert live.dimension == NEW
        page = live.records(["file-1-3"])
        np.testing.assert_allclose(page.vectors, projection.apply(vectors(OLD)[3:4]), atol=2e-5)
        assert live.nearest(vectors(NEW)[3:4], 1)[0] == [["file-1-3"]]
        with pytest.raises(LightmigrateError, match="at most 256 numbers, not 300"):
            store.create_version(live, "k", 300, None)
    assert rows(maker, "SELECT DISTINCT vector_dims(vector) FROM document_chunk") == [(256,)]
    assert all(check.unchanged for check in migrator.verify())
    for backup in migrator.backups():
        migrator.rollback(backup.name)
    assert sorted(rows(maker, "SELECT id, vector::text FROM document_chunk")) == before


def test_padded_vectors_of_two_models_are_not_taken_for_one(maker: PgMaker) -> None:
    maker.execute(sql.SQL(OPEN_WEBUI))
    chunks(maker, "file-1", OLD)
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("document_chunk", part="file-1"))
        assert live.used == OLD
        (vector,) = vectors(NEW, ["a longer one"])
        literal = np.pad(vector, (0, 256 - NEW)).tolist()
        maker.execute(
            sql.SQL("INSERT INTO document_chunk VALUES ('x', {}, 'file-1', 'a longer one')").format(str(literal))
        )
        with pytest.raises(LightmigrateError, match="of 64 and of 128 numbers"):
            live.records(["x"])


def test_anythingllm_s_namespaces_have_one_model_and_their_text_in_the_metadata(
    maker: PgMaker, projection: Projection
) -> None:
    maker.execute(sql.SQL(
        "CREATE TABLE anythingllm_vectors (id uuid PRIMARY KEY, namespace text, embedding vector(64), metadata jsonb, "
        "created_at timestamp DEFAULT now())"
    ))  # fmt: skip
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        for row, (text, vector) in enumerate(zip(TEXTS, vectors(OLD), strict=True)):
            described = {"id": str(row), "title": f"the report of day {row}", "docAuthor": "nobody is known",
                         "text": text, "docSource": "a file of the user", "chunkSource": "a part"}  # fmt: skip
            connection.execute(
                "INSERT INTO anythingllm_vectors VALUES (%s, %s, %s, %s)",
                (uuid.UUID(int=row), f"room{row % 2}", str(vector.tolist()), Jsonb(described)),
            )
    with PgStore(maker.conninfo) as store:
        (facts,) = store.collections()
        assert (facts.part, facts.count) == ("", len(TEXTS))
        found = find_texts(store.collection(facts.address))
        assert (found.form, found.how) == (FieldForm("text"), "application")
    migrated(maker, projection)
    assert rows(maker, "SELECT DISTINCT vector_dims(embedding) FROM anythingllm_vectors") == [(NEW,)]
