"""Convert keys and column values to text and JSON, and back, without loss."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

Key = int | str


def encode_key(key: Key) -> str:
    """A key as an id."""
    return str(key)


def decode_key(record: str, *, text_keys: bool) -> Key | None:
    """An id as a key; `None` when no row can have it."""
    if text_keys:
        return record
    try:
        number = int(record)
    except ValueError:
        return None
    return number if str(number) == record and -(2**63) <= number < 2**63 else None


def encode(value: object) -> Any:
    """A value of SQLite as JSON: numbers and text as they are; bytes and numbers that JSON lacks as an object."""
    if isinstance(value, bytes):
        return {"blob": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"real": str(value)}
    return value


def decode(value: Any) -> object:
    """The value of SQLite that JSON stands for."""
    if isinstance(value, Mapping):
        return base64.b64decode(value["blob"]) if "blob" in value else float(value["real"])
    return int(value) if isinstance(value, bool) else value
