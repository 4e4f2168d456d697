"""A Chroma database as a `Store`, through clients of any kind: collections, versions of them, and their exchange."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chromadb.api.types import Schema, SparseVector
from chromadb.errors import InternalError, NotFoundError

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, DatabaseError, LightmigrateError
from lightmigrate.providers.functions import is_chroma_function
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Payload,
    Role,
    Version,
)
from lightmigrate.stores.chroma.by_name import all_names, get_collection, settled_names
from lightmigrate.stores.chroma.client import describe_function
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exchange import exchange, recover
from lightmigrate.stores.chroma.names import ROLES, State, VersionName
from lightmigrate.stores.chroma.receive import ChromaReceiver
from lightmigrate.stores.chroma.schema import recording
from lightmigrate.stores.chroma.unreadable import index_fault, short_reason
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.receive import INCOMING, Fields

CAPABILITIES = Capabilities(
    atomic_exchange=False,
    holds_writers=False,
    sees_changes=False,
    ordered=True,
    stale_handles=True,
    shared_records=False,
)


class ChromaStore(StoreDefaults, ChromaReceiver):
    """What all kinds of Chroma clients have in common. See `stores.base.Store`.

    It builds no embedding function, so nothing is downloaded. Subclasses provide the clients.
    """

    def _client(self, address: Address) -> Any:
        """Chroma's client of the database that holds a collection."""
        raise NotImplementedError

    def _opened(self, client: Any, handle: Any, address: Address) -> ChromaCollection:
        """Chroma's own collection object, as a collection that other clients may write to."""
        return ChromaCollection(client, handle)

    def _databases(self) -> list[Address]:
        """An address without a name for each database, in the order of `collections`."""
        raise NotImplementedError

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """The collections whose index Chroma cannot read vectors from; see `stores.base.Store`."""
        faults = {}
        for address in addresses:
            opened = self._client(address).get_collection(address.name, embedding_function=None)
            if (fault := index_fault(opened)) is not None:
                faults[address] = fault
        return faults

    @property
    def capabilities(self) -> Capabilities:
        """What Chroma guarantees."""
        return CAPABILITIES

    def _names(self, *, settled: bool = True) -> Iterator[Address]:
        """All collections and versions. With `settled` an exchange that is under way is waited for."""
        for place in self._databases():
            for name in (settled_names if settled else all_names)(self._client(place)):
                yield Address(name, place.tenant, place.database)

    def collections(self) -> list[CollectionFacts]:
        """The application's collections, by name; only reads.

        Raises:
            DatabaseError: Chroma cannot count the records of one.
        """
        own = [address for address in self._names() if VersionName.parse(address.name).state is State.OWN]
        return [self._facts(address) for address in own]

    def _facts(self, address: Address) -> CollectionFacts:
        try:
            return self.collection(address).facts()
        except InternalError as error:
            # Chroma does not even count the records of some damaged indexes; what is not counted must not look empty
            raise DatabaseError(
                f"collection {address} of {self} cannot be read ({short_reason(error)}); with its folder, when no "
                "process has it open:  lightmigrate doctor FOLDER  names what is damaged, and what helps"
            ) from None

    def collection(self, address: Address) -> ChromaCollection:
        """Open a collection; `CollectionNotFoundError` when there is none. Only reads."""
        client = self._client(address)
        try:
            opened = get_collection(client, address.name, embedding_function=None)
        except NotFoundError:
            raise CollectionNotFoundError(
                f"no collection {address} in {self}; see  lightmigrate doctor DATABASE"
            ) from None
        return self._opened(client, opened, address)

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        versions = []
        for address in self._names():
            name = VersionName.parse(address.name)
            if name.state in ROLES and name.key != INCOMING:
                own = Address(name.own, address.tenant, address.database)
                versions.append(Version(own, ROLES[name.state], name.key, address))
        return by_age(versions)

    def backup_of(self, own: Address, key: str) -> Version:
        """By its name: listing all collections after the exchange of each would grow with their square."""
        name = VersionName(own.name, State.OLD, key).name
        return Version(own, Role.BACKUP, key, Address(name, own.tenant, own.database))

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What Chroma records about an embedding function; see `describe_function`. Calls no model."""
        return None if embedding_function is None else describe_function(embedding_function)

    def fields(self, payload: Payload) -> Fields:
        """The metadata, and the `uri` where there is one; see `stores.receive.Sender`."""
        fields = dict(payload.get("metadata") or {})
        if sparse := next((name for name, value in fields.items() if isinstance(value, SparseVector)), None):
            raise LightmigrateError(
                f"the metadata hold a sparse vector, {sparse!r}, which only distributed Chroma has a place for: give "
                "the collection's other fields to a new one first"
            )
        if "uri" in payload and "uri" in fields:
            raise LightmigrateError(
                "a record has a uri of its own and another one in its metadata: rename the one in the metadata"
            )
        return {**fields, "uri": payload["uri"]} if "uri" in payload else fields

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> ChromaCollection:
        """Create an empty collection with all the settings of another. See `stores.base.Store`.

        The first records determine the dimension.
        """
        assert isinstance(like, ChromaCollection)  # noqa: S101  # a store copies its own kind only
        schema = like.schema(distance)
        return self.create_with(address, schema if model is None else recording(schema, model), like.metadata(distance))

    def create_with(
        self, address: Address, schema: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> ChromaCollection:
        """Create an empty collection with a schema, as `ChromaCollection.schema` returns it, and metadata. Writes."""
        # Chroma refuses a schema beside `hnsw:*` metadata, even where both say the same.
        configures = any(key.startswith("hnsw:") for key in metadata or {})
        client = self._client(address)
        created = client.create_collection(
            address.name,
            schema=_VerbatimSchema(schema),
            metadata=None if configures or not metadata else dict(metadata),
            embedding_function=None,
        )
        if configures:
            self._opened(client, created, address).set_metadata(metadata or {})
        return self.collection(address)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> ChromaCollection:
        """Create an empty version of a collection, to be filled. See `stores.base.Store`."""
        own = source.address
        name = VersionName(VersionName.parse(own.name).own, State.NEW, key).name
        return self.create(Address(name, own.tenant, own.database), source, dimension, model, distance)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """Three renames; see `exchange` and `stores.base.Store`. `settle` is not called: Chroma cannot hold writers."""
        assert isinstance(incoming, ChromaCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, ChromaCollection)  # noqa: S101
        DatabaseChangedError.require_same(live.address, live.id, self.collection(live.address).id)
        created = exchange(self.collection, incoming, live, key)
        return sum(self._move_handles(old, incoming, function) for old in (live, *created))

    def delete(self, address: Address) -> None:
        """Delete a collection and its records. Chroma leaves the index folder on disk. Writes."""
        self.collection(address)
        self._client(address).delete_collection(address.name)

    def interrupted_exchange(self) -> bool:
        """Whether a version is about to take its collection's place; only reads."""
        names = self._names(settled=False)
        return any(VersionName.parse(address.name).state is State.READY for address in names)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. See `stores.base.Store`."""
        return recover(self.collection, list(self._names(settled=False)))

    def _move_handles(self, old: ChromaCollection, new: ChromaCollection, function: object) -> int:
        """Point every collection object of this process that refers to `old` to `new`; returns their number.

        Such objects use the collection's id, not its name: after the renames they would still read the old records and
        silently write to them. Objects that refer to `new` need no change.
        """
        moved = 0
        handle = type(old.handle)
        for candidate in gc.get_objects():
            if type(candidate) is handle and candidate is not old.handle and candidate.id == old.handle.id:
                candidate._model = new.fresh_model()  # Chroma has no public method for this
                if is_chroma_function(function):
                    candidate._embedding_function = function
                moved += 1
        return moved


class _VerbatimSchema(Schema):
    """A schema that is sent to Chroma unchanged."""

    def __init__(self, serialised: Mapping[str, Any]) -> None:
        self._serialised = dict(serialised)

    def serialize_to_json(self) -> dict[str, Any]:
        return self._serialised
