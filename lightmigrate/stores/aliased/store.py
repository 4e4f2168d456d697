"""A database with aliases as a `Store`, without what differs between them: how a collection is read and exchanged."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.aliased.exchange import AliasCalls
from lightmigrate.stores.aliased.names import Naming, State
from lightmigrate.stores.base import Address, Capabilities, Collection, CollectionFacts, Metric, Role, Version
from lightmigrate.stores.defaults import StoreDefaults
from lightmigrate.stores.text_field import text_field
from lightmigrate.stores.timestamp import order

# Records that are looked at to find the field that holds the text.
LOOKED_AT = 50


class AliasedStore(StoreDefaults):
    """See `stores.base.Store`.

    Args:
        place: where the database is: a path, or the address of a server without a key.

    Attributes:
        naming: how it spells the names of versions.
        unit_vectors: see `Capabilities`.
        without_alias: what an exchange does where no alias leads to a collection, and what helps; completes a sentence.
    """

    records_model = False
    naming: ClassVar[Naming]
    unit_vectors: ClassVar[bool] = False
    without_alias: ClassVar[str]

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
    def versions_by(self, aliases: Mapping[str, str]) -> list[Version]:
        """As `versions`, by the collection that each alias leads to. Only reads."""

    @abc.abstractmethod
    def interrupted_by(self, aliases: Mapping[str, str]) -> bool:
        """As `interrupted_exchange`, by the collection that each alias leads to. Only reads."""

    @abc.abstractmethod
    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> Collection:
        """See `Store`."""

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
            notice=self._notice(direct),
        )

    def _notice(self, direct: Sequence[str]) -> str:
        """What to do for collections that applications open by their own names."""
        if not direct:
            return ""
        those = direct[0] if len(direct) == 1 else f"{len(direct)} collections, such as {direct[0]},"
        return f"{those} cannot be exchanged in one step, because no alias leads there: {self.without_alias}"

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
                    "first, or discard it:  lightmigrate resume DATABASE --undo"
                )
        name = self.naming.unused(own, State.NEW, key)
        return self.create(Address(name, vector=own.vector), source, dimension, model, distance)

    def forget(self, address: Address) -> None:
        """Forget what is known about a collection that was deleted."""
        self._text_fields.pop(address.name, None)

    def interrupted_exchange(self) -> bool:
        """Whether an exchange was interrupted; only reads."""
        return self.interrupted_by(self.calls.aliases())
