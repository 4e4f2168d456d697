"""The stores that run in the application's own process: how each is built, and the script that people write for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from store_contestant import BATCH, COLLECTION, NEW, OLD, Contestant, Data, batches, projected

from lightmigrate.vectors import Vectors


class Chroma(Contestant):
    """A folder; the collection is deleted and filled again."""

    name = "Chroma (folder)"
    modules = ("chromadb", "lightmigrate.stores.chroma.files")

    def build(self, place: str, records: Data) -> None:
        """One collection, cosine."""
        client = self._client(Path(place))
        collection = self._create(client)
        for some in _thousands(len(records.ids)):
            collection.add(
                ids=records.ids[some],
                embeddings=records.vectors[some],
                documents=records.texts[some],
                metadatas=records.payloads[some],
            )
        client.close()

    def script(self, address: str, seed: int) -> None:
        """Get all, delete, create, add in hundreds."""
        client = self._client(Path(address))
        rows = client.get_collection(COLLECTION, embedding_function=None).get(
            include=["embeddings", "documents", "metadatas"]
        )
        vectors = projected(rows["embeddings"], seed)
        client.delete_collection(COLLECTION)
        collection = self._create(client)
        for some in batches(len(vectors)):
            collection.add(
                ids=rows["ids"][some],
                embeddings=vectors[some].tolist(),
                documents=rows["documents"][some],
                metadatas=rows["metadatas"][some],
            )
        client.close()

    @staticmethod
    def _client(place: Path) -> Any:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(str(place), Settings(anonymized_telemetry=False))

    @staticmethod
    def _create(client: Any) -> Any:
        return client.create_collection(
            COLLECTION, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
        )


class Qdrant(Contestant):
    """A folder of qdrant-client's local mode, which commits every point by itself."""

    name = "Qdrant (local)"
    modules = ("qdrant_client", "lightmigrate.stores.qdrant.store")
    rows = 2000

    def build(self, place: str, records: Data) -> None:
        """One collection, cosine."""
        client, models = self._client(Path(place))
        self._create(client, models, OLD.dimension)
        payloads = [
            {"document": text, **payload} for text, payload in zip(records.texts, records.payloads, strict=True)
        ]
        self._upsert(client, models, list(range(len(payloads))), payloads, records.vectors)
        client.close()

    def script(self, address: str, seed: int) -> None:
        """Scroll through all, delete, create, upsert in hundreds."""
        client, models = self._client(Path(address))
        points, offset = [], None
        while True:
            some, offset = client.scroll(COLLECTION, limit=1000, offset=offset, with_vectors=True)
            points += some
            if offset is None:
                break
        vectors = projected(np.asarray([point.vector for point in points], np.float32), seed)
        client.delete_collection(COLLECTION)
        self._create(client, models, NEW.dimension)
        ids, payloads = [point.id for point in points], [point.payload for point in points]
        self._upsert(client, models, ids, payloads, vectors)
        client.close()

    @staticmethod
    def _client(place: Path) -> tuple[Any, Any]:
        from qdrant_client import QdrantClient, models

        return QdrantClient(path=str(place)), models

    @staticmethod
    def _create(client: Any, models: Any, dimension: int) -> None:
        params = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        client.create_collection(COLLECTION, vectors_config=params)

    @staticmethod
    def _upsert(client: Any, models: Any, ids: list[Any], payloads: list[Any], vectors: Vectors) -> None:
        for some in batches(len(ids)):
            rows = zip(ids[some], payloads[some], vectors[some].tolist(), strict=True)
            client.upsert(
                COLLECTION, [models.PointStruct(id=key, payload=payload, vector=v) for key, payload, v in rows]
            )


class Lance(Contestant):
    """A LanceDB table without an index, as most small ones are."""

    name = "LanceDB"
    modules = ("lancedb", "lightmigrate.stores.lance.store")

    def build(self, place: str, records: Data) -> None:
        """One table."""
        self._write(Path(place), _arrow(records, records.vectors, fixed=True))

    def script(self, address: str, seed: int) -> None:
        """The whole table into memory, and written over."""
        import lancedb

        table = lancedb.connect(address).open_table(COLLECTION).to_arrow()
        self._write(Path(address), _with_vectors(table, seed, fixed=True))

    @staticmethod
    def _write(place: Path, table: Any) -> None:
        import lancedb

        lancedb.connect(place).create_table(COLLECTION, table, mode="overwrite")


