"""A Milvus database as a `Store`: versions are collections of their own, which aliases or renames put in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymilvus import MilvusClient

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import Address, Capabilities, Collection, CollectionFacts, Metric, Payload, Role, Version
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.milvus.calls import MilvusCalls, NotLoadedError
from lightmigrate.stores.milvus.collection import MilvusCollection
from lightmigrate.stores.milvus.exchange import application_aliases, exchange, interrupted, recover
from lightmigrate.stores.milvus.names import State, VersionName
from lightmigrate.stores.milvus.place import close, place_of
from lightmigrate.stores.milvus.rows import PARTITION, find_text_field
from lightmigrate.stores.milvus.schema import Description
from lightmigrate.stores.receive import Fields
from lightmigrate.stores.timestamp import order

# The first version of a server that updates single fields of a row.
OLDEST = (2, 6, 2)

# Rows that are looked at to find the field that holds the text.
_LOOKED_AT = 50


class MilvusStore(StoreDefaults):
    """See `stores.base.Store`.

    Args:
        client: pymilvus's own, open.
        owned: whether closing the store closes it.
    """

    records_model = False

    def __init__(self, client: MilvusClient, *, owned: bool = False) -> None:
        if not isinstance(client, MilvusClient):
            raise LightmigrateError(f"{type(client).__name__} is not a MilvusClient: give one that is not asynchronous")
        self._place = place_of(client)
        self.calls = MilvusCalls(client)
        self._owned = owned
        self._text_fields: dict[str, str] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise: an exchange is one step where applications use aliases for all collections."""
        aliases = self.calls.aliases()
        direct = [name for name in self._names(aliases) if name not in aliases]
        return Capabilities(
            atomic_exchange=not direct and not interrupted(aliases),
            holds_writers=False,
            sees_changes=False,
            ordered=False,
            stale_handles=False,
            shared_records=False,
            one_client=self.folder is not None,
            notice=_notice(direct),
        )

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

    @property
    def folder(self) -> Path | None:
        """The folder of Milvus Lite; `None` for a server."""
        return self._place if isinstance(self._place, Path) else None

    def __str__(self) -> str:
        return str(self._place)

    def close(self) -> None:
        """Close the client, unless it is the caller's."""
        if self._owned:
            close(self.calls.client)
            self._owned = False

    def _names(self, aliases: Mapping[str, str]) -> list[str]:
        """By what name applications open each of their collections: an alias, where there is one."""
        backups = {to for alias, to in aliases.items() if VersionName.parse(alias).state is State.OLD}
        names = []
        for physical in self.calls.collections():
            ours = application_aliases(dict(aliases), physical)
            if ours:
                names.append(ours[0])
            elif physical not in backups and VersionName.parse(physical).state is State.OWN:
                names.append(physical)
        return sorted(names)

    def collections(self) -> list[CollectionFacts]:
        """The application's collections, each of its float32 vectors for itself, by name; only reads."""
        facts = []
        for name in self._names(self.calls.aliases()):
            vectors = self.calls.describe(name).candidates
            for vector in [""] if len(vectors) == 1 else vectors:
                facts.append(self.collection(Address(name, vector=vector)).facts())
        return facts

    def collection(self, address: Address) -> MilvusCollection:
        """Open a collection or a version of one. Only reads.

        Raises:
            CollectionNotFoundError: there is none, or it is opened by an alias.
        """
        aliases = self.calls.aliases()
        if ours := application_aliases(aliases, address.name):
            raise CollectionNotFoundError(
                f"applications open collection {address.name} by the alias {ours[0]}: name that"
            )
        description = self.calls.describe(address.name)
        identity = f"{description.name} {description.stated.get('collection_id', '')}"
        if description.name == address.name:  # it may have been made anew, under the same name
            kept = (version for version in self._versions(aliases) if version.role is Role.BACKUP)
            backups = [version.key for version in kept if version.own == address]
            identity = " ".join([identity, *sorted(backups, key=order)[-1:]])
        return MilvusCollection(self.calls, address, description, identity, self._text_field(address.name, description))

    def _text_field(self, name: str, description: Description) -> str:
        """The field of the text: the same for a collection and all of its versions, as long as this store is open."""
        own = VersionName.parse(name).own
        if own not in self._text_fields:
            fields = sorted(description.fields.keys() - description.computed - set(description.candidates))
            read = [*fields, "$meta"] if description.dynamic else fields
            try:
                rows = self.calls.query(name, "", read, limit=_LOOKED_AT)
            except NotLoadedError:
                rows = []
            field = find_text_field(description, rows)
            if not rows:
                return field
            self._text_fields[own] = field
        return self._text_fields[own]

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        return self._versions(self.calls.aliases())

    def _versions(self, aliases: Mapping[str, str]) -> list[Version]:
        collections = self.calls.collections()
        in_use = {to for alias, to in aliases.items() if VersionName.parse(alias).state is State.OWN}
        kept = {to for alias, to in aliases.items() if VersionName.parse(alias).state is State.OLD}
        versions = []
        for place in [*collections, *(alias for alias, to in aliases.items() if to in collections)]:
            name = VersionName.parse(place)
            if aliases.get(place, place) in in_use:
                continue
            if name.state is State.OLD:
                versions.append(Version(name.address, Role.BACKUP, name.key, Address(place, vector=name.vector)))
            elif name.state is State.NEW and place not in kept:
                versions.append(Version(name.address, Role.BUILDING, name.key, Address(place, vector=name.vector)))
        return by_age(versions)

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

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> MilvusCollection:
        """Create an empty collection with schema, partitions, properties and indexes of another. Writes."""
        assert isinstance(like, MilvusCollection)  # noqa: S101  # a store copies its own kind only
        description = like.calls.describe(like.address.name)
        description.require_exact(like.vector, like.address, dimension)
        self.calls.create(address.name, like.vector, dimension, description, distance)
        created = self.calls.describe(address.name)
        identity = f"{created.name} {created.stated.get('collection_id', '')}"
        return MilvusCollection(self.calls, address, created, identity, like.format.text)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> MilvusCollection:
        """Create an empty version of a collection, to be filled. Writes.

        Raises:
            LightmigrateError: another vector of the same records is being migrated, or it cannot be copied exactly.
        """
        own = VersionName.parse(source.address.name).own
        place = Address(own, vector=source.address.vector)
        for version in self.versions():
            if version.role is Role.BUILDING and version.own.name == own and version.own != place:
                raise LightmigrateError(
                    f"{version.own} is being migrated, and a version holds all vectors of its records: finish that "
                    "first, or discard it:  lightmigrate resume DATABASE --undo"
                )
        name = str(VersionName.unused(place, key))
        return self.create(Address(name, vector=place.vector), source, dimension, model, distance)

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
        leading = [alias for alias, to in aliases.items() if to == physical]
        version = VersionName.parse(address.name)
        if version.state is State.OLD and VersionName.parse(physical).state is State.OWN:
            # without its aliases it would be the application's again, if a crash left it
            unfinished = str(VersionName.unused(version.address, version.key))
            self.calls.rename(physical, unfinished)
            physical = unfinished
        for alias in leading:  # a server drops no collection to which an alias leads
            self.calls.drop_alias(alias)
        self.calls.drop(physical)
        self._text_fields.pop(address.name, None)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes."""
        return recover(self.calls)

    def interrupted_exchange(self) -> bool:
        """Whether an exchange was interrupted; only reads."""
        return interrupted(self.calls.aliases())


def _notice(direct: Sequence[str]) -> str:
    """What to do for collections that applications open by their own names."""
    if not direct:
        return ""
    those = direct[0] if len(direct) == 1 else f"{len(direct)} collections, such as {direct[0]},"
    return (
        f"{those} cannot be exchanged in one step, because no alias leads there: the old collection is renamed, then "
        "the new one, and an application's requests between the two fail, as there is no collection of this name; let "
        "it try again, or first give it an alias"
    )
