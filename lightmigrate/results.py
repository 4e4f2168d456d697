"""Results are typed objects that can also be read like a dictionary and written as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints


class Result(Mapping[str, Any]):
    """Base of all public results: a frozen dataclass whose fields are also its keys.

    `result.n_migrated` and `result["n_migrated"]` are the same; `to_json()` gives plain values.
    """

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(f"{name!r}: {type(self).__name__} has {', '.join(self._names())}")
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values, nested results included."""
        return {name: plain(getattr(self, name)) for name in self._names()}

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]  # subclasses are


def read_as(kind: Any, value: Any) -> Any:
    """Convert a parsed JSON value to a type: a number, a string, an optional one, a mapping, or a result.

    Raises:
        ValueError, TypeError, KeyError: the value is not of that type, or is a negative or infinite number.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is none of {arguments}")
        return value
    if origin is not None and issubclass(origin, Mapping):
        key_type, item_type = arguments
        read_key = partial(read_as, key_type) if get_origin(key_type) is Literal else key_type
        return {read_key(name): read_as(item_type, item) for name, item in value.items()}
    if arguments:  # `T | None`
        return value if value is None else read_as(arguments[0], value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: read_as(hints[name], item) for name, item in value.items()})
    if kind is Any:
        return value
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{type(value).__name__} where {kind} belongs")
    if (kind is int and value < 0) or (kind is float and not math.isfinite(value)):
        raise ValueError("no such number")
    return value


def plain(value: Any) -> Any:
    """Convert a value to plain JSON types: results and mappings to objects, paths to strings."""
    if isinstance(value, Result):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value
