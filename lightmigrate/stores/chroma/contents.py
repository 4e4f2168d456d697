"""What a record holds besides its vector: as Chroma's interface gives it, and as Chroma's tables hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightmigrate.stores.base import Payload

# Chroma keeps a record's document and its uri among the metadata, under these keys.
_DOCUMENT, _URI = "chroma:document", "chroma:uri"

# Of the tables of metadata: the number of the record, the key, and the value in the column of its type.
ValueRow = tuple[int, str, str | None, int | None, float | None, int | None]


def decoded(values: Iterable[ValueRow], lists: Iterable[ValueRow]) -> dict[int, tuple[str | None, Payload | None]]:
    """The document and the payload of each record that has any, by its number.

    Args:
        values: rows of the table of values.
        lists: rows of the table of lists, one for each item, in the order of the items.
    """
    fields: dict[int, dict[str, Any]] = {}
    for number, key, text, whole, real, flag in values:
        value = _value(text, whole, real, flag)
        if value is not None:
            fields.setdefault(number, {})[key] = value
    for number, key, text, whole, real, flag in lists:
        fields.setdefault(number, {}).setdefault(key, []).append(_value(text, whole, real, flag))
    return {number: (own.pop(_DOCUMENT, None), payload_of(own, own.pop(_URI, None))) for number, own in fields.items()}


def _value(text: str | None, whole: int | None, real: float | None, flag: int | None) -> Any:
    if text is not None:
        return text
    if whole is not None:
        return whole
    if real is not None:
        return real
    return None if flag is None else bool(flag)


def payload_of(metadata: Mapping[str, Any] | None, uri: str | None) -> Payload | None:
    """What a record holds besides its document. One with a uri and no metadata reads back {}, which Chroma refuses."""
    payload: dict[str, Any] = {"metadata": metadata} if metadata else {}
    if uri is not None:
        payload["uri"] = uri
    return payload or None
