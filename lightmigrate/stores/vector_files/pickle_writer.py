"""Write a pickle of plain values and of objects of named classes, without importing these classes."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lightmigrate.stores.vector_files.pickle_reader import Instance

_PROTOCOL_4, _STOP, _MARK, _BUILD = b"\x80\x04", b".", b"(", b"b"


def dumps(value: Any) -> bytes:
    """A pickle of texts, bytes, numbers, `None`, dates, lists, tuples, sets, dictionaries and `Instance`s.

    Raises:
        ValueError: the value holds something else.
    """
    parts: list[bytes] = [_PROTOCOL_4]
    _write(value, parts.append)
    parts.append(_STOP)
    return b"".join(parts)


def _write(value: Any, put: Callable[[bytes], None]) -> None:
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise ValueError(f"a {type(value).__name__} cannot be written")
    writer(value, put)


def _text(value: str, put: Callable[[bytes], None]) -> None:
    content = value.encode("utf-8", "surrogatepass")
    put(b"\x8d" + struct.pack("<Q", len(content)) + content)


def _bytes(value: bytes, put: Callable[[bytes], None]) -> None:
    put(b"\x8e" + struct.pack("<Q", len(value)) + value)


def _whole(value: int, put: Callable[[bytes], None]) -> None:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    put(b"\x8b" + struct.pack("<i", len(content)) + content)


def _group(start: bytes, end: bytes) -> Callable[[Iterable[Any], Callable[[bytes], None]], None]:
    def write(values: Iterable[Any], put: Callable[[bytes], None]) -> None:
        put(start)
        for value in values:
            _write(value, put)
        put(end)

    return write


def _table(value: Mapping[Any, Any], put: Callable[[bytes], None]) -> None:
    put(b"}" + _MARK)
    for key, each in value.items():
        _write(key, put)
        _write(each, put)
    put(b"u")


def _named(origin: tuple[str, str], put: Callable[[bytes], None]) -> None:
    for part in origin:
        _text(part, put)
    put(b"\x93")


def _instance(value: Instance, put: Callable[[bytes], None]) -> None:
    _named(value.origin, put)
    put(b")\x81")
    _write(value.state, put)
    put(_BUILD)


def _date(value: Any, put: Callable[[bytes], None]) -> None:
    arguments = value.__reduce_ex__(2)[1]
    _named(("datetime", type(value).__name__), put)
    _write(tuple(arguments), put)
    put(b"R")


_WRITERS: Mapping[type, Callable[[Any, Callable[[bytes], None]], None]] = {
    str: _text,
    bytes: _bytes,
    int: _whole,
    float: lambda value, put: put(b"G" + struct.pack(">d", value)),
    bool: lambda value, put: put(b"\x88" if value else b"\x89"),
    type(None): lambda value, put: put(b"N"),
    list: _group(b"]" + _MARK, b"e"),
    tuple: _group(_MARK, b"t"),
    set: _group(b"\x8f" + _MARK, b"\x90"),
    frozenset: _group(_MARK, b"\x91"),
    dict: _table,
    Instance: _instance,
    datetime.date: _date,
    datetime.datetime: _date,
    datetime.time: _date,
    datetime.timedelta: _date,
    datetime.timezone: _date,
}
