"""A Chroma collection's schema as JSON: the settings of its vector indexes and its embedding function."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Where a schema holds the settings of vector indexes.
VECTOR_INDEXES = (("defaults",), ("keys", "#embedding"))

# What a schema records about an embedding function that has no name and config.
NOT_KNOWN: Mapping[str, str] = types.MappingProxyType({"type": "legacy"})


def vector_indexes(
    schema: Mapping[str, Any], paths: Sequence[tuple[str, ...]] = VECTOR_INDEXES
) -> Iterator[dict[str, Any]]:
    """The settings of every vector index in a schema; changes to them change the schema."""
    for path in paths:
        values: Any = schema
        for key in path:
            values = (values or {}).get(key)
        config = ((values or {}).get("float_list") or {}).get("vector_index", {}).get("config")
        if config is not None:
            yield config


def without_plain_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the schema without the keys that are indexed in the default way.

    Chroma adds every metadata key that it receives; folders from before schemas contain none of them.
    """
    defaults = schema.get("defaults") or {}
    special = {
        key: chosen
        for key, indexes in (schema.get("keys") or {}).items()
        if (chosen := {kind: index for kind, index in indexes.items() if index != defaults.get(kind)})
    }
    return {**schema, "keys": special}


def with_function(schema: Mapping[str, Any], function: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the schema that records a function (see `describe_function`); `None` removes the record."""
    changed = copy.deepcopy(dict(schema))
    for index in vector_indexes(changed):
        index.pop("embedding_function", None)
        if function is not None:
            index["embedding_function"] = {"type": "known", **function}
    return changed
