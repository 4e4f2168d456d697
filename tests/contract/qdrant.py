"""Qdrant's client in local mode, in memory and in a folder; its server is not to be had here.

Qdrant takes only integers and UUIDs as ids. The contract suite speaks of `id-0001` and of ids that hurt, so a client of
these makers renames: every id of the suite stands for a UUID, or for an integer where it is one.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.qdrant.configuration import DISTANCES
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.contract.content import content_of
from tests.contract.renamed import Names, RenamedStore

# Local mode commits every point by itself. Processes are killed here, the machine is not: memory will do.
_MEMORY = Path("/dev/shm")


def quick_folder(otherwise: Path) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in memory, where the system has that."""
    return tempfile.TemporaryDirectory(prefix="lightmigrate-qdrant-", dir=_MEMORY if _MEMORY.is_dir() else otherwise)


class QdrantMaker:
    """What the two have in common."""

    payloads: Sequence[Payload | None] = (
        None,
        {"nested": {"list": [1, 1.5, True, None, {"deep": ["é"]}], "empty": {}}, "none": None},
        {"one": 1, "true": True, "float": 1.0, "zero": 0, "false": False, "big": 2**63 - 1, "negative": -(2**63)},
        {"fraction": 0.1, "tiny": 5e-324, "huge": 1.7976931348623157e308, "document": {"not": "a text"}},
        {"": "empty key", "'; DROP TABLE docs; --": "%s %(x)s {0} $1 \\ \" '", "text": "another field"},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = False
    failpoints: Sequence[tuple[str, str, str]] = ()
    aliased = False

    def __init__(self, folder: Path) -> None:
        self._temporary = quick_folder(folder)
        self.folder = Path(self._temporary.name) / "qdrant_data"
        self._names = Names()
        self._client: QdrantClient | None = None
        self.capabilities = Capabilities(
            one_vector=True,
            atomic_exchange=True, holds_writers=False, sees_changes=False, ordered=False, stale_handles=False,
            shared_records=False, unit_vectors=True,
        )  # fmt: skip

    @property
    def locator(self) -> str:
        """Empty for one that no other process can open."""
        return ""

    def opened(self) -> QdrantClient:
        """A new client of qdrant-client's own."""
        raise NotImplementedError

    @property
    def application(self) -> QdrantClient:
        """The application's client."""
        if self._client is None:
            self._client = self.opened()
        return self._client

    def client(self) -> Store:
        return RenamedStore(QdrantStore(self.application), self._names)

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        if not self.aliased:
            self.capabilities = replace(self.capabilities, atomic_exchange=False)
        params = models.VectorParams(size=dimension, distance=DISTANCES[metric])
        self.application.create_collection(f"{name}_v1" if self.aliased else name, vectors_config=params)
        if self.aliased:
            alias = models.CreateAlias(collection_name=f"{name}_v1", alias_name=name)
            self.application.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 1e-6 if metric == "cosine" else 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = self.state()
        yield self.client()
        assert self.state() == before

    def state(self) -> object:
        """All that is stored."""
        raise NotImplementedError

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    def let_go(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def release(self) -> None:
        self.let_go()
        self._temporary.cleanup()


class QdrantMemoryMaker(QdrantMaker):
    """A client in memory, whose application uses aliases."""

    aliased = True

    def opened(self) -> QdrantClient:
        return QdrantClient(":memory:")

    def state(self) -> object:
        client = self.application
        names = sorted(each.name for each in client.get_collections().collections)
        points = [repr(client.scroll(name, limit=1000, with_vectors=True)) for name in names]
        return repr(client.get_aliases()), points


class QdrantFolderMaker(QdrantMaker):
    """A folder, whose application opens its collections by their own names."""

    failpoints: Sequence[tuple[str, str, str]] = tuple(
        ("lightmigrate.stores.qdrant.calls", "QdrantCalls", method)
        for method in ("change_aliases", "create", "delete", "upsert", "remove")
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.capabilities = replace(self.capabilities, one_client=True)

    @property
    def locator(self) -> str:
        return str(self.folder)

    def opened(self) -> QdrantClient:
        return QdrantClient(path=str(self.folder))

    def state(self) -> object:
        return content_of(self.folder)
