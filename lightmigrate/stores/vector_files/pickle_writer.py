"""Write a pickle of plain values and of objects of named classes, without importing these classes."""

from __future__ import annotations

import datetime
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_PROTOCOL = 4


@dataclass
class Instance:
    """An object of a class that is known by its name alone.

    Attributes:
        origin: module and name of the class.
        state: what the object's `__setstate__` or `__dict__` gets.
    """

    origin: tuple[str, str]
    state: Any


def dumps(value: Any) -> bytes:
    """A pickle of texts, bytes, numbers, `None`, dates, lists, tuples, sets, dictionaries and `Instance`s.

    Raises:
        ValueError: the value holds something else.
    """
    parts: list[bytes] = [pickle.PROTO + bytes([_PROTOCOL])]
    _write(value, parts.append)
    parts.append(pickle.STOP)
    return b"".join(parts)


def _write(value: Any, put: Callable[[bytes], None]) -> None:
    writer = _instance if isinstance(value, Instance) else _WRITERS.get(type(value))
    if writer is None:
        raise ValueError(f"a {type(value).__name__} cannot be written")
    writer(value, put)


def _text(value: str, put: Callable[[bytes], None]) -> None:
    content = value.encode("utf-8", "surrogatepass")
    put(pickle.BINUNICODE8 + struct.pack("<Q", len(content)) + content)


def _bytes(value: bytes, put: Callable[[bytes], None]) -> None:
    put(pickle.BINBYTES8 + struct.pack("<Q", len(value)) + value)


def _whole(value: int, put: Callable[[bytes], None]) -> None:
    content = pickle.encode_long(value)
    put(pickle.LONG4 + struct.pack("<i", len(content)) + content)


def _group(open_: bytes, close: bytes) -> Callable[[Iterable[Any], Callable[[bytes], None]], None]:
    def write(values: Iterable[Any], put: Callable[[bytes], None]) -> None:
        put(open_)
        for value in values:
            _write(value, put)
        put(close)

    return write


def _table(value: Mapping[Any, Any], put: Callable[[bytes], None]) -> None:
    put(pickle.EMPTY_DICT + pickle.MARK)
    for key, each in value.items():
        _write(key, put)
        _write(each, put)
    put(pickle.SETITEMS)


def _named(origin: tuple[str, str], put: Callable[[bytes], None]) -> None:
    for part in origin:
        _text(part, put)
    put(pickle.STACK_GLOBAL)


def _instance(value: Instance, put: Callable[[bytes], None]) -> None:
    _named(value.origin, put)
    put(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
    _write(value.state, put)
    put(pickle.BUILD)


def _date(value: Any, put: Callable[[bytes], None]) -> None:
    _, arguments = value.__reduce_ex__(2)[:2]
    _named(("datetime", type(value).__name__), put)
    _write(tuple(arguments), put)
    put(pickle.REDUCE)


_WRITERS: Mapping[type, Callable[[Any, Callable[[bytes], None]], None]] = {
    str: _text,
    bytes: _bytes,
    int: _whole,
    float: lambda value, put: put(pickle.BINFLOAT + struct.pack(">d", value)),
    bool: lambda value, put: put(pickle.NEWTRUE if value else pickle.NEWFALSE),
    type(None): lambda value, put: put(pickle.NONE),
    list: _group(pickle.EMPTY_LIST + pickle.MARK, pickle.APPENDS),
    tuple: _group(pickle.MARK, pickle.TUPLE),
    set: _group(pickle.EMPTY_SET + pickle.MARK, pickle.ADDITEMS),
    frozenset: _group(pickle.MARK, pickle.FROZENSET),
    dict: _table,
    datetime.date: _date,
    datetime.datetime: _date,
    datetime.time: _date,
    datetime.timedelta: _date,
    datetime.timezone: _date,
}
