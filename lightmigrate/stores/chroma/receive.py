"""Receive collections of other stores: a new Chroma collection, filled under the name of a version, and renamed."""

from __future__ import annotations

import abc
import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.base import Address, Collection, Payload
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.names import State, VersionName
from lightmigrate.stores.chroma.schema import recording
from lightmigrate.stores.receive import INCOMING, Fields, without_envelope
from lightmigrate.vectors import Metric

# Names that Chroma takes, and the longest one.
_NAME, _LONGEST_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]+[a-zA-Z0-9]"), 512

_PLAIN = (str, int, float, bool)
_LARGEST = 2**63


class ChromaReceiver(abc.ABC):
    """See `stores.receive.Receiver`."""

    @abc.abstractmethod
    def _client(self, address: Address) -> Any:
        """Chroma's client of the database that holds a collection."""

    @abc.abstractmethod
    def collection(self, address: Address) -> ChromaCollection:
        """See `Store`."""

    @abc.abstractmethod
    def delete(self, address: Address) -> None:
        """See `Store`."""

    @abc.abstractmethod
    def create_with(
        self, address: Address, schema: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> ChromaCollection:
        """Create an empty collection with a schema. Writes."""

    def new_id(self, record: str) -> str:
        """The same: any text."""
        return record

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """All fields as metadata.

        Raises:
            LightmigrateError: a value is of a type that Chroma has no place for.
        """
        metadata = dict(without_envelope(fields))
        for name, value in metadata.items():
            if not (name and not name.startswith("#") and _fits(value)):
                raise LightmigrateError(
                    f"field {name!r} holds a value of a type that Chroma's metadata cannot hold (they take texts, "
                    "numbers of 64 bits, true and false, and lists of one of these): change or leave it out first"
                )
        return {"metadata": metadata} if metadata else None

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """The collection that an interrupted run has filled; only reads."""
        try:
            found = self.collection(_incoming(address))
        except CollectionNotFoundError:
            return None
        facts = found.facts()
        return found if facts.dimension in (None, dimension) and facts.space == distance else None

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create the collection. The first records determine the dimension. Writes."""
        place = _incoming(address)
        if not _NAME.fullmatch(address.name) or len(place.name) > _LONGEST_NAME:
            raise LightmigrateError(
                f"Chroma takes no collection of the name {address.name}: rename it first, to 3 to "
                f"{_LONGEST_NAME - len(place.name) + len(address.name)} letters and digits, with . _ - within"
            )
        with contextlib.suppress(CollectionNotFoundError):
            self.delete(place)
        self._client(place).create_collection(
            place.name, configuration={"hnsw": {"space": distance}}, embedding_function=None
        )
        if model is not None:
            schema = recording(self.collection(place).schema(), model)
            self.delete(place)
            return self.create_with(place, schema)
        return self.collection(place)

    def complete(self, incoming: Collection) -> Collection:
        """Nothing: Chroma builds the index while it is filled."""
        return incoming

    def publish(self, incoming: Collection, address: Address) -> None:
        """Rename the collection, in one transaction. Writes."""
        assert isinstance(incoming, ChromaCollection)  # noqa: S101  # its own kind only
        incoming.rename(address.name)


def _incoming(address: Address) -> Address:
    return Address(VersionName(address.name, State.NEW, INCOMING).name, address.tenant, address.database)


def _fits(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(type(each) is type(value[0]) and _fits(each) for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -_LARGEST <= value < _LARGEST
    return isinstance(value, _PLAIN)
