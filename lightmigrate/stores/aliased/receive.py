"""Receive collections of other stores: a new collection, to which an alias of the name leads once it is filled."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

from lightmigrate.stores.aliased.exchange import AliasCalls
from lightmigrate.stores.aliased.names import Naming, State
from lightmigrate.stores.base import Address, Collection
from lightmigrate.stores.receive import INCOMING
from lightmigrate.vectors import Metric


class AliasedReceiver(abc.ABC):
    """See `stores.receive.Receiver`."""

    naming: ClassVar[Naming]
    calls: AliasCalls

    @abc.abstractmethod
    def open_incoming(self, name: str) -> Collection:
        """Open a collection that is filled. Only reads."""

    @abc.abstractmethod
    def create_empty(self, name: str, dimension: int, distance: Metric) -> None:
        """Create an empty collection with an index, and its mark. Writes."""

    @abc.abstractmethod
    def delete(self, address: Address) -> None:
        """See `Store`."""

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """The collection that an interrupted run has filled; only reads."""
        for name in self._filled(address):
            found = self.open_incoming(name)
            facts = found.facts()
            if (facts.dimension, facts.space) == (dimension, distance):
                return found
        return None

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create the collection. No embedding model is recorded. Writes."""
        for name in self._filled(address):
            self.delete(Address(name))
        name = self.naming.unused(address, State.NEW, INCOMING)
        self.create_empty(name, dimension, distance)
        return self.open_incoming(name)

    def _filled(self, address: Address) -> list[str]:
        """The collections that were created for an address, and never published, as their marks say."""
        names = {name: self.naming.parse(name) for name in sorted(self.naming.unfinished(self.calls.aliases()))}
        return [
            name
            for name, parts in names.items()
            if (parts.own, parts.state, parts.key) == (address.name, State.NEW, INCOMING)
        ]
