"""What a store does to receive collections of stores of other kinds, and how records change their form on the way.

Stores of two kinds share no settings. What goes over is what every store has: ids, texts, the application's fields,
vectors and the distance. A collection is filled under a name that no application opens, and published in one step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Collection, Payload, Store
from lightmigrate.vectors import Metric

# Key of a version that is filled with records of another store; it stands for no collection yet.
INCOMING = "incoming"

# The column of `as_text`.
TEXT_COLUMN = "metadata"

# The application's fields of a record by name, as JSON has them.
Fields = Mapping[str, Any]


@runtime_checkable
class Sender(Protocol):
    """A `Store` whose payloads hold more than the application's fields; of others, a payload is taken as the fields."""

    def fields(self, payload: Payload) -> Fields:
        """The application's fields in a payload, losing nothing.

        Raises:
            LightmigrateError: two of them have the same name.
        """


@runtime_checkable
class Receiver(Protocol):
    """A `Store` that can hold collections of stores of other kinds."""

    def new_id(self, record: str) -> str:
        """The id that a record of another store gets here, by its id there; the same one every time."""

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """A payload of this store with an application's fields; `None` for an empty one.

        Args:
            record: the id that the record has in the other store, for a store that gives it another one.
            fields: of the record.

        Raises:
            LightmigrateError: the store cannot hold one of them.
        """

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """What an interrupted run has filled for an address with such vectors; `None` for nothing. Only reads."""

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create an empty collection that `collections` does not list, for records with any text as id. Writes.

        It replaces what an interrupted run has filled for the address.

        Args:
            address: where it will be published; unused.
            dimension: of its vectors.
            distance: of its index.
            model: what the source records about the embedding model; recorded as far as the store records any.

        Raises:
            LightmigrateError: the store cannot have such a collection, with what helps.
        """

    def complete(self, incoming: Collection) -> Collection:
        """Do what is faster when all records are there, such as building the index, and open it again. Writes.

        Can be called again after an interruption.
        """

    def publish(self, incoming: Collection, address: Address) -> None:
        """Give the collection its name, in one step. Writes.

        Raises:
            LightmigrateError: there is a collection of that name meanwhile.
        """


class ReceivingStore(Store, Receiver, Protocol):
    """An open database that can receive."""


@runtime_checkable
class ReceivingFiles(Protocol):
    """A `FileDatabase` that receives when it is opened, which no other process may have open meanwhile."""

    def receive(self) -> ReceivingStore:
        """Open it, or create it where there is none. Writes."""


def without_envelope(fields: Fields) -> Fields:
    """The fields with those of `metadata` among the others, where an application keeps most of them there.

    Raises:
        LightmigrateError: two of them have the same name.
    """
    inside = fields.get("metadata")
    if not isinstance(inside, Mapping):
        return fields
    outside = {name: value for name, value in fields.items() if name != "metadata"}
    if double := sorted(inside.keys() & outside.keys()):
        raise LightmigrateError(f"a record has the field {double[0]!r} twice, once in metadata: rename one of the two")
    return {**inside, **outside}


def as_text(fields: Fields) -> Payload | None:
    """The fields as JSON text in one column, for a table whose rows all have the same columns; `None` for none.

    Raises:
        LightmigrateError: two of them have the same name.
    """
    flat = without_envelope(fields)
    return {TEXT_COLUMN: json.dumps(flat, sort_keys=True, ensure_ascii=False)} if flat else None


def from_text(payload: Payload) -> Fields:
    """The fields of a record that has them as JSON text in one column, as `as_text` writes them; others as they are.

    A text that is no JSON object, or of which reading would lose something (a key that occurs twice), stays a text.
    """
    text = payload.get(TEXT_COLUMN)
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return payload
    try:
        inside = json.loads(text, object_pairs_hook=_without_double, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return payload
    return {**payload, TEXT_COLUMN: inside}


def _without_double(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
