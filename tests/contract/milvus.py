"""Milvus Lite, as applications have it: opened by their own names, and by aliases. Its server is not to be had here."""

from __future__ import annotations

import atexit
import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymilvus import DataType, MilvusClient

from lightmigrate.migration.aside.location import COMPANIONS
from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.milvus.place import close, open_lite
from lightmigrate.stores.milvus.store import MilvusStore

# Processes are killed here, the machine is not: memory will do.
_MEMORY = Path("/dev/shm")

_METRICS: Mapping[Metric, str] = {"l2": "L2", "cosine": "COSINE", "ip": "IP"}


class _Shared:
    """One database for all tests of a process: to start Milvus Lite takes longer than most of them."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="lightmigrate-milvus-", dir=_MEMORY if _MEMORY.is_dir() else None
        )
        self.path = Path(self._folder.name) / "milvus.db"
        self._client: MilvusClient | None = None
        atexit.register(self._remove)

    @property
    def client(self) -> MilvusClient:
        """The application's client."""
        if self._client is None:
            self._client = open_lite(self.path)
        return self._client

    def let_go(self) -> None:
        """Let another process open it."""
        if self._client is not None:
            close(self._client)
        self._client = None

    def clear(self) -> None:
        """Drop everything, and forget what was kept about it."""
        for alias in self.client.list_aliases()["aliases"]:
            self.client.drop_alias(alias)
        for name in self.client.list_collections():
            self.client.drop_collection(name)
        folder = MilvusStore(self.client).folder
        for name in COMPANIONS if folder else ():
            (Path(folder or "") / name).unlink(missing_ok=True)

    def _remove(self) -> None:
        self.let_go()
        self._folder.cleanup()


_SHARED: list[_Shared] = []


def shared() -> _Shared:
    """The database of this process."""
    if not _SHARED:
        _SHARED.append(_Shared())
    return _SHARED[0]


def make_collection(
    client: MilvusClient, name: str, dimension: int, metric: Metric = "l2", *more: Mapping[str, Any]
) -> None:
    """A collection as an application makes it: ids and texts are VARCHAR, and dynamic fields.

    Args:
        client: the application's.
        name: of the collection.
        dimension: of its vectors.
        metric: their distance.
        more: the arguments of `add_field` of other fields.
    """
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.VARCHAR, max_length=600, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=65535, nullable=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    for field in more:
        schema.add_field(**field)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="HNSW", metric_type=_METRICS[metric], params={"M": 8, "efConstruction": 64})
    client.create_collection(name, schema=schema)
    client.create_index(name, indexes, sync=False)
    client.load_collection(name)


class MilvusLiteMaker:
    """A database whose application opens its collections by their own names."""

    payloads: Sequence[Payload | None] = (
        None,
        {"nested": {"list": [1, 1.5, True, None, {"deep": ["é"]}], "empty": {}}, "none": None},
        {"one": 1, "true": True, "float": 1.0, "zero": 0, "false": False, "big": 2**63 - 1, "negative": -(2**63)},
        {"fraction": 0.1, "tiny": 5e-324, "huge": 1.7976931348623157e308, "document": {"not": "a text"}},
        {"": "empty key", "'; DROP TABLE docs; --": "%s %(x)s {0} $1 \\ \" '", "content": "another field"},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = False
    failpoints: Sequence[tuple[str, str, str]] = tuple(
        ("lightmigrate.stores.milvus.calls", "MilvusCalls", method)
        for method in ("create_alias", "alter_alias", "drop_alias", "rename")
    )
    aliased = False
    starts_slowly = True

    def __init__(self, folder: Path) -> None:
        self._database = shared()
        self._database.clear()
        self.capabilities = Capabilities(
            one_vector=True,
            atomic_exchange=True, holds_writers=False, sees_changes=False, ordered=False, stale_handles=False,
            shared_records=False, one_client=True,
        )  # fmt: skip

    def client(self) -> Store:
        return MilvusStore(self._database.client)

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        client = self._database.client
        if self.aliased:
            make_collection(client, f"{name}_v1", dimension, metric)
            client.create_alias(f"{name}_v1", name)
        else:
            make_collection(client, name, dimension, metric)
            self.capabilities = replace(self.capabilities, atomic_exchange=False)
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = self._state()
        yield self.client()
        assert self._state() == before

    def _state(self) -> object:
        client = self._database.client
        names = client.list_collections()
        rows = [repr(list(client.query(name, filter="", output_fields=["*"], limit=1000))) for name in names]
        return client.list_aliases(), names, rows

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    @property
    def locator(self) -> str:
        return str(self._database.path)

    def let_go(self) -> None:
        self._database.let_go()

    def release(self) -> None:
        """The database goes on."""


class MilvusAliasMaker(MilvusLiteMaker):
    """A database whose application uses aliases."""

    aliased = True
