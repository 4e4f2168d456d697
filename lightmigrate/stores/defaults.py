"""What a store need not write itself where its database has nothing better: derive from these classes."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lightmigrate.errors import DimensionError, LightmigrateError
from lightmigrate.providers.functions import is_embedder
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Cursor, Page, Role, Version, WrittenRecords
from lightmigrate.vectors import Vectors, evenly

_S = TypeVar("_S", bound="StoreDefaults")


class CollectionDefaults(abc.ABC):
    """Parts of a `Collection` by means of its other methods, for a database without a log of what is written."""

    @abc.abstractmethod
    def facts(self) -> CollectionFacts:
        """See `Collection`."""

    @abc.abstractmethod
    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """See `Collection`."""

    @abc.abstractmethod
    def records(self, ids: Sequence[str]) -> Page:
        """See `Collection`."""

    @abc.abstractmethod
    def put(self, page: Page) -> None:
        """See `Collection`."""

    def add(self, page: Page) -> None:
        """Write new records. Raises `LightmigrateError` when an id exists already."""
        if taken := len(page) - len(set(page.ids)) + len(self.records(page.ids)):
            raise LightmigrateError(f"{taken} of {len(page)} ids are taken or given twice: use put")
        self.put(page)

    def count(self) -> int:
        """Number of records."""
        return self.facts().count

    def ids(self) -> list[str]:
        """All ids, in the order of a scan; only reads."""
        return [record for page in self.scan(5000, vectors=False) for record in page.ids]

    def sample(self, n: int, seed: int = 0) -> Page:
        """Evenly spaced records of a scan; only reads. Reads all ids."""
        ids = self.ids()
        return self.records([ids[row] for row in evenly(len(ids), n)] if n else [])

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """`None`: there is no log."""
        return None


class StoreDefaults(abc.ABC):
    """Parts of a `Store` whose exchanges are one transaction and whose collections can be given any distance."""

    @abc.abstractmethod
    def collection(self, address: Address) -> Collection:
        """See `Store`."""

    @abc.abstractmethod
    def exchange(self, incoming: Collection, live: Collection, key: str) -> int:
        """See `Store`."""

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:  # noqa: B027  # a store may have nothing to release
        """Do nothing: there is nothing to release."""

    def unsupported(self) -> str | None:
        """`None`: everything can be migrated."""
        return None

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """None that is known."""
        return {}

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """A mapping of `name` and `config`, as it is; `None` for a function, about which nothing is recorded."""
        if embedding_function is None or is_embedder(embedding_function):
            return None
        if isinstance(embedding_function, Mapping) and set(embedding_function) == {"name", "config"}:
            return dict(embedding_function)
        raise LightmigrateError(
            f"{type(embedding_function).__name__} is no embedding model: give a mapping of name and config"
        )

    def fixed_distance(self, address: Address) -> str | None:
        """`None`: it can be changed."""
        return None

    def restore(self, backup: Version, key: str) -> int:
        """An exchange of the backup for the collection. Writes."""
        return self.exchange(self.collection(backup.address), self.collection(backup.own), key)

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """`None`: there is no log."""
        return None

    def recover(self) -> str | None:
        """`None`: an exchange cannot be interrupted."""
        return None

    def interrupted_exchange(self) -> bool:
        """`False`: an exchange cannot be interrupted."""
        return False


def version_of(own: Address, role: Role, key: str) -> Version:
    """A version of a collection that is told by its name alone: `docs.lightmigrate-new-KEY`."""
    name = f"{own.name}.lightmigrate-{role.value}-{key}"
    return Version(own, role, key, Address(name, own.tenant, own.database, own.vector, own.part))


def require_dimension(vectors: Vectors, dimension: int) -> None:
    """Raise `DimensionError` when there are vectors, and not `(n, dimension)`."""
    if len(vectors) and vectors.shape[1] != dimension:
        raise DimensionError(
            f"vectors of {vectors.shape[1]} numbers for a collection of {dimension}: project them first",
            expected=dimension,
            found=int(vectors.shape[1]),
        )
