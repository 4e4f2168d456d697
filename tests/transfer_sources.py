"""Databases of every kind whose collection is transferred, as applications make them, and all that is in one."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import faiss
import lancedb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import FakeEmbeddings
from llama_index.core.schema import TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from psycopg import sql
from psycopg.types.json import Jsonb
from qdrant_client import QdrantClient, models

from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.milvus.place import close, open_lite
from lightmigrate.stores.qdrant.configuration import DISTANCES
from tests.contract.milvus import make_collection
from tests.contract.postgres import PgMaker
from tests.contract.sqlite_vec import application
from tests.databases import folder_hash, make_vectors
from tests.migration.shadow.server import shared_server

N = 60
NAME = "my-notes"
IDS = [f"id {row}'\"" if row % 3 else str(row) for row in range(N)]
TEXTS: list[str] = [f"text {row} é\n" for row in range(N)]
METADATA: list[dict[str, Any]] = [
    {"row": row, "share": row / 7, "flag": row % 2 == 0, "text": "é ' \" %s {0}", "tags": ["a", "b"]}
    for row in range(N)
]

# Qdrant takes integers and UUIDs.
QDRANT_IDS = [str(row) if row % 3 else str(uuid.uuid5(uuid.NAMESPACE_URL, str(row))) for row in range(N)]


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


def qdrant_source(folder: Path, metric: Any, pg: PgMaker) -> str:
    client = QdrantClient(path=str(folder / "qdrant"))
    client.create_collection(NAME, vectors_config=models.VectorParams(size=16, distance=DISTANCES[metric]))
    rows = zip(QDRANT_IDS, TEXTS, make_vectors(N).tolist(), METADATA, strict=True)
    points = [
        models.PointStruct(
            id=int(record) if record.isdecimal() else record, vector=vector,
            payload={"page_content": text, "metadata": fields},
        )
        for record, text, vector, fields in rows
    ]  # fmt: skip
    client.upsert(NAME, points)
    client.close()
    return str(folder / "qdrant")


def milvus_source(folder: Path, metric: Any, pg: PgMaker) -> str:
    client = open_lite(folder / "source.db")
    make_collection(client, NAME, 16, metric)
    rows = zip(IDS, TEXTS, make_vectors(N).tolist(), METADATA, strict=True)
    client.insert(NAME, [{"id": i, "text": text, "vector": v, "metadata": fields} for i, text, v, fields in rows])
    close(client)
    return str(folder / "source.db")


def sqlite_vec_source(folder: Path, metric: str, pg: PgMaker) -> str:
    """A vec0 table with the vectors, and a table beside it that keeps fields as JSON text, as applications do."""
    connection = application(folder / "source.sqlite")
    connection.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT, metadata TEXT)")
    connection.execute(
        f'CREATE VIRTUAL TABLE "{NAME}" USING vec0(id text primary key, v float[16] distance_metric={metric})'
    )
    for record, text, vector, fields in zip(IDS, TEXTS, make_vectors(N), METADATA, strict=True):
        connection.execute("INSERT INTO notes VALUES (?, ?, ?)", (record, text, json.dumps(fields)))
        connection.execute(f'INSERT INTO "{NAME}" VALUES (?, ?)', (record, vector.tobytes()))
    connection.close()
    return str(folder / "source.sqlite")


def parquet_source(folder: Path, metric: str, pg: PgMaker) -> str:
    (folder / "parquet").mkdir()
    columns = {"id": IDS, "content": TEXTS, "embedding": make_vectors(N).tolist(), "metadata": METADATA}
    pq.write_table(pa.table(columns), folder / "parquet" / f"{NAME}.parquet")
    (folder / "parquet" / f"{NAME}.lightmigrate.json").write_text(json.dumps({"distance": metric}))
    return str(folder / "parquet")


def llamaindex_source(folder: Path, metric: str, pg: PgMaker) -> str:
    rows = zip(IDS, TEXTS, make_vectors(N).tolist(), METADATA, strict=True)
    nodes = [TextNode(id_=i, text=text, embedding=v, metadata=fields) for i, text, v, fields in rows]
    store, documents = SimpleVectorStore(), SimpleDocumentStore()
    store.add(nodes)
    documents.add_documents([node.model_copy(update={"embedding": None}) for node in nodes])
    store.persist(str(folder / "llamaindex" / f"{NAME}__vector_store.json"))
    documents.persist(str(folder / "llamaindex" / "docstore.json"))
    return str(folder / "llamaindex")


def chroma_server_source(folder: Path, metric: str, pg: PgMaker) -> str:
    server = shared_server()
    client = server.client()
    client.reset()
    configuration: Any = {"hnsw": {"space": metric}}
    collection = client.create_collection(NAME, configuration=configuration, embedding_function=None)
    metadatas: Any = METADATA
    collection.add(IDS, embeddings=make_vectors(N), documents=TEXTS, metadatas=metadatas)
    return json.dumps({"host": "127.0.0.1", "port": server.port})


def content_of(locator: str) -> object:
    """All that is in a source: the bytes of its files, or for servers and Milvus Lite what their clients say."""
    if locator.startswith("{"):
        client = shared_server().client()
        columns: Any = ["documents", "embeddings", "metadatas", "uris"]
        held = [each.get(include=columns) for each in client.list_collections()]
        stated = [(each.id, each.name, each.metadata, each.configuration) for each in client.list_collections()]
        return stated, [{**rows, "embeddings": np.asarray(rows["embeddings"]).tolist()} for rows in held]
    if locator.startswith("postgresql://"):
        with psycopg.connect(locator) as connection:
            relations = connection.execute("SELECT relname, relkind, relfilenode FROM pg_class ORDER BY oid").fetchall()
            return relations, connection.execute('SELECT *, xmin FROM "my-notes" ORDER BY id').fetchall()
    if locator.endswith(".db"):
        lite = open_lite(Path(locator))
        names = lite.list_collections()
        for name in names:
            lite.load_collection(name)
        rows = [repr(list(lite.query(name, filter="", output_fields=["*"], limit=1000))) for name in names]
        described = [lite.describe_collection(name) for name in names]
        aliases = lite.list_aliases()
        close(lite)
        return aliases, described, rows
    path = Path(locator)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else folder_hash(path)
