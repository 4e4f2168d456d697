"""From each store to another kind, with the real engines in process, to another model, killed and gone on with."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import FakeEmbeddings
from langchain_milvus import Milvus
from langchain_qdrant import QdrantVectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.faiss import FaissMapVectorStore
from qdrant_client import QdrantClient

from lightmigrate import Migrator, Projection
from lightmigrate.cli.app import main
from lightmigrate.errors import DatabaseError, DatabaseInUseError, LightmigrateError, RefusedError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address, Collection, Metric, Store
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.lance.store import LanceStore
from lightmigrate.stores.milvus.names import NAMES
from lightmigrate.stores.milvus.store import MilvusStore
from lightmigrate.stores.open import open_database
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.contract.milvus import shared
from tests.contract.postgres import PgMaker
from tests.databases import folder_hash, make_database, make_projection, make_vectors
from tests.integrations.models import LlamaIndexModel, nearest, notes
from tests.processes import start, was_killed
from tests.stores.chroma.test_legacy import unpack
from tests.transfer_sources import (
    IDS,
    METADATA,
    NAME,
    QDRANT_IDS,
    TEXTS,
    N,
    chroma_server_source,
    chroma_source,
    content_of,
    lance_source,
    langchain_faiss_source,
    llamaindex_source,
    milvus_source,
    npy_source,
    parquet_source,
    pg_source,
    qdrant_source,
    sqlite_vec_source,
)
from tests.transferring import source_at, transfer_and_be_killed


@pytest.fixture
def pg(tmp_path: Path) -> Iterator[PgMaker]:
    maker = PgMaker(tmp_path / "pg")
    yield maker
    maker.release()


# The source, what to call the target, before which step of it a run is killed, and the distance.
PAIRS: dict[str, tuple[Callable[[Path, str, PgMaker], str], str, tuple[str, int], Metric]] = {
    "chroma-qdrant": (chroma_source, "qdrant", ("qdrant.collection:QdrantCollection:add", 3), "cosine"),
    "chroma-lance": (chroma_source, "lance", ("lance.collection:LanceCollection:add", 3), "ip"),
    "faiss-chroma": (langchain_faiss_source, "chroma", ("chroma.collection:ChromaCollection:add", 3), "l2"),
    "npy-pgvector": (npy_source, "postgresql", ("pgvector.collection:PgCollection:add", 3), "cosine"),
    "pgvector-qdrant": (pg_source, "qdrant", ("qdrant.receive:QdrantReceiver:publish", 0), "l2"),
    "pgvector-lance": (pg_source, "lance", ("lance.receive:LanceReceiver:publish", 0), "cosine"),
    "lance-chroma": (lance_source, "chroma", ("chroma.receive:ChromaReceiver:publish", 0), "l2"),
    "chroma-milvus": (chroma_source, "milvus", ("milvus.collection:MilvusCollection:put", 3), "ip"),
    "lance-milvus": (lance_source, "milvus", ("milvus.receive:MilvusReceiver:publish", 0), "l2"),
    "chroma-sqlite-vec": (chroma_source, "sqlite-vec", ("sqlite_vec.collection:SqliteVecCollection:add", 3), "cosine"),
    "qdrant-sqlite-vec": (qdrant_source, "sqlite-vec", ("sqlite_vec.collection:SqliteVecCollection:add", 3), "l2"),
    "milvus-lance": (milvus_source, "lance", ("lance.collection:LanceCollection:add", 3), "cosine"),
    "sqlite-vec-chroma": (sqlite_vec_source, "chroma", ("chroma.collection:ChromaCollection:add", 3), "cosine"),
    "parquet-lance": (parquet_source, "lance", ("lance.receive:LanceReceiver:publish", 0), "ip"),
    "llamaindex-chroma": (llamaindex_source, "chroma", ("chroma.receive:ChromaReceiver:publish", 0), "cosine"),
    "server-sqlite-vec": (chroma_server_source, "sqlite-vec", ("sqlite_vec.tables:Catalog:register", 0), "cosine"),
    # within the transaction that publishes
    "pgvector-sqlite-vec": (pg_source, "sqlite-vec", ("sqlite_vec.tables:Catalog:register", 0), "l2"),
}


def target_of(kind: str, folder: Path, pg: PgMaker) -> str:
    return pg.locator if kind == "postgresql" else f"{kind}://{folder / 'target.db'}"


def opened(locator: str) -> Store:
    database = open_database(locator)
    return database.open() if isinstance(database, FileDatabase) else database


def fields_of(kind: str, collection: Collection, ids: Sequence[str]) -> list[Any]:
    """The fields as an application reads them back."""
    payloads = collection.records(ids).payloads
    fields = [(payload or {})["metadata"] for payload in payloads]
    return [json.loads(each) for each in fields] if kind in ("lance", "sqlite-vec") else fields


@pytest.mark.parametrize("pair", PAIRS)
def test_a_pair(tmp_path: Path, pg: PgMaker, pair: str, projection_file: Path) -> None:
    make, kind, failpoint, metric = PAIRS[pair]
    source, target = make(tmp_path, metric, pg), target_of(kind, tmp_path, pg)
    before = content_of(source)
    killed = start(transfer_and_be_killed, source, target, NAME, *failpoint, str(projection_file))
    assert was_killed(killed)
    with opened(target) as store:
        assert [facts.name for facts in store.collections()] == []
        assert store.versions() == []
    with source_at(source) as database:
        (result,) = Migrator(database).transfer([CollectionJob(NAME, Projection.load(projection_file))], target)
    assert result.n_migrated == N
    if source != target:
        assert content_of(source) == before
    with opened(target) as store:
        (facts,) = store.collections()
        assert (facts.name, facts.count, facts.dimension, facts.space) == (NAME, N, 24, metric)
        collection = store.collection(Address(NAME))
        own = QDRANT_IDS if make is qdrant_source else IDS
        ids = [store.new_id(record) for record in own] if isinstance(store, QdrantStore) else own
        assert list(collection.records(ids).texts) == TEXTS
        found = fields_of(kind, collection, ids)
        if make is llamaindex_source:  # what its other stores need of a node is beside its metadata
            found = [{name: each[name] for name in METADATA[0]} for each in found]
        assert [{**each, "share": pytest.approx(each["share"])} for each in METADATA] == found
        assert all(type(each["flag"]) is bool and type(each["row"]) is int for each in found)
        wanted = make_projection().apply(make_vectors(N))
        if kind == "qdrant" and metric == "cosine":
            wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(collection.records(ids).vectors, wanted, rtol=1e-4, atol=1e-5)
        assert [row[0] for row in collection.nearest(wanted[:5], 1)[0]] == ids[:5] or metric == "ip"
    with source_at(source) as database, pytest.raises(RefusedError, match=f"has a collection {NAME} already"):
        Migrator(database).transfer([CollectionJob(NAME, rebuild_index=True)], target)


def test_langchain_opens_what_came_from_another_store(tmp_path: Path, pg: PgMaker) -> None:
    client = QdrantClient(":memory:")
    Migrator(chroma_source(tmp_path, "cosine", pg)).transfer([CollectionJob(NAME, rebuild_index=True)], client)
    store = QdrantVectorStore(client, NAME, FakeEmbeddings(size=16))
    (found,) = store.similarity_search_by_vector(make_vectors(N)[7].tolist(), k=1)
    assert (found.page_content, found.metadata["row"]) == (TEXTS[7], 7)
    (point,) = client.retrieve(NAME, [QdrantStore(client).new_id(IDS[7])])
    assert point.payload is not None
    assert point.payload["__id__"] == IDS[7]
    Migrator(client).migrate_collection(NAME, make_projection())  # a database like any other
    assert client.get_collection(NAME).config.params.vectors.size == 24  # type: ignore[union-attr]


@pytest.mark.parametrize("faiss_index", [False, True])
def test_llamaindex_opens_what_came_from_its_files(tmp_path: Path, faiss_index: bool) -> None:
    """The nodes are whole: text, metadata, and the document that they are of."""
    vectors = FaissMapVectorStore(faiss.IndexIDMap2(faiss.IndexFlatL2(64))) if faiss_index else SimpleVectorStore()
    nodes = [
        TextNode(
            id_=f"n{row}", text=text, metadata={"row": row}, excluded_embed_metadata_keys=["row"],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"paper {row % 7}")},
        )
        for row, text in enumerate(notes())
    ]  # fmt: skip
    context = StorageContext.from_defaults(vector_store=vectors)
    model = LlamaIndexModel(64)
    VectorStoreIndex(nodes, embed_model=model, storage_context=context).storage_context.persist(tmp_path / "storage")
    Migrator(tmp_path / "storage").transfer([CollectionJob("default", rebuild_index=True)], tmp_path / "new")
    with open_client(tmp_path / "new") as client:
        store = ChromaVectorStore(chroma_collection=client.get_collection("default", embedding_function=None))
        retriever = VectorStoreIndex.from_vector_store(store, model).as_retriever(similarity_top_k=3)
        found = [each.node for each in retriever.retrieve("an instrument that measures")]
        assert [node.get_content() for node in found] == nearest(64, "an instrument that measures")
        for node in found:
            row = node.metadata["row"]
            assert (node.ref_doc_id, node.metadata) == (f"paper {row % 7}", {"row": row})
        store.delete("paper 0")
        assert client.get_collection("default", embedding_function=None).count() == len(nodes) - len(nodes[::7])


def test_langchain_opens_what_came_to_milvus(tmp_path: Path, pg: PgMaker) -> None:
    client = shared().client
    shared().clear()
    Migrator(chroma_source(tmp_path, "cosine", pg)).transfer([CollectionJob(NAME, rebuild_index=True)], client)
    store = Milvus(
        FakeEmbeddings(size=16), NAME, connection_args={"uri": str(shared().path)}, auto_id=False,
        metadata_field="metadata",
    )  # fmt: skip
    (found,) = store.similarity_search_by_vector(make_vectors(N)[7].tolist(), k=1)
    assert (found.page_content, found.metadata["row"]) == (TEXTS[7], 7)
    store.add_documents([Document("new", metadata={"row": -1})], ids=["new"])
    assert MilvusStore(client).capabilities.atomic_exchange, "an alias leads there"
    Migrator(client).migrate_collection(NAME, make_projection())  # a database like any other
    assert MilvusStore(client).collection(Address(NAME)).count() == N + 1


def test_what_milvus_cannot_hold_is_refused_with_both_numbers(tmp_path: Path) -> None:
    client = shared().client
    shared().clear()
    rows: dict[str, dict[str, Any]] = {"long": {"text": "é" * 40_000}, "number": {"big": 2**64}}
    for name, fields in rows.items():
        np.save(tmp_path / f"{name}.npy", make_vectors(1))
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": "a", **fields}))
    for name, reason in (("long", "takes texts of 65535 bytes, and one has 80000"), ("number", "'big' holds a number")):
        with pytest.raises(LightmigrateError, match=reason):
            Migrator(tmp_path).transfer([CollectionJob(name, rebuild_index=True)], client)
    assert MilvusStore(client).collections() == []
    left = {NAMES.state(alias) for alias in client.list_aliases()["aliases"]}
    assert left <= {State.UNFINISHED}, "no application can open what was begun"


def test_what_an_sqlite_file_holds_already_stays(tmp_path: Path, pg: PgMaker) -> None:
    source, place = chroma_source(tmp_path, "cosine", pg), tmp_path / "app.db"
    job = CollectionJob(NAME, rebuild_index=True)
    with contextlib.closing(sqlite3.connect(place)) as file:
        file.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT)")  # with the keys of the collection
        file.executemany("INSERT INTO notes VALUES (?, 'not the text')", [(record,) for record in IDS])
        file.execute('CREATE TABLE "my-notes_info" (other)')
        file.commit()
    with pytest.raises(LightmigrateError, match="already exists"):
        Migrator(source).transfer([job], f"sqlite-vec://{place}")
    with contextlib.closing(sqlite3.connect(place)) as file:
        file.execute('DROP TABLE "my-notes_info"')
    Migrator(source).transfer([job], f"sqlite-vec://{place}")
    Migrator(place).migrate_collection(NAME, make_projection())
    with opened(str(place)) as store:
        assert list(store.collection(Address(NAME)).records(IDS).texts) == TEXTS
    with contextlib.closing(sqlite3.connect(place)) as file:
        assert file.execute("SELECT count(*) FROM notes WHERE body = 'not the text'").fetchone() == (N,)
    with pytest.raises(RefusedError, match="has a collection my-notes already"):
        Migrator(source).transfer([job], place)


def test_what_sqlite_vec_cannot_be_is_refused_and_no_file_is_made(tmp_path: Path, pg: PgMaker) -> None:
    source, place = chroma_source(tmp_path, "ip", pg), tmp_path / "new.db"
    with pytest.raises(LightmigrateError, match="no distance ip"):
        Migrator(source).transfer([CollectionJob(NAME, rebuild_index=True)], f"sqlite-vec://{place}")
    with opened(f"sqlite-vec://{place}") as store:
        assert store.collections() == []
    assert not place.exists()
    with pytest.raises(DatabaseError, match="there is no folder"):
        open_database(f"sqlite-vec://{tmp_path / 'none' / 'new.db'}")
    with pytest.raises(DatabaseError, match=r"ends in \.db"):
        open_database(f"milvus://{tmp_path / 'new'}")


@pytest.mark.parametrize(
    ("name", "fields", "reason"), [("docs", '"deep": {"er": 1}', "'deep' holds a value"), ("no", '"n": 1', "name no")]
)
def test_what_chroma_cannot_hold_is_refused(tmp_path: Path, name: str, fields: str, reason: str) -> None:
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / f"{name}.npy", make_vectors(1))
    (tmp_path / "npy" / f"{name}.jsonl").write_text(f'{{"id": "a", {fields}}}\n')
    with pytest.raises(LightmigrateError, match=reason):
        Migrator(tmp_path / "npy").transfer([CollectionJob(name, rebuild_index=True)], tmp_path / "new")
    with opened(str(tmp_path / "new")) as store:
        assert store.collections() == []


def test_a_single_table_and_other_folders_are_refused(tmp_path: Path, pg: PgMaker) -> None:
    source = chroma_source(tmp_path, "l2", pg)
    lance_source(tmp_path, "l2", pg)
    job = CollectionJob(NAME, rebuild_index=True)
    with pytest.raises(RefusedError, match="has a collection my-notes already"):
        Migrator(source).transfer([job], LanceStore(tmp_path / "lance" / f"{NAME}.lance"))
    with pytest.raises(DatabaseError, match=r"has the address lance:///PATH"):
        Migrator(source).transfer([job], "lance://relative/path")
    with pytest.raises(DatabaseError, match="cannot receive collections of another database yet"):
        Migrator(source).plan_transfer([job], npy_source(tmp_path, "l2", pg))
    (tmp_path / "raft_state.json").write_text("{}")
    with pytest.raises(DatabaseError, match="is a Qdrant storage"):
        Migrator(source).plan_transfer([job], tmp_path)


def test_the_command_line_makes_a_new_folder(
    tmp_path: Path, pg: PgMaker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    source, place = langchain_faiss_source(tmp_path, "l2", pg), tmp_path / "new"

    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        return int(ended.value.code or 0)

    assert run("migrate", source, "--to", f"chroma://{place}") == 2, "not confirmed"
    assert not place.exists()
    assert run("migrate", source, "--to", f"chroma://{place}", "--yes") == 0
    out, _ = capsys.readouterr()
    assert str(place) in "".join(out.split())
    assert "ChromaFiles" not in out
    assert run("doctor", str(place)) == 0
    assert run("doctor", f"chroma://{place}") == 0
    with open_client(place) as client:
        assert client.get_collection(NAME, embedding_function=None).get([IDS[7]])["documents"] == [TEXTS[7]]


def test_what_a_chroma_folder_holds_already_stays(tmp_path: Path, pg: PgMaker) -> None:
    source, target = langchain_faiss_source(tmp_path, "l2", pg), make_database(tmp_path / "db")
    with open_client(target) as client:
        before = client.get_collection("thought_nodes", embedding_function=None).get(include=["embeddings"])
    with open_client(target) as client:
        client.list_collections()
        with pytest.raises(DatabaseInUseError):
            Migrator(source).transfer([CollectionJob(NAME, rebuild_index=True)], target)
    Migrator(source).transfer([CollectionJob(NAME, rebuild_index=True)], target)
    with open_client(target) as client:
        after = client.get_collection("thought_nodes", embedding_function=None).get(include=["embeddings"])
        assert (after["ids"], np.asarray(after["embeddings"]).tobytes()) == (
            before["ids"], np.asarray(before["embeddings"]).tobytes(),
        )  # fmt: skip
        assert client.get_collection(NAME, embedding_function=None).count() == N


def test_a_folder_of_an_older_chroma_is_refused_untouched(tmp_path: Path, pg: PgMaker) -> None:
    source, target = langchain_faiss_source(tmp_path, "l2", pg), unpack("0.6.3", tmp_path / "old")
    before = folder_hash(target)
    with pytest.raises(DatabaseError, match=r"would be changed as a whole .* receive: Chroma 0\.5 or"):
        Migrator(source).plan_transfer([CollectionJob(NAME, rebuild_index=True)], target)
    assert folder_hash(target) == before
