"""The servers that pages name, each a real one on this machine, started when a page first names it.

Of Qdrant it is its documented interface before the client's own local mode, of Milvus it is Milvus Lite.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg
from milvus_lite.adapter.grpc.server import start_server_in_thread
from psycopg import sql
from pymilvus import MilvusClient
from qdrant_client import QdrantClient, models

from tests.contract.milvus import make_collection
from tests.contract.postgres import PgMaker
from tests.encoders import shared_wordllama
from tests.stores.qdrant.server import QdrantServer

DIMENSION = 128


class Addresses:
    """What the addresses of pages lead to.

    Args:
        stack: ends what is started.
        texts: of the collection `docs` that each database has.
    """

    def __init__(self, stack: contextlib.ExitStack, texts: Sequence[str]) -> None:
        self._stack, self._texts = stack, texts
        self._known: dict[str, str] = {}
        self._makers: Mapping[str, tuple[Callable[[], str], Callable[[str, Sequence[str]], None]]] = {
            "postgresql://user@host/name": (self._postgres, fill_postgres),
            "qdrant://localhost:6333": (self._qdrant, fill_qdrant),
            "milvus://localhost:19530": (self._milvus, fill_milvus),
        }

    def replaced(self, text: str) -> str:
        """A text of a page with the addresses of databases that hold a collection."""
        for named, (start, fill) in self._makers.items():
            plain = named.replace("qdrant://", "http://")
            if named not in text and plain not in text:
                continue
            if named not in self._known:
                self._known[named] = start()
                fill(self._known[named], self._texts)
            real = self._known[named]
            text = text.replace(named, real).replace(plain, real.replace("qdrant://", "http://"))
        return text.replace("/home/me", str(Path.cwd()))

    def empty(self, text: str) -> str:
        """The same, of new databases that hold nothing."""
        for named, (start, _) in self._makers.items():
            text = start() if text == named else text
        return self.replaced(text)

    def _folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def _postgres(self) -> str:
        maker = PgMaker(self._folder())
        self._stack.callback(maker.release)
        return maker.locator

    def _qdrant(self) -> str:
        server = QdrantServer()
        self._stack.callback(server.close)
        return server.url

    def _milvus(self) -> str:
        server, database, port = start_server_in_thread(str(self._folder() / "milvus.db"))
        self._stack.callback(database.close)
        self._stack.callback(server.stop, grace=0)
        return f"milvus://127.0.0.1:{port}"


def fill_postgres(address: str, texts: Sequence[str]) -> None:
    """The table `docs`, with columns that the page of the store names."""
    vectors = shared_wordllama(DIMENSION).embed(texts).tolist()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE TABLE docs (id text PRIMARY KEY, content text, summary text, tenant text, embedding vector({}))"
            ).format(sql.Literal(DIMENSION))
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO docs VALUES (%s, %s, %s, %s, %s)",
                [
                    (f"n{row}", text, text[:80], "a", str(vector))
                    for row, (text, vector) in enumerate(zip(texts, vectors, strict=True))
                ],
            )


def fill_qdrant(address: str, texts: Sequence[str]) -> None:
    """The collection `docs`, as LangChain stores texts."""
    vectors = shared_wordllama(DIMENSION).embed(texts).tolist()
    client = QdrantClient(address.replace("qdrant://", "http://"))
    client.create_collection(
        "docs", vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    )
    client.upsert(
        "docs",
        [
            models.PointStruct(id=row, vector=vector, payload={"page_content": text, "metadata": {"row": row}})
            for row, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        ],
    )
    client.close()


def fill_milvus(address: str, texts: Sequence[str]) -> None:
    """The collection `docs`, in a server or a file of Milvus Lite."""
    vectors = shared_wordllama(DIMENSION).embed(texts).tolist()
    client = MilvusClient(address.replace("milvus://", "http://"))
    make_collection(client, "docs", DIMENSION)
    client.insert(
        "docs",
        [
            {"id": f"n{row}", "text": text, "vector": vector}
            for row, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        ],
    )
    client.close()
