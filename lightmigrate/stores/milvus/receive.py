"""How records of other stores are kept in a Milvus collection that receives them.

A record becomes a row with the fields that LangChain's `Milvus` has by default: `pk`, `text` and `vector`. The
application's fields are in the JSON field `metadata`, where none can have the name of another field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.aliased.receive import AliasedReceiver
from lightmigrate.stores.base import Address, Collection, Payload
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.collection import MilvusCollection
from lightmigrate.stores.milvus.schema import LARGEST_DIMENSION, PlainFields
from lightmigrate.stores.receive import Fields, without_envelope
from lightmigrate.vectors import Metric

_FIELDS = PlainFields(record="pk", text="text", vector="vector", others="metadata")

# Names that a server takes; Milvus Lite takes any.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


class MilvusReceiver(AliasedReceiver):
    """See `stores.receive.Receiver`."""

    calls: MilvusCalls

    def new_id(self, record: str) -> str:
        """The same: any text."""
        return record

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """All fields in `metadata`.

        Raises:
            LightmigrateError: one holds a number that Milvus cannot hold.
        """
        flat = dict(without_envelope(fields))
        for name, value in flat.items():
            if not _fits(value):
                raise LightmigrateError(
                    f"field {name!r} holds a number that Milvus cannot hold (it takes integers of 64 bits and finite "
                    "numbers): change or leave it out first"
                )
        return {_FIELDS.others: flat} if flat else None

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """As `AliasedReceiver.create_incoming`; a server must be able to have an alias of the name."""
        if not self.calls.lite and not _NAME.fullmatch(address.name):
            raise LightmigrateError(
                f"Milvus takes no alias of the name {address.name}: rename the collection first, to letters, digits "
                "and _ that begin with a letter"
            )
        if not self.calls.lite and dimension > LARGEST_DIMENSION:
            raise LightmigrateError(
                f"Milvus takes vectors of up to {LARGEST_DIMENSION} numbers, and those of collection {address} would "
                f"have {dimension}: choose a model of fewer dimensions"
            )
        return super().create_incoming(address, dimension, distance, model)

    def create_empty(self, name: str, dimension: int, distance: Metric) -> None:
        """Create a collection with ids of text and the index that Milvus chooses, and its mark. Writes."""
        self.calls.create_plain(name, _FIELDS, dimension, distance)
        self.calls.create_alias(self.naming.mark_of(name), name)

    def open_incoming(self, name: str) -> MilvusCollection:
        """Open a collection that is filled. Only reads."""
        description = self.calls.describe(name)
        return MilvusCollection(self.calls, Address(name), description, description.identity, _FIELDS.text)

    def complete(self, incoming: Collection) -> Collection:
        """Wait until the server has built the index. Only reads."""
        self.calls.require_indexed(incoming.address.name)
        return incoming

    def publish(self, incoming: Collection, address: Address) -> None:
        """Have an alias of the name lead to the collection, in one request after its mark is dropped. Writes."""
        # in this order, because what an application can open must not be called unfinished
        self.calls.drop_alias(self.naming.mark_of(incoming.address.name))
        self.calls.create_alias(address.name, incoming.address.name)


def _fits(value: object) -> bool:
    """Whether Milvus gives back what JSON says."""
    if isinstance(value, Mapping):
        return all(map(_fits, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(map(_fits, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or _SMALLEST <= value <= _LARGEST
