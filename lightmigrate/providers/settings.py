"""What objects that embed say of themselves: their attributes, of whatever library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# A setting of this name is a key, or the place of one: the object calls a service that may cost money.
_KEY = re.compile(r"api_?key|access_?key|token_env|credential|access_?token", re.IGNORECASE)

# A setting of this name is the address of the service.
_ADDRESS = re.compile(r"(base|url|endpoint|host)$", re.IGNORECASE)

# Chroma's own functions record the name of the variable that holds a key; those of others may record the key itself.
_SECRET = re.compile(r"(key|token|secret|password|credential|header)s?$", re.IGNORECASE)


def settings_of(function: object) -> Mapping[str, Any]:
    """The attributes of an object, private ones too."""
    try:
        own = dict(vars(function))
    except TypeError:
        own = {}
    fields = getattr(type(function), "model_fields", None)  # of pydantic: LangChain and LlamaIndex
    if isinstance(fields, Mapping):
        own.update({str(name): _attribute(function, str(name)) for name in fields})
        own.update(_attribute(function, "__pydantic_private__") or {})
    return own


def _attribute(function: object, name: str) -> Any:
    try:
        return getattr(function, name, None)
    except Exception:  # a property of a third-party object may raise anything  # noqa: BLE001
        return None


def is_set(value: object) -> bool:
    """Whether a setting has a value. An array, or a tensor, does not say whether it is one; it is."""
    try:
        return bool(value)
    except Exception:  # nor does any other third-party object have to  # noqa: BLE001
        return True


def wants_key(stated: Mapping[str, Any]) -> bool:
    """Whether settings hold a key or the place of one, so that calling what has them may cost money."""
    return any(_KEY.search(str(name)) and is_set(value) for name, value in stated.items())


def is_address(name: object) -> bool:
    """Whether a setting of that name is the address of a server. A proxy is none."""
    return _ADDRESS.search(str(name)) is not None


def is_secret(name: object) -> bool:
    """Whether a setting of that name may be a key."""
    return _SECRET.search(str(name)) is not None


def public_settings(function: object) -> dict[str, Any]:
    """The settings of an object that are plain values, and no keys."""
    return _public(settings_of(function))


def _public(stated: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {str(name): value for name, value in stated.items() if not (is_secret(name) or _KEY.search(str(name)))}
    return {
        name: _public(value) if isinstance(value, Mapping) else value
        for name, value in plain.items()
        if isinstance(value, (str, int, float, Mapping))
    }
