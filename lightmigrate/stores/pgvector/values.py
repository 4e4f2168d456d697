"""Convert keys and columns to text and JSON, and back, without loss.

| type | in a payload |
|---|---|
| boolean, integers | the same |
| real, double precision | a number; `NaN` and `Infinity` as text |
| json, jsonb | the value itself |
| bytea | base64 |
| arrays of boolean, integers, text | a list |
| all other types | PostgreSQL's own text: numeric, timestamps (ISO, UTC), uuid, ... |
| NULL | the key is absent |

An id is the primary key as text; of several columns, a JSON list of texts.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

# How a type's values are represented in a payload; other types as PostgreSQL's own text.
_KINDS = {
    "bool": "bool",
    "int2": "int",
    "int4": "int",
    "int8": "int",
    "float4": "float",
    "float8": "float",
    "json": "json",
    "jsonb": "json",
    "bytea": "bytea",
    "_bool": "array",
    "_int2": "array",
    "_int4": "array",
    "_int8": "array",
    "_text": "array",
    "_varchar": "array",
}


def kind_of(type_name: str) -> str:
    """How values of a type (its name in `pg_type`) are encoded."""
    return _KINDS.get(type_name, "text")


def encode(kind: str, text: str) -> Any:
    """Convert PostgreSQL's text (arrays: JSON) to a value in a payload."""
    if kind == "bool":
        return text == "true"
    if kind == "int":
        return int(text)
    if kind == "float":
        number = float(text)
        return number if math.isfinite(number) else text
    if kind in ("json", "array"):
        return json.loads(text)
    return base64.b64encode(bytes.fromhex(text[2:])).decode() if kind == "bytea" else text


def decode(kind: str, value: Any) -> str:
    """Convert a value in a payload to PostgreSQL's text."""
    if kind == "bool":
        return "true" if value else "false"
    if kind == "json":
        return json.dumps(value, ensure_ascii=False)
    if kind == "bytea":
        return "\\x" + base64.b64decode(value).hex()
    if kind == "array":
        return _array(value)
    return repr(value) if kind == "float" and not isinstance(value, str) else str(value)


def encode_key(key: Sequence[str]) -> str:
    """An id: the primary key as text; of several columns, a JSON list."""
    return key[0] if len(key) == 1 else json.dumps(list(key), ensure_ascii=False)


def decode_key(record: str, columns: int) -> tuple[str, ...] | None:
    """The primary key of an id, a text for each column; `None` when it cannot be one."""
    if "\x00" in record:
        return None
    if columns == 1:
        return (record,)
    try:
        key = json.loads(record)
    except ValueError:
        return None
    valid = isinstance(key, list) and len(key) == columns and all(isinstance(part, str) for part in key)
    return tuple(key) if valid and encode_key(key) == record else None


def _array(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(map(_array, value)) + "}"
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
