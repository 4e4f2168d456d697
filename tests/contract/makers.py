"""How each store is made for the contract suite. To hold another store to it: write a `Maker` and name it in `MAKERS`.

A maker stands for one database. It creates collections as an application does, opens any number of clients, and says
what the store can promise, so that a promise that is silently dropped fails a test.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import chromadb
from chromadb.config import Settings
from chromadb.utils.embedding_functions import DefaultEmbeddingFunction

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.chroma.client import copied
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.contract.content import JSON_PAYLOADS, content_of
from tests.contract.lancedb import LanceMaker
from tests.contract.milvus import MilvusAliasMaker, MilvusLiteMaker
from tests.contract.outside import outside_maker
from tests.contract.postgres import PgMaker
from tests.contract.qdrant import QdrantFolderMaker, QdrantMemoryMaker
from tests.contract.sqlite_vec import SqliteVecMaker, SqliteVecRowsMaker
from tests.contract.vector_files import FaissMaker, LangChainMaker, LlamaIndexMaker, NpyMaker, ParquetMaker
from tests.migration.shadow.server import shared_server

_SETTINGS = Settings(anonymized_telemetry=False)  # making them anew takes longer than opening a small folder


class Maker(Protocol):
    """One database of a store.

    Attributes:
        capabilities: what the store is expected to promise.
        payloads: what an application may store beside a text, hostile values among them; all different.
        model: what an application may name as its embedding model; the store may record nothing of it.
        records_model: whether it does record it.
        failpoints: module, class and method names; a process killed before any call of these is a crash between two
            steps of an exchange. Empty for a store that ends with its process.
    """

    capabilities: Capabilities
    payloads: Sequence[Payload | None]
    model: Mapping[str, Any]
    records_model: bool
    failpoints: Sequence[tuple[str, str, str]]

    def client(self) -> Store:
        """The database as a client of its own; closed with the maker."""

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        """Create an empty collection, as an application does; `model` has it record `self.model`."""

    def tolerance(self, metric: Metric) -> float:
        """How far a stored vector may be from the one that was written, relative; 0 where it is bit-identical."""

    def read_only(self) -> contextlib.AbstractContextManager[Store]:
        """A client for reading; whatever is written through it fails, there or when the block ends."""

    def payload_of(self, number: int) -> Payload:
        """A payload of an application's record that holds a number."""

    @property
    def locator(self) -> str:
        """With this another process opens the same database; see `opening`."""

    def let_go(self) -> None:
        """Close what this process has open, where another process could not work beside it."""

    def release(self) -> None:
        """Close all, at the end."""


class MemoryMaker:
    """A database in memory."""

    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=True, sees_changes=True, ordered=True, stale_handles=False,
        shared_records=False,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = JSON_PAYLOADS
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = True
    failpoints: Sequence[tuple[str, str, str]] = ()
    locator = ""

    def __init__(self) -> None:
        self._database = MemoryDatabase()

    def client(self) -> Store:
        return MemoryStore(self._database)

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        address = Address(name)
        self._database.create_collection(address, dimension, metric, {"m": 16}, self.model if model else None)
        return address

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = repr((self._database.tables, self._database.log))
        yield self.client()
        assert repr((self._database.tables, self._database.log)) == before

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    def let_go(self) -> None:
        """Nothing is open."""

    def release(self) -> None:
        """Nothing is open."""


