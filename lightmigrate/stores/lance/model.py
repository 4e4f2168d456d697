"""What LanceDB records about the embedding function of a vector column, in the metadata of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_KEY = b"embedding_functions"


def recorded_model(schema: pa.Schema, column: str) -> Mapping[str, Any] | None:
    """The name and configuration of the function that made a column; `None` when none is recorded."""
    entry = next((entry for entry in _entries(schema) if entry.get("vector_column") == column), None)
    return None if entry is None else {"name": entry.get("name"), "config": entry.get("model") or {}}


def metadata_with(schema: pa.Schema, column: str, model: Mapping[str, Any]) -> dict[str, str]:
    """The metadata that record another function for a column; empty where none was recorded.

    LanceDB embeds texts itself where a function is recorded, so none is recorded where there was none.
    """
    entries = _entries(schema)
    if not any(entry.get("vector_column") == column for entry in entries):
        return {}
    changed = [
        {**entry, "name": model["name"], "model": model["config"]} if entry.get("vector_column") == column else entry
        for entry in entries
    ]
    return {_KEY.decode(): json.dumps(changed)}


def _entries(schema: pa.Schema) -> list[dict[str, Any]]:
    try:
        entries = json.loads((schema.metadata or {}).get(_KEY, b"[]"))
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
