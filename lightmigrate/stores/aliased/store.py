"""A database with aliases as a `Store`, without what differs between them: how a collection is read and exchanged."""

from __future__ import annotations

import abc
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, LightmigrateError
from lightmigrate.stores.aliased.exchange import AliasCalls
from lightmigrate.stores.aliased.names import Naming, State
from lightmigrate.stores.base import Address, Capabilities, Collection, CollectionFacts, Metric, Role, Version
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.receive import INCOMING
from lightmigrate.stores.text_field import text_field
from lightmigrate.stores.timestamp import order

# Records that are looked at to find the field that holds the text.
LOOKED_AT = 50

# What the names of collections say that lightmigrate creates, and to which an alias leads from then on.
_MADE = (State.NEW, State.COPY)


class AliasedStore(StoreDefaults):
    """See `stores.base.Store`.

    Args:
        place: where the database is: a path, or the address of a server without a key.

    Attributes:
        naming: how it spells the names of versions.
        unit_vectors: see `Capabilities`.
        without_alias: what an exchange does where no alias leads to a collection, and what helps; completes a sentence.
        deletion: the method of its client that deletes a collection.
    """

    records_model = False
    naming: ClassVar[Naming]
    unit_vectors: ClassVar[bool] = False
    without_alias: ClassVar[str]
    deletion: ClassVar[str]

    calls: AliasCalls

    def __init__(self, place: Path | str) -> None:
        self._place = place
        self._text_fields: dict[str, str] = {}

    @abc.abstractmethod
    def vectors_of(self, name: str) -> Sequence[str]:
        """The names of the vectors of a collection that can be migrated. Only reads."""

    @abc.abstractmethod
    def some_fields(self, name: str) -> tuple[Sequence[Mapping[str, Any]], str]:
        """The fields of at most `LOOKED_AT` records, and the one that is made for the text; empty for none."""

    @abc.abstractmethod
    def interrupted_by(self, aliases: Mapping[str, str]) -> bool:
        """As `interrupted_exchange`, by the collection that each alias leads to. Only reads."""

    @abc.abstractmethod
    def make(
        self, address: Address, like: Collection, dimension: int, distance: Metric | None, *, marked: bool
    ) -> Collection:
        """As `create`; if `marked`, the collection has its mark before it is given anything else. Writes."""

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> Collection:
        """Create an empty collection with all settings of another. Writes."""
        return self.make(address, like, dimension, distance, marked=False)

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise: an exchange is one step where applications use aliases for all collections."""
        aliases = self.calls.aliases()
        direct = [name for name in self._names(aliases) if name not in aliases]
        return Capabilities(
            atomic_exchange=not direct and not self.interrupted_by(aliases),
            holds_writers=False,
            sees_changes=False,
            ordered=False,
            stale_handles=False,
            shared_records=False,
            unit_vectors=self.unit_vectors,
            one_client=self.folder is not None,
            one_vector=True,
            notice="; ".join(filter(None, (self._of_direct(direct), self._of_unclaimed(aliases)))),
        )

    def _of_direct(self, direct: Sequence[str]) -> str:
        """What to do for collections that applications open by their own names."""
        if not direct:
            return ""
        those = direct[0] if len(direct) == 1 else f"{len(direct)} collections, such as {direct[0]},"
        return f"{those} cannot be exchanged in one step, because no alias leads there: {self.without_alias}"

    def _of_unclaimed(self, aliases: Mapping[str, str]) -> str:
        """What to do with collections that lightmigrate made, that have no mark, and to which no alias leads."""
        used = set(aliases.values())
        names = [name for name in self.calls.collections() if name not in used and self.naming.state(name) in _MADE]
        if not names:
            return ""
        count, others = self.calls.count(names[0]), f" (nor to {len(names) - 1} others)" if len(names) > 1 else ""
        return (
            f"no alias leads to {names[0]} ({count} records) any more{others}, so it is neither used nor deleted: "
            "give it the alias by which applications open it, or delete it by  "
            f"client.{self.deletion}({names[0]!r})"
        )

    @property
    def folder(self) -> Path | None:
        """The folder of a database that its client keeps itself; `None` for a server, and for one in memory."""
        return self._place if isinstance(self._place, Path) else None

    def __str__(self) -> str:
        return str(self._place)

    def _names(self, aliases: Mapping[str, str]) -> list[str]:
        """By what name applications open each of their collections: an alias, where there is one."""
        backups = {to for alias, to in aliases.items() if self.naming.state(alias) is State.OLD}
        names = []
        for physical in self.calls.collections():
            if ours := self.naming.application_aliases(aliases, physical):
                names.append(ours[0])
            elif physical not in backups and self.naming.state(physical) is State.OWN:
                names.append(physical)
        return sorted(names)

    def collections(self) -> list[CollectionFacts]:
        """The application's collections, each of the vectors of its records for itself, by name; only reads."""
        facts = []
        for name in self._names(self.calls.aliases()):
            vectors = self.vectors_of(name)
            for vector in [""] if len(vectors) == 1 else vectors:
                facts.append(self.collection(Address(name, vector=vector)).facts())
        return facts

    def require_own_name(self, address: Address, aliases: Mapping[str, str]) -> None:
        """Raise `CollectionNotFoundError` where applications open a collection by an alias, and this is not it."""
        if ours := self.naming.application_aliases(aliases, address.name):
            raise CollectionNotFoundError(
                f"applications open collection {address.name} by the alias {ours[0]}: name that"
            )

    def identified(self, stated: str, address: Address, aliases: Mapping[str, str]) -> str:
        """What identifies a collection that has its own name: one that was made anew under it has a newer backup.

        Args:
            stated: what the database says about it.
            address: of the collection.
            aliases: the collection that each alias leads to.
        """
        kept = (version for version in self.versions_by(aliases) if version.role is Role.BACKUP)
        backups = [version.key for version in kept if version.own.name == address.name]
        return " ".join([stated, *sorted(backups, key=order)[-1:]])

    def text_field(self, name: str, aliases: Mapping[str, str]) -> str:
        """The field of the text: the same for a collection and all of its versions, as long as this store is open."""
        own = self.naming.parse(name).own
        if own not in self._text_fields:
            existing = aliases.get(own, own) in self.calls.collections()
            fields, declared = self.some_fields(own if existing else name)  # a version may be empty
            found = text_field(fields, declared)
            if not fields:
                return found
            self._text_fields[own] = found
        return self._text_fields[own]

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        return self.versions_by(self.calls.aliases())

    def versions_by(self, aliases: Mapping[str, str]) -> list[Version]:
        """As `versions`, by the collection that each alias leads to. Only reads."""
        collections = self.calls.collections()
        in_use, unfinished = self.naming.in_use(aliases), self.naming.unfinished(aliases)
        versions = []
        for place in [*collections, *(alias for alias, to in aliases.items() if to in collections)]:
            name = self.naming.parse(place)
            if aliases.get(place, place) in in_use:
                continue
            if name.state is State.OLD:
                versions.append(Version(name.address, Role.BACKUP, name.key, Address(place, vector=name.vector)))
            elif name.state is State.NEW and name.key != INCOMING and place in unfinished:
                versions.append(Version(name.address, Role.BUILDING, name.key, Address(place, vector=name.vector)))
        return by_age(versions)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> Collection:
        """Create an empty version of a collection, to be filled. Writes.

        Raises:
            LightmigrateError: another vector of the same records is being migrated, or it cannot be copied exactly.
        """
        own = Address(self.naming.parse(source.address.name).own, vector=source.address.vector)
        for version in self.versions():
            if version.role is Role.BUILDING and version.own.name == own.name and version.own != own:
                raise LightmigrateError(
                    f"{version.own} is being migrated, and a version holds all vectors of its records: finish that "
                    f"first (-c {shlex.quote(str(version.own))}), or discard it:  lightmigrate resume DATABASE --undo"
                )
        name = self.naming.unused(own, State.NEW, key)
        return self.make(Address(name, vector=own.vector), source, dimension, distance, marked=True)

    def require_not_in_use(self, address: Address, aliases: Mapping[str, str]) -> None:
        """Check that a version that is to be deleted is not what applications open meanwhile.

        Raises:
            DatabaseChangedError: it is.
        """
        physical = aliases.get(address.name, address.name)
        ours = self.naming.application_aliases(aliases, physical)
        if ours and self.naming.state(address.name) is not State.OWN:
            raise DatabaseChangedError(
                f"applications open version {address.name} by the alias {ours[0]}, and it was not deleted: see  "
                "lightmigrate doctor DATABASE"
            )

    def forget(self, address: Address) -> None:
        """Forget what is known about a collection that was deleted."""
        self._text_fields.pop(address.name, None)

    def interrupted_exchange(self) -> bool:
        """Whether an exchange was interrupted; only reads."""
        return self.interrupted_by(self.calls.aliases())
