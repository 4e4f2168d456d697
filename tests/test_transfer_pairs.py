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
import lancedb
import numpy as np
import psycopg
import pytest
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import FakeEmbeddings
from langchain_milvus import Milvus
from langchain_qdrant import QdrantVectorStore
from psycopg import sql
from psycopg.types.json import Jsonb
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
from tests.processes import start, was_killed
from tests.stores.chroma.test_legacy import unpack
from tests.transferring import transfer_and_be_killed

N = 60
NAME = "my-notes"
IDS = [f"id {row}'\"" if row % 3 else str(row) for row in range(N)]
TEXTS: list[str] = [f"text {row} é\n" for row in range(N)]
METADATA: list[dict[str, Any]] = [
    {"row": row, "share": row / 7, "flag": row % 2 == 0, "text": "é ' \" %s {0}", "tags": ["a", "b"]}
    for row in range(N)
]


@pytest.fixture
def pg(tmp_path: Path) -> Iterator[PgMaker]:
    maker = PgMaker(tmp_path / "pg")
    yield maker
    maker.release()


def chroma_source(folder: Path, metric: str, pg: PgMaker) -> str:
    with open_client(folder / "chroma") as client:
        configuration: Any = {"hnsw": {"space": metric}}
        collection = client.create_collection(NAME, configuration=configuration, embedding_function=None)
        metadatas: Any = METADATA
        collection.add(IDS, embeddings=make_vectors(N), documents=TEXTS, metadatas=metadatas)
    return str(folder / "chroma")


def langchain_faiss_source(folder: Path, metric: str, pg: PgMaker) -> str:
    index = faiss.IndexFlatL2(16) if metric == "l2" else faiss.IndexFlatIP(16)
    index.add(make_vectors(N))
    pairs = zip(IDS, TEXTS, METADATA, strict=True)
    documents = {record: Document(page_content=text, metadata=fields) for record, text, fields in pairs}
    store = FAISS(FakeEmbeddings(size=16), index, InMemoryDocstore(documents), dict(enumerate(IDS)))
    store.save_local(str(folder / "faiss"), NAME)
    return str(folder / "faiss")


def npy_source(folder: Path, metric: str, pg: PgMaker) -> str:
    (folder / "npy").mkdir()
    np.save(folder / "npy" / f"{NAME}.npy", make_vectors(N))
    (folder / "npy" / f"{NAME}.lightmigrate.json").write_text(json.dumps({"distance": metric}))
    rows = zip(IDS, TEXTS, METADATA, strict=True)
    lines = [json.dumps({"id": record, "text": text, "metadata": fields}) for record, text, fields in rows]
    (folder / "npy" / f"{NAME}.jsonl").write_text("\n".join(lines))
    return str(folder / "npy")


def pg_source(folder: Path, metric: str, pg: PgMaker) -> str:
    rows = zip(IDS, TEXTS, map(str, make_vectors(N).tolist()), map(Jsonb, METADATA), strict=True)
    with psycopg.connect(pg.locator) as connection:
        create = 'CREATE TABLE "my-notes" (id text PRIMARY KEY, content text, embedding vector(16), metadata jsonb)'
        connection.execute(create)
        connection.cursor().executemany('INSERT INTO "my-notes" VALUES (%s, %s, %s, %s)', list(rows))
        index = 'CREATE INDEX ON "my-notes" USING hnsw (embedding vector_{}_ops)'
        connection.execute(sql.SQL(index).format(sql.SQL(metric)))
    return pg.locator


def lance_source(folder: Path, metric: str, pg: PgMaker) -> str:
    vectors = make_vectors(N).tolist()
    rows = zip(IDS, TEXTS, vectors, METADATA, strict=True)
    data = [{"id": record, "text": text, "vector": v, "metadata": fields} for record, text, v, fields in rows]
    lancedb.connect(folder / "lance").create_table(NAME, data)  # without an index, so l2
    return str(folder / "lance")


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
    before = "" if source == pg.locator else folder_hash(Path(source))
    killed = start(transfer_and_be_killed, source, target, NAME, *failpoint, str(projection_file))
    assert was_killed(killed)
    with opened(target) as store:
        assert [facts.name for facts in store.collections()] == []
        assert store.versions() == []
    (result,) = Migrator(source).transfer([CollectionJob(NAME, Projection.load(projection_file))], target)
    assert result.n_migrated == N
    if source != pg.locator:
        assert folder_hash(Path(source)) == before
    with opened(target) as store:
        (facts,) = store.collections()
        assert (facts.name, facts.count, facts.dimension, facts.space) == (NAME, N, 24, metric)
        collection = store.collection(Address(NAME))
        ids = [store.new_id(record) for record in IDS] if isinstance(store, QdrantStore) else IDS
        assert list(collection.records(ids).texts) == TEXTS
        found = fields_of(kind, collection, ids)
        assert [{**each, "share": pytest.approx(each["share"])} for each in METADATA] == found
        assert all(type(each["flag"]) is bool and type(each["row"]) is int for each in found)
        wanted = make_projection().apply(make_vectors(N))
        if kind == "qdrant" and metric == "cosine":
            wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(collection.records(ids).vectors, wanted, rtol=1e-4, atol=1e-5)
        assert [row[0] for row in collection.nearest(wanted[:5], 1)[0]] == ids[:5] or metric == "ip"
    with pytest.raises(RefusedError, match=f"has a collection {NAME} already"):
        Migrator(source).transfer([CollectionJob(NAME, rebuild_index=True)], target)


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
