"""The application's fields of a record, by name, whatever the store calls them."""

from __future__ import annotations

from collections.abc import Mapping

from lightmigrate.stores.base import Payload

# JSON values by the application's name of them.
Fields = Mapping[str, object]


def fields_of(payload: Payload | None) -> Fields:
    """The fields in a payload: its own values, and those of the objects in it.

    Stores put the application's fields at one of these two places: a table its columns, and JSON columns their keys; a
    vector database one object beside what it keeps itself. A value of the payload itself wins over one of the same name
    in an object.
    """
    fields: dict[str, object] = {}
    for value in (payload or {}).values():
        if isinstance(value, Mapping):
            fields.update(value)
    for name, value in (payload or {}).items():
        if not isinstance(value, Mapping):
            fields[name] = value
        else:
            fields.setdefault(name, value)
    return fields
