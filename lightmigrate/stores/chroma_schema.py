"""A Chroma collection's schema, as JSON: where its vector indexes stand in it, and what it records."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Where a schema keeps what belongs to the collection's vectors.
VECTOR_INDEXES = (("defaults",), ("keys", "#embedding"))

# What a schema says of an embedding function that says nothing of itself.
NOT_KNOWN: Mapping[str, str] = types.MappingProxyType({"type": "legacy"})


def vector_indexes(
    schema: Mapping[str, Any], paths: Sequence[tuple[str, ...]] = VECTOR_INDEXES
) -> Iterator[dict[str, Any]]:
    """The settings of every vector index that a schema names, to be read or changed in place."""
    for path in paths:
        values: Any = schema
        for key in path:
            values = (values or {}).get(key)
        config = ((values or {}).get("float_list") or {}).get("vector_index", {}).get("config")
        if config is not None:
            yield config


def without_plain_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the schema without the keys that are indexed as any key is by default.

    Chroma enters every metadata key it is given, and folders from before schemas have none entered.
    """
    defaults = schema.get("defaults") or {}
    special = {
        key: chosen
        for key, indexes in (schema.get("keys") or {}).items()
        if (chosen := {kind: index for kind, index in indexes.items() if index != defaults.get(kind)})
    }
    return {**schema, "keys": special}


def with_function(schema: Mapping[str, Any], function: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the schema that records a function, see `describe_function`; `None` removes what is recorded."""
    changed = copy.deepcopy(dict(schema))
    for index in vector_indexes(changed):
        index.pop("embedding_function", None)
        if function is not None:
            index["embedding_function"] = {"type": "known", **function}
    return changed
