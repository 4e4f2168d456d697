"""A Qdrant database as a `Store`: versions are collections of their own, and aliases lead to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qdrant_client import QdrantClient

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.stores.aliased.store import LOOKED_AT, AliasedStore
from lightmigrate.stores.base import Address, Collection, Metric
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.collection import QdrantCollection
from lightmigrate.stores.qdrant.exchange import delete_with_aliases, exchange, interrupted, recover
from lightmigrate.stores.qdrant.names import NAMES
from lightmigrate.stores.qdrant.place import place_of
from lightmigrate.stores.qdrant.receive import QdrantReceiver

# The first version of a server whose filters can ask for a vector.
OLDEST = (1, 13)


class QdrantStore(QdrantReceiver, AliasedStore):
    """See `stores.base.Store`.

    Args:
        client: qdrant-client's own, open.
        owned: whether closing the store closes it.
        reopen: opens another one on the same folder; only for a client that is owned.
    """

    calls: QdrantCalls
    naming = NAMES
    unit_vectors = True
    without_alias = (
        "the old collection is copied and deleted, and its name becomes an alias (for mem0 a new collection); pause "
        "writers meanwhile (what they write during the last reading is lost), or first give the application an alias"
    )
    deletion = "delete_collection"

    def __init__(
        self, client: QdrantClient, *, owned: bool = False, reopen: Callable[[], QdrantClient] | None = None
    ) -> None:
        if not isinstance(client, QdrantClient):
            raise LightmigrateError(f"{type(client).__name__} is not a QdrantClient: give one that is not asynchronous")
        super().__init__(place_of(client))
        self.calls = QdrantCalls(client, reopen)
        self._owned = owned

    def unsupported(self) -> str | None:
        """Why this server is too old. Only reads."""
        version = self.calls.version()
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if self.calls.local or numbers >= OLDEST:
            return None
        return (
            f"the Qdrant server at {self} is of version {version}, and {OLDEST[0]}.{OLDEST[1]} or newer is needed: "
            "update it one minor version after the other"
        )

    def close(self) -> None:
        """Close the client, unless it is the caller's."""
        if self._owned:
            self.calls.client.close()

    def vectors_of(self, name: str) -> Sequence[str]:
        """The names of the dense vectors of a collection. Only reads."""
        return self.calls.configuration(name).candidates

    def collection(self, address: Address) -> QdrantCollection:
        """Open a collection or a version of one. Only reads.

        Raises:
            CollectionNotFoundError: there is none, or it is opened by an alias.
        """
        aliases = self.calls.aliases()
        self.require_own_name(address, aliases)
        physical = aliases.get(address.name, address.name)
        identity = self.identified(physical, address, aliases) if physical == address.name else physical
        return QdrantCollection(self.calls, address, identity, self.text_field(address.name, aliases))

    def some_fields(self, name: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """The payloads of some points; no field is made for the text. Only reads."""
        looked_at = self.calls.configuration(name).largest(LOOKED_AT)
        return [point.payload or {} for point in self.calls.scroll(name, looked_at, None, None, vectors=False)], ""

    def make(
        self, address: Address, like: Collection, dimension: int, distance: Metric | None, *, marked: bool
    ) -> QdrantCollection:
        """Create an empty collection with the whole configuration of another. Writes."""
        assert isinstance(like, QdrantCollection)  # noqa: S101  # a store copies its own kind only
        stated = self.calls.configuration(like.address.name)
        stated.require_copyable(like.vector, like.address)
        mark = NAMES.mark_of(address.name) if marked else ""
        self.calls.create(address.name, stated.creation(like.vector, dimension, distance), stated, mark)
        return QdrantCollection(self.calls, address, address.name, like.format.text)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """See `exchange` and `stores.base.Store`. `settle` is not called: Qdrant cannot hold writers."""
        assert isinstance(incoming, QdrantCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, QdrantCollection)  # noqa: S101
        DatabaseChangedError.require_same(live.address, live.opened_id, self.collection(live.address).opened_id)
        exchange(self.calls, incoming, live, key)
        return 0

    def delete(self, address: Address) -> None:
        """Delete a collection or a version of one, and the aliases that lead to it. Writes."""
        aliases = self.calls.aliases()
        self.require_not_in_use(address, aliases)
        physical = aliases.get(address.name, address.name)
        self.calls.configuration(physical)
        delete_with_aliases(self.calls, physical)
        self.forget(address)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes."""
        return recover(self.calls)

    def interrupted_by(self, aliases: Mapping[str, str]) -> bool:
        """Whether an exchange was interrupted; only reads."""
        return interrupted(aliases)
