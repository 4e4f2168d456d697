"""A Chroma collection's schema as JSON: the settings of its vector indexes and its embedding function."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightmigrate.vectors import Metric

# Where a schema holds the settings of vector indexes.
VECTOR_INDEXES = (("defaults",), ("keys", "#embedding"))

# The key of a collection's metadata that states the distance, in the way of Chroma before 1.0.
SPACE_KEY = "hnsw:space"

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


# A key of a description: the function is recorded only in place of another one (see `recording`).
ONLY_REPLACES = "only_replaces"


def recording(schema: Mapping[str, Any], function: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the schema for vectors of another function, which Chroma can still open in every process.

    Chroma builds a recorded function from its name wherever it reads the collection's configuration, and fails in a
    process that does not know the name. So the object that an application hands over is recorded only where a function
    was recorded, and only if Chroma itself has it, or if the recorded one was the application's own, too, whose
    processes register what they use. Otherwise the collection records that its function is not known.

    Args:
        schema: of the collection with the old vectors.
        function: see `client.describe_function`.
    """
    if not function.get(ONLY_REPLACES) and function != NOT_KNOWN:
        return with_function(schema, function)
    recorded = {record["name"] for index in vector_indexes(schema) if (record := _known(index)) is not None}
    if not recorded:
        return copy.deepcopy(dict(schema))
    if function == NOT_KNOWN:
        return with_function(schema, NOT_KNOWN)
    own, registered = _registered_functions()
    if function["name"] in own or (function["name"] in registered and not recorded & own):
        return with_function(schema, {"name": function["name"], "config": function["config"]})
    return with_function(schema, NOT_KNOWN)


def _known(index: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The function that an index records; `None` for none, and for one that is recorded as not known."""
    record = index.get("embedding_function")
    return record if isinstance(record, Mapping) and record.get("type") == "known" and record.get("name") else None


def _registered_functions() -> tuple[set[str], set[str]]:
    """The names of the functions that Chroma has in every process, and of those registered in this one."""
    from chromadb.utils.embedding_functions import known_embedding_functions  # chromadb takes a second to import

    from lightmigrate.providers.chroma import shipped_functions  # loads NumPy, which reading a folder does not need

    own = shipped_functions()
    return own, set(known_embedding_functions) - own


def with_function(schema: Mapping[str, Any], function: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of the schema that records a function (see `describe_function`); `None` removes the record."""
    changed = copy.deepcopy(dict(schema))
    for index in vector_indexes(changed):
        index.pop("embedding_function", None)
        if function is not None:
            index["embedding_function"] = {"type": "known", **function}
    return changed


def with_space(schema: Mapping[str, Any], distance: Metric | None) -> dict[str, Any]:
    """A copy of the schema for indexes of another distance; `None` changes nothing."""
    changed = copy.deepcopy(dict(schema))
    for index in vector_indexes(changed) if distance is not None else ():
        index["space"] = distance
    return changed


def not_copied(schema: Mapping[str, Any]) -> str | None:
    """Which index of a schema only distributed Chroma has, so that no copy of it can be compared here; `None` for none.

    A SPANN index, or one of sparse vectors: the Chroma of a folder, and of the server on one, builds neither.
    """
    if any(index.get("spann") is not None for index in vector_indexes(schema)):
        return "a SPANN index"
    places = {"all fields": schema.get("defaults") or {}, **(schema.get("keys") or {})}
    for field, indexes in places.items():
        if ((indexes.get("sparse_vector") or {}).get("sparse_vector_index") or {}).get("enabled"):
            return f"an index of sparse vectors on {field!r}"
    return None