class ChromaMaker:
    """What the three ways to a Chroma database have in common."""

    capabilities = Capabilities(
        atomic_exchange=False, holds_writers=False, sees_changes=False, ordered=True, stale_handles=True,
        shared_records=False,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = (
        None,
        {"uri": "file:///a%20b?c=d'e"},
        {"metadata": {"one": 1, "true": True, "float": 1.0, "zero": 0, "false": False, "big": 2**63 - 1}},
        {"metadata": {"fraction": 0.1, "third": 1 / 3, "text": "é ' \" %s {0} $1 \\ \n"}, "uri": "x"},
        {"metadata": {"numbers": [1, 2, 3], "texts": ["a", "é"], "flags": [True, False]}},
        {"metadata": {"'; DROP TABLE embeddings; --": "%s", "empty": ""}},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = True
    failpoints: Sequence[tuple[str, str, str]] = (
        ("lightmigrate.stores.chroma.collection", "ChromaCollection", "rename"),
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "chroma_data"
        self._open: list[Any] = []

    def _api(self) -> Any:
        """Chroma's own client, as the application has it."""
        client: Any = chromadb.PersistentClient(str(self.folder), settings=copied(_SETTINGS))
        self._open.append(client)
        return client

    @contextlib.contextmanager
    def _application(self) -> Iterator[Any]:
        yield self._api()

    def client(self) -> Store:
        return LiveChromaStore(self._api())

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        with self._application() as client:
            configuration: dict[str, Any] = {"hnsw": {"space": metric, "ef_construction": 150, "max_neighbors": 12}}
            function = DefaultEmbeddingFunction() if model else None
            client.create_collection(name, embedding_function=function, configuration=configuration)
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 1e-5 if metric == "cosine" else 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        store = self.client()
        before = content_of(self.folder)
        yield store
        assert content_of(self.folder) == before

    def payload_of(self, number: int) -> Payload:
        return {"metadata": {"number": number}}

    @property
    def locator(self) -> str:
        return str(self.folder)

    def let_go(self) -> None:
        for client in self._open:
            client.close()
        self._open.clear()

    def release(self) -> None:
        self.let_go()


class ChromaClientMaker(ChromaMaker):
    """Chroma's client of this process."""


class ChromaFolderMaker(ChromaMaker):
    """A folder that lightmigrate opens itself, for this process alone: all clients are one."""

    aside = True

    def client(self) -> Store:
        if not self._open:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not ChromaFiles(self.folder).exists():
                client: Any = chromadb.PersistentClient(str(self.folder), settings=copied(_SETTINGS))
                client.close()
            self._open.append(ChromaFiles(self.folder).open())
        store: Store = self._open[0]
        return store

    def let_go(self) -> None:
        for store in self._open:  # it opens again when it is used again
            store.close()

    @contextlib.contextmanager
    def _application(self) -> Iterator[Any]:
        self.let_go()
        client: Any = chromadb.PersistentClient(str(self.folder), settings=copied(_SETTINGS))
        yield client
        client.close()


class ChromaServerMaker(ChromaMaker):
    """A Chroma server on the loopback interface, emptied."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = shared_server()
        self.folder = self._server.folder
        self._api().reset()

    def _api(self) -> Any:
        return self._server.client()

    @property
    def locator(self) -> str:
        return json.dumps({"host": "127.0.0.1", "port": self._server.port})

    def release(self) -> None:
        """The server goes on."""


MAKERS: Mapping[str, Callable[[Path], Maker]] = {
    "memory": lambda folder: MemoryMaker(),
    "pgvector": PgMaker,
    "qdrant memory": QdrantMemoryMaker,
    "qdrant folder": QdrantFolderMaker,
    "sqlite-vec": SqliteVecMaker,
    "sqlite-vec with rows": SqliteVecRowsMaker,
    "lance": LanceMaker,
    "milvus": MilvusLiteMaker,
    "milvus alias": MilvusAliasMaker,
    "npy": NpyMaker,
    "parquet": ParquetMaker,
    "faiss": FaissMaker,
    "langchain faiss": LangChainMaker,
    "llamaindex": LlamaIndexMaker,
    "chroma folder": ChromaFolderMaker,
    "chroma client": ChromaClientMaker,
    "chroma server": ChromaServerMaker,
    "of another package": outside_maker,
}

# Makers that share most of what they test: in the default run they share the tests, too; see `conftest`.
FAMILIES: Sequence[Sequence[str]] = (
    ("npy", "parquet", "faiss", "langchain faiss", "llamaindex"),
    ("chroma folder", "chroma client", "chroma server"),
    ("qdrant memory", "qdrant folder"),
    ("milvus", "milvus alias"),
    ("sqlite-vec", "sqlite-vec with rows"),
)
