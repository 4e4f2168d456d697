"""What a store need not write itself where its database has nothing better: derive from these classes."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.functions import is_embedder
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Cursor, Page, Role, Version, WrittenRecords
from lightmigrate.stores.checks import require_dimension as require_dimension  # stores find it here, too
from lightmigrate.stores.checks import require_unused
from lightmigrate.stores.timestamp import order
from lightmigrate.vectors import evenly

_S = TypeVar("_S", bound="StoreDefaults")

NO_AGES: Mapping[Address, int] = {}


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
        require_unused(page.ids, len(self.records(list(dict.fromkeys(page.ids)))))
        self.put(page)

    def count(self) -> int:
        """Number of records."""
        return self.facts().count

    def ids(self) -> Iterator[str]:
        """All ids, in the order of a scan; only reads."""
        return (record for page in self.scan(10_000, vectors=False) for record in page.ids)

    def sample(self, n: int, seed: int = 0) -> Page:
        """Evenly spaced records of a scan; only reads. Reads all ids and n records."""
        total = self.count()
        if total <= n:
            return self.records(list(self.ids()))
        shift = int(np.random.default_rng(seed).integers(max(1, total // max(1, n))))
        rows = {row + shift for row in evenly(total - shift, n)}
        return self.records([record for row, record in enumerate(self.ids()) if row in rows])

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """`None`: there is no log."""
        return None


class StoreDefaults(abc.ABC):
    """Parts of a `Store` whose exchanges are one transaction and whose collections can be given any distance.

    Attributes:
        records_model: whether the database records the embedding model of a collection.
    """

    records_model: ClassVar[bool] = True

    @abc.abstractmethod
    def collection(self, address: Address) -> Collection:
        """See `Store`."""

    @abc.abstractmethod
    def exchange(self, incoming: Collection, live: Collection, key: str) -> int:
        """See `Store`."""

    @abc.abstractmethod
    def versions(self) -> list[Version]:
        """See `Store`."""

    def backup_of(self, own: Address, key: str) -> Version:
        """Found among all versions."""
        return next(each for each in self.versions() if (each.own, each.role, each.key) == (own, Role.BACKUP, key))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

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
        """A mapping of `name` and `config`, as it is; `None` for a function, about which nothing is recorded.

        Raises:
            LightmigrateError: the object is neither an embedding function nor such a mapping.
        """
        if embedding_function is None or is_embedder(embedding_function):
            return None
        if isinstance(embedding_function, Mapping):
            if not self.records_model:
                return None
            if set(embedding_function) == {"name", "config"}:
                return dict(embedding_function)
        recorded = ", or a mapping of name and config" if self.records_model else ""
        raise LightmigrateError(
            f"{type(embedding_function).__name__} is no embedding function: give a callable{recorded}"
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


def by_age(versions: Iterable[Version], ages: Mapping[Address, int] = NO_AGES) -> list[Version]:
    """Versions as `Store.versions` lists them: those being built, then backups, the oldest first.

    Args:
        versions: in any order.
        ages: what tells the age of those with the same key, by address: of an older one it is less.
    """
    return sorted(
        versions,
        key=lambda version: (order(version.key), version.key, ages.get(version.address, 0), str(version.own)),
    )


@runtime_checkable
class _Identified(Protocol):
    """A collection that knows its id without counting its records."""

    @property
    def id(self) -> str:
        """See `CollectionFacts`."""


def id_of(collection: Collection) -> str:
    """The store's own id of a collection; see `CollectionFacts`. Only reads."""
    return collection.id if isinstance(collection, _Identified) else collection.facts().id


def facts_at(
    address: Address,
    count: int,
    dimension: int | None,
    space: str,
    model: Mapping[str, Any] | None = None,
    own_id: str = "",
) -> CollectionFacts:
    """The facts about the collection at an address; see `CollectionFacts`."""
    return CollectionFacts(
        address.name,
        address.tenant,
        address.database,
        count,
        dimension,
        space,
        model,
        own_id,
        address.vector,
        address.part,
    )
