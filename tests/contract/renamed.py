"""A store whose ids have a form of their own, with other names for them, so that the same tests can be run on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Page,
    Store,
    Version,
    WrittenRecords,
)
from lightmigrate.stores.qdrant.ids import decode
from lightmigrate.stores.reshaped import Reshaped
from lightmigrate.vectors import Vectors


class Names:
    """Which id stands for which name: an integer for a name that is one, a UUID for any other."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def ids(self, names: Sequence[str]) -> list[str]:
        """The ids that stand for some names."""
        ids = [name if decode(name) is not None else _uuid(name) for name in names]
        self._names.update(zip(ids, names, strict=True))
        return ids

    def names(self, ids: Sequence[str]) -> list[str]:
        """The names that some ids stand for."""
        return [self._names[each] for each in ids]


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


@dataclass(frozen=True)
class RenamedCollection(Reshaped):
    """See `stores.base.Collection`."""

    names: Names

    def reshaped(self, page: Page) -> Page:
        return replace(page, ids=self.names.names(page.ids))

    def ids(self) -> Iterator[str]:
        return iter(self.names.names(list(self.collection.ids())))

    def records(self, ids: Sequence[str]) -> Page:
        return self.reshaped(self.collection.records(self.names.ids(ids)))

    def add(self, page: Page) -> None:
        self.collection.add(replace(page, ids=self.names.ids(page.ids)))

    def put(self, page: Page) -> None:
        self.collection.put(replace(page, ids=self.names.ids(page.ids)))

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        self.collection.replace_vectors(self.names.ids(ids), vectors)

    def remove(self, ids: Sequence[str]) -> None:
        self.collection.remove(self.names.ids(ids))

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        ids, distances = self.collection.nearest(vectors, k)
        return [self.names.names(row) for row in ids], distances


class RenamedStore:
    """See `stores.base.Store`."""

    def __init__(self, store: Store, names: Names) -> None:
        self.store, self._names = store, names

    @property
    def capabilities(self) -> Capabilities:
        return self.store.capabilities

    @property
    def folder(self) -> Path | None:
        return self.store.folder

    def unsupported(self) -> str | None:
        return self.store.unsupported()

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        return self.store.damaged(addresses)

    def __str__(self) -> str:
        return str(self.store)

    def __enter__(self) -> RenamedStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    def collections(self) -> list[CollectionFacts]:
        return self.store.collections()

    def collection(self, address: Address) -> RenamedCollection:
        return self._renamed(self.store.collection(address))

    def versions(self) -> list[Version]:
        return self.store.versions()

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        return self.store.describe_model(embedding_function)

    def fixed_distance(self, address: Address) -> str | None:
        return self.store.fixed_distance(address)

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> RenamedCollection:
        return self._renamed(self.store.create(address, _original(like), dimension, model, distance))

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> RenamedCollection:
        return self._renamed(self.store.create_version(_original(source), key, dimension, model, distance))

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        return self.store.exchange(_original(incoming), _original(live), key, function=function, settle=settle)

    def backup_of(self, own: Address, key: str) -> Version:
        return self.store.backup_of(own, key)

    def restore(self, backup: Version, key: str) -> int:
        return self.store.restore(backup, key)

    def written_since(self, backup: Version) -> WrittenRecords | None:
        return self.store.written_since(backup)

    def delete(self, address: Address) -> None:
        self.store.delete(address)

    def recover(self) -> str | None:
        return self.store.recover()

    def interrupted_exchange(self) -> bool:
        return self.store.interrupted_exchange()

    def _renamed(self, collection: Collection) -> RenamedCollection:
        return RenamedCollection(collection, self._names)


def _original(collection: Collection) -> Collection:
    assert isinstance(collection, RenamedCollection)
    return collection.collection