class Milvus(Contestant):
    """A database of Milvus Lite; the collection is dropped and filled again."""

    name = "Milvus Lite"
    modules = ("pymilvus", "lightmigrate.stores.milvus.store")

    def address(self, place: Path) -> str:
        """The database."""
        return str(place / "milvus.db")

    def build(self, place: str, records: Data) -> None:
        """One collection with an HNSW index, cosine."""
        client = self._client(Path(place) / "milvus.db")
        self._create(client, OLD.dimension)
        rows = zip(records.ids, records.texts, records.payloads, strict=True)
        self._insert(client, [{"id": key, "text": text, **payload} for key, text, payload in rows], records.vectors)

    def script(self, address: str, seed: int) -> None:
        """Iterate over all, drop, create, insert in hundreds."""
        client, rows = self._client(Path(address)), list[dict[str, Any]]()
        client.load_collection(COLLECTION)
        found = client.query_iterator(COLLECTION, batch_size=1000, filter="", output_fields=["*"])
        while some := found.next():
            rows += some
        found.close()
        vectors = projected(np.asarray([row.pop("vector") for row in rows], np.float32), seed)
        client.drop_collection(COLLECTION)
        self._create(client, NEW.dimension)
        self._insert(client, rows, vectors)

    @staticmethod
    def _client(place: Path) -> Any:
        from lightmigrate.stores.milvus.place import open_lite

        return open_lite(place)

    @staticmethod
    def _create(client: Any, dimension: int) -> None:
        from pymilvus import DataType

        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", DataType.VARCHAR, max_length=100, is_primary=True)
        schema.add_field("text", DataType.VARCHAR, max_length=65535)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        indexes = client.prepare_index_params()
        parameters = {"M": 16, "efConstruction": 100}
        indexes.add_index("vector", index_type="HNSW", metric_type="COSINE", params=parameters)
        client.create_collection(COLLECTION, schema=schema, index_params=indexes)

    @staticmethod
    def _insert(client: Any, rows: list[dict[str, Any]], vectors: Vectors) -> None:
        from lightmigrate.stores.milvus.place import close

        for some in batches(len(rows)):
            numbers = vectors[some].tolist()
            client.insert(COLLECTION, [{**row, "vector": v} for row, v in zip(rows[some], numbers, strict=True)])
        close(client)


class Parquet(Contestant):
    """One Parquet file with ids, texts, a list of floats and other columns."""

    name = "Parquet"
    modules = ("pyarrow.parquet", "lightmigrate.stores.vector_files.store")

    def address(self, place: Path) -> str:
        """The file."""
        return str(place / f"{COLLECTION}.parquet")

    def build(self, place: str, records: Data) -> None:
        """The file."""
        import pyarrow.parquet

        pyarrow.parquet.write_table(_arrow(records, records.vectors, fixed=False), self.address(Path(place)))

    def script(self, address: str, seed: int) -> None:
        """Read, project, write over."""
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(address)
        pyarrow.parquet.write_table(_with_vectors(table, seed, fixed=False), address)


class Npy(Contestant):
    """An array, and its texts in a file beside it."""

    name = ".npy"
    modules = ("lightmigrate.stores.vector_files.store",)

    def address(self, place: Path) -> str:
        """The file."""
        return str(place / f"{COLLECTION}.npy")

    def build(self, place: str, records: Data) -> None:
        """Both files."""
        np.save(self.address(Path(place)), records.vectors)
        _write_lines(Path(place), records)

    def script(self, address: str, seed: int) -> None:
        """Read, project, write over."""
        np.save(address, projected(np.load(address), seed))


class Faiss(Contestant):
    """An HNSW index, and its texts in a file beside it."""

    name = "FAISS (HNSW)"
    modules = ("faiss", "lightmigrate.stores.vector_files.store")

    def address(self, place: Path) -> str:
        """The file."""
        return str(place / f"{COLLECTION}.faiss")

    def build(self, place: str, records: Data) -> None:
        """Both files."""
        self._write(self.address(Path(place)), records.vectors)
        _write_lines(Path(place), records)

    def script(self, address: str, seed: int) -> None:
        """Read, project, build the index anew, write over."""
        import faiss

        index = faiss.read_index(address)
        self._write(address, projected(index.reconstruct_n(0, index.ntotal), seed))

    @staticmethod
    def _write(path: str, vectors: Vectors) -> None:
        import faiss

        index = faiss.IndexHNSWFlat(vectors.shape[1], 16)
        index.hnsw.efConstruction = 100
        index.add(vectors)
        faiss.write_index(index, path)


