"""A Milvus database as a `Store`: versions are collections of their own, which aliases or renames put in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymilvus import MilvusClient

from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.aliased.store import LOOKED_AT, AliasedStore
from lightmigrate.stores.base import Address, Collection, Metric, Payload
from lightmigrate.stores.milvus.calls import MilvusCalls, NotLoadedError
from lightmigrate.stores.milvus.collection import MilvusCollection
from lightmigrate.stores.milvus.exchange import exchange, recover
from lightmigrate.stores.milvus.names import NAMES
from lightmigrate.stores.milvus.place import close, place_of
from lightmigrate.stores.milvus.receive import MilvusReceiver
from lightmigrate.stores.milvus.rows import PARTITION
from lightmigrate.stores.receive import Fields
from lightmigrate.stores.text_field import TEXT_FIELDS

# The first version of a server that updates single fields of a row.
OLDEST = (2, 6, 2)


class MilvusStore(MilvusReceiver, AliasedStore):
    """See `stores.base.Store`.

    Args:
        client: pymilvus's own, open.
        owned: whether closing the store closes it.
    """

    calls: MilvusCalls
    naming = NAMES
    without_alias = (
        "the old collection is renamed, then the new one, and an application's requests between the two fail, as there "
        "is no collection of this name; let it try again, or first give it an alias"
    )
    deletion = "drop_collection"

    def __init__(self, client: MilvusClient, *, owned: bool = False) -> None:
        if not isinstance(client, MilvusClient):
            raise LightmigrateError(f"{type(client).__name__} is not a MilvusClient: give one that is not asynchronous")
        super().__init__(place_of(client))
        self.calls = MilvusCalls(client)
        self._owned = owned

    def unsupported(self) -> str | None:
        """Why this server is too old. Only reads."""
        version = self.calls.version
        numbers = tuple(int(part) for part in re.split("[.-]", version.removeprefix("v")) if part.isdecimal())
        if self.calls.lite or numbers >= OLDEST:
            return None
        return (
            f"the Milvus server at {self} is of version {version}, and {'.'.join(map(str, OLDEST))} or newer is "
            "needed: update it"
        )

    def close(self) -> None:
        """Close the client, unless it is the caller's."""
        if self._owned:
            close(self.calls.client)
            self._owned = False

    def vectors_of(self, name: str) -> Sequence[str]:
        """The float32 vectors of a collection. Only reads."""
        return self.calls.describe(name).candidates

    def collection(self, address: Address) -> MilvusCollection:
        """Open a collection or a version of one. Only reads.

        Raises:
            CollectionNotFoundError: there is none, or it is opened by an alias.
        """
        aliases = self.calls.aliases()
        self.require_own_name(address, aliases)
        description = self.calls.describe(address.name)
        identity = description.identity
        if description.name == address.name:
            identity = self.identified(identity, address, aliases)
        return MilvusCollection(self.calls, address, description, identity, self.text_field(address.name, aliases))

    def some_fields(self, name: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """Some rows without their vectors, and a usual field for the text that the schema has. Only reads."""
        description = self.calls.describe(name)
        fields = sorted(description.fields.keys() - description.computed - set(description.candidates))
        try:
            rows = self.calls.query(name, "", [*fields, *description.dynamic_field], limit=LOOKED_AT)
        except NotLoadedError:
            rows = []
        return rows, next((field for field in TEXT_FIELDS if field in description.fields), "")

    def fixed_distance(self, address: Address) -> str | None:
        """Why the distance of a collection cannot be changed: it has no index, which states it. Only reads."""
        collection = self.collection(address)
        if collection.description.index(collection.vector) is not None:
            return None
        return f"vector field {collection.vector} of {address} has no index to state a distance: create one first"

    def refusal(self, address: Address, dimension: int | None) -> str | None:
        """Why a collection cannot be migrated, such as ids that Milvus assigns; see `Refusing`. Only reads."""
        collection = self.collection(address)
        why = collection.description.refusal(collection.vector, address, dimension)
        if why is None and not self.calls.lite and not self.calls.is_loaded(address.name):
            return (
                f"collection {address} is not loaded, and only what is loaded can be read: load it with "
                f"client.load_collection({address.name!r})"
            )
        return why

    def fields(self, payload: Payload) -> Fields:
        """The application's fields in a payload, which may also hold the partition; see `receive.Sender`."""
        return {name: value for name, value in payload.items() if name != PARTITION}

    def make(
        self, address: Address, like: Collection, dimension: int, distance: Metric | None, *, marked: bool
    ) -> MilvusCollection:
        """Create an empty collection with schema, partitions, properties and indexes of another. Writes."""
        assert isinstance(like, MilvusCollection)  # noqa: S101  # a store copies its own kind only
        description = like.calls.describe(like.address.name)
        description.require_exact(like.vector, like.address, dimension)
        mark = NAMES.mark_of(address.name) if marked else ""
        self.calls.create(address.name, like.vector, dimension, description, distance, mark)
        created = self.calls.describe(address.name)
        return MilvusCollection(self.calls, address, created, created.identity, like.format.text)

    def finish(self, incoming: Collection) -> None:
        """Wait until the indexes of a version hold all of its rows; see `stores.base.Finishing`."""
        self.calls.require_indexed(incoming.address.name)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """See `exchange` and `stores.base.Store`. `settle` is not called: Milvus cannot hold writers."""
        assert isinstance(incoming, MilvusCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, MilvusCollection)  # noqa: S101
        DatabaseChangedError.require_same(live.address, live.opened_id, self.collection(live.address).opened_id)
        exchange(self.calls, live.address, self.calls.describe(incoming.address.name).name, key)
        return 0

    def delete(self, address: Address) -> None:
        """Delete a collection or a version of one, and the aliases that lead to it. Writes."""
        physical, aliases = self.calls.describe(address.name).name, self.calls.aliases()
        self.require_not_in_use(address, aliases)
        leading = [alias for alias, to in aliases.items() if to == physical]
        version = NAMES.parse(address.name)
        if version.state is State.OLD and NAMES.state(physical) is State.OWN:
            # without its aliases it would be the application's again, if a crash left it
            unfinished = NAMES.unused(version.address, State.NEW, version.key)
            self.calls.rename(physical, unfinished)
            self.calls.create_alias(NAMES.mark_of(unfinished), unfinished)
            leading.append(NAMES.mark_of(unfinished))
            physical = unfinished
        for alias in leading:  # a server drops no collection to which an alias leads
            self.calls.drop_alias(alias)
        self.calls.delete(physical)
        self.forget(address)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes."""
        return recover(self.calls)

    def interrupted_by(self, aliases: Mapping[str, str]) -> bool:
        """Whether an exchange was interrupted."""
        return bool(NAMES.saying(aliases, State.READY))
