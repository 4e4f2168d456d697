"""How records of other stores are kept in a Qdrant collection that receives them.

A record becomes a point as LangChain stores one: the text in `page_content`, the fields in `metadata`. An id that
Qdrant does not take, such as a text, becomes a UUID that is computed from it, and stays in the field `__id__`, as
Qdrant's own tool does it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.aliased.receive import AliasedReceiver
from lightmigrate.stores.base import Address, Collection, Payload
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.collection import QdrantCollection
from lightmigrate.stores.qdrant.configuration import DISTANCES
from lightmigrate.stores.qdrant.exchange import require_indexed
from lightmigrate.stores.qdrant.ids import decode
from lightmigrate.stores.receive import Fields
from lightmigrate.stores.text_field import TEXT_FIELDS
from lightmigrate.vectors import Metric

# Where the id of a record is that Qdrant does not take.
_ID_FIELD = "__id__"


class QdrantReceiver(AliasedReceiver):
    """See `stores.receive.Receiver`."""

    calls: QdrantCalls

    def new_id(self, record: str) -> str:
        """The same where Qdrant takes it; else a UUID of it."""
        return record if decode(record) is not None else str(uuid.uuid5(uuid.NAMESPACE_OID, record))

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """The fields in `metadata`, and the id if it is another one here."""
        payload: dict[str, Any] = (
            dict(fields) if isinstance(fields.get("metadata"), Mapping) else {"metadata": dict(fields)}
        )
        if not payload["metadata"]:
            del payload["metadata"]
        if clashing := sorted(payload.keys() & {_ID_FIELD, TEXT_FIELDS[0]}):
            raise LightmigrateError(f"a record has a field {clashing[0]!r}, which is to hold something else: rename it")
        if decode(record) is None:
            payload[_ID_FIELD] = record
        return payload or None

    def create_empty(self, name: str, dimension: int, distance: Metric) -> None:
        """Create a collection of one unnamed vector, and its mark. Writes."""
        self.calls.create_plain(name, models.VectorParams(size=dimension, distance=DISTANCES[distance]))
        self.calls.create_alias(self.naming.mark_of(name), name)

    def open_incoming(self, name: str) -> QdrantCollection:
        """Open a collection that is filled. Only reads."""
        return QdrantCollection(self.calls, Address(name), name, TEXT_FIELDS[0])

    def complete(self, incoming: Collection) -> Collection:
        """Wait until the server has built the index. Only reads."""
        require_indexed(self.calls, incoming.address.name)
        return incoming

    def publish(self, incoming: Collection, address: Address) -> None:
        """Have an alias of the name lead to the collection, which loses its mark, in one request. Writes."""
        name = incoming.address.name
        self.calls.change_aliases(remove=[self.naming.mark_of(name)], add={address.name: name})