class SqliteVec(Contestant):
    """A vec0 table, and an ordinary table with the texts."""

    name = "sqlite-vec"
    collection = f"{COLLECTION}_vec"
    modules = ("sqlite_vec", "lightmigrate.stores.sqlite_vec.store")

    def address(self, place: Path) -> str:
        """The file."""
        return str(place / "app.db")

    def build(self, place: str, records: Data) -> None:
        """Both tables."""
        connection = self._connection(self.address(Path(place)))
        connection.execute(f"CREATE TABLE {COLLECTION} (id INTEGER PRIMARY KEY, content TEXT, source TEXT, score REAL)")
        rows = zip(records.texts, records.payloads, strict=True)
        connection.executemany(
            f"INSERT INTO {COLLECTION} (content, source, score) VALUES (?, ?, ?)",
            [(text, payload["source"], payload["score"]) for text, payload in rows],
        )
        keys = [key for (key,) in connection.execute(f"SELECT id FROM {COLLECTION} ORDER BY id")]
        self._write(connection, keys, records.vectors)

    def script(self, address: str, seed: int) -> None:
        """Select all, drop, create, insert; one transaction."""
        connection = self._connection(address)
        rows = connection.execute(f"SELECT rowid, embedding FROM {self.collection}").fetchall()
        vectors = np.frombuffer(b"".join(vector for _, vector in rows), np.float32).reshape(len(rows), -1)
        connection.execute(f"DROP TABLE {self.collection}")
        self._write(connection, [key for key, _ in rows], projected(vectors, seed))

    @staticmethod
    def _connection(path: str) -> Any:
        from lightmigrate.stores.sqlite_vec.driver import connect, load_sqlite_vec

        Path(path).touch()
        connection = connect(Path(path))
        load_sqlite_vec(connection)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _write(self, connection: Any, keys: list[int], vectors: Vectors) -> None:
        table = self.collection
        kind = f"embedding float[{vectors.shape[1]}] distance_metric=cosine"
        connection.execute(f"CREATE VIRTUAL TABLE {table} USING vec0({kind})")
        rows = zip(keys, (vector.tobytes() for vector in vectors), strict=True)
        connection.executemany(f"INSERT INTO {table} (rowid, embedding) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        connection.close()


def _thousands(total: int) -> list[slice]:
    return [slice(start, start + 10 * BATCH) for start in range(0, total, 10 * BATCH)]


def _write_lines(place: Path, records: Data) -> None:
    rows: list[Mapping[str, Any]] = [
        {"id": key, "text": text, **payload}
        for key, text, payload in zip(records.ids, records.texts, records.payloads, strict=True)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (place / f"{COLLECTION}.jsonl").write_text(lines, encoding="utf-8")


def _arrow(records: Data, vectors: Vectors, *, fixed: bool) -> Any:
    import pyarrow as pa

    names = ("source", "part", "score")
    return pa.table(
        {
            "id": records.ids,
            "text": records.texts,
            "vector": _vector_column(vectors, fixed=fixed),
            **{name: [payload[name] for payload in records.payloads] for name in names},
        }
    )


def _with_vectors(table: Any, seed: int, *, fixed: bool) -> Any:
    place = table.schema.get_field_index("vector")
    numbers = table.column("vector").combine_chunks().flatten().to_numpy()
    new = projected(numbers.reshape(len(table), -1), seed)
    return table.set_column(place, "vector", _vector_column(new, fixed=fixed))


def _vector_column(vectors: Vectors, *, fixed: bool) -> Any:
    import pyarrow as pa

    numbers = pa.array(vectors.reshape(-1))
    if fixed:
        return pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
    return pa.ListArray.from_arrays(np.arange(0, vectors.size + 1, vectors.shape[1], dtype=np.int32), numbers)
