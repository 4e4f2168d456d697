"""A Qdrant database as a `Store`: versions are collections of their own, and aliases lead to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Role,
    Version,
)
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.collection import QdrantCollection
from lightmigrate.stores.qdrant.exchange import (
    application_aliases,
    delete_with_aliases,
    exchange,
    interrupted,
    recover,
)
from lightmigrate.stores.qdrant.names import INCOMING, State, VersionName
from lightmigrate.stores.qdrant.place import place_of
from lightmigrate.stores.qdrant.receive import QdrantReceiver
from lightmigrate.stores.text_field import text_field
from lightmigrate.stores.timestamp import order

# The first version of a server whose filters can ask for a vector.
OLDEST = (1, 13)

# What the aliases of an exchange that is under way say.
_UNFINISHED = (State.READY, State.MOVING)

# Points that are looked at to find the field that holds the text.
_LOOKED_AT = 50


class QdrantStore(StoreDefaults, QdrantReceiver):
    """See `stores.base.Store`.

    Args:
        client: qdrant-client's own, open.
        owned: whether closing the store closes it.
        reopen: opens another one on the same folder; only for a client that is owned.
    """

    records_model = False

    def __init__(
        self, client: QdrantClient, *, owned: bool = False, reopen: Callable[[], QdrantClient] | None = None
    ) -> None:
        if not isinstance(client, QdrantClient):
            raise LightmigrateError(f"{type(client).__name__} is not a QdrantClient: give one that is not asynchronous")
        self.calls = QdrantCalls(client, reopen)
        self._owned = owned
        self._place = place_of(client)
        self._text_fields: dict[str, str] = {}

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise: an exchange is one step where applications use aliases for all collections."""
        aliases = self.calls.aliases()
        direct = [name for name in self._names(aliases) if name not in aliases]
        return Capabilities(
            atomic_exchange=not direct and not interrupted(self.calls),
            holds_writers=False,
            sees_changes=False,
            ordered=False,
            stale_handles=False,
            shared_records=False,
            unit_vectors=True,
            one_client=self.folder is not None,
            notice=_notice(direct),
        )

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

    @property
    def folder(self) -> Path | None:
        """The folder of local mode; `None` for a server and for local mode in memory."""
        return self._place if isinstance(self._place, Path) else None

    def __str__(self) -> str:
        return str(self._place)

    def close(self) -> None:
        """Close the client, unless it is the caller's."""
        if self._owned:
            self.calls.client.close()

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
        """The application's collections, each of its dense vectors for itself, by name; only reads."""
        facts = []
        for name in self._names(self.calls.aliases()):
            vectors = self.calls.configuration(name).candidates
            for vector in [""] if len(vectors) == 1 else vectors:
                facts.append(self.collection(Address(name, vector=vector)).facts())
        return facts

    def collection(self, address: Address) -> QdrantCollection:
        """Open a collection or a version of one. Only reads.

        Raises:
            CollectionNotFoundError: there is none, or it is opened by an alias.
        """
        aliases = self.calls.aliases()
        ours = application_aliases(aliases, address.name)
        if ours:
            raise CollectionNotFoundError(
                f"applications open collection {address.name} by the alias {ours[0]}: name that"
            )
        physical = aliases.get(address.name, address.name)
        if physical == address.name:  # it may have been made anew, under the same name
            backups = [name.key for name in map(VersionName.parse, aliases) if _is_backup_of(name, address)]
            physical = " ".join([physical, *sorted(backups, key=order)[-1:]])
        return QdrantCollection(self.calls, address, physical, self._text_field(address.name, aliases))

    def _text_field(self, name: str, aliases: Mapping[str, str]) -> str:
        """The field of the text: the same for a collection and all of its versions, as long as this store is open."""
        own = VersionName.parse(name).own
        if own not in self._text_fields:
            existing = own in aliases or own in self.calls.collections()
            looked_at = self.calls.configuration(own if existing else name).largest(_LOOKED_AT)
            points = self.calls.scroll(own if existing else name, looked_at, None, None, vectors=False)
            field = text_field([point.payload or {} for point in points])
            if not points:
                return field
            self._text_fields[own] = field
        return self._text_fields[own]

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        aliases = self.calls.aliases()
        leading = {to for alias, to in aliases.items() if VersionName.parse(alias).state not in _UNFINISHED}
        versions = []
        for alias in aliases:
            name = VersionName.parse(alias)
            if name.state is State.OLD:
                versions.append(Version(name.address, Role.BACKUP, name.key, Address(alias, vector=name.vector)))
        for physical in self.calls.collections():
            name = VersionName.parse(physical)
            if name.state is State.NEW and name.key != INCOMING and physical not in leading:
                versions.append(Version(name.address, Role.BUILDING, name.key, Address(physical, vector=name.vector)))
        return by_age(versions)

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> QdrantCollection:
        """Create an empty collection with the whole configuration of another. Writes."""
        assert isinstance(like, QdrantCollection)  # noqa: S101  # a store copies its own kind only
        stated = self.calls.configuration(like.address.name)
        stated.require_copyable(like.vector, like.address)
        self.calls.create(address.name, stated.creation(like.vector, dimension, distance), stated)
        return QdrantCollection(self.calls, address, address.name, like.format.text)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> QdrantCollection:
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
        name = str(VersionName.unused(place, State.NEW, key))
        return self.create(Address(name, vector=place.vector), source, dimension, model, distance)

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
        physical = self.calls.aliases().get(address.name, address.name)
        self.calls.configuration(physical)
        delete_with_aliases(self.calls, physical)
        self._text_fields.pop(address.name, None)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes."""
        return recover(self.calls)

    def interrupted_exchange(self) -> bool:
        """Whether an exchange was interrupted; only reads."""
        return interrupted(self.calls)


def _is_backup_of(name: VersionName, address: Address) -> bool:
    return name.state is State.OLD and name.own == address.name


def _notice(direct: Sequence[str]) -> str:
    """What to do for collections that applications open by their own names."""
    if not direct:
        return ""
    those = direct[0] if len(direct) == 1 else f"{len(direct)} collections, such as {direct[0]},"
    return (
        f"{those} cannot be exchanged in one step, because no alias leads there: the old collection is copied and "
        "deleted, and its name becomes an alias (for mem0 a new collection); pause writers meanwhile (what they write "
        "during the last reading is lost), or first give the application an alias"
    )
