"""Read a pickle as data: plain values, dates, and objects of named classes. Nothing is imported, and no class is built.

The instructions of a pickle are interpreted here, those that plain data takes; all others are refused, among them every
call except that of a date.
"""

from __future__ import annotations

import datetime
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DATES: dict[str, Callable[..., Any]] = {
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "timezone": datetime.timezone,
}

# What a pickle may take in memory, for each of its bytes: an empty set is one byte, and takes two hundred. Documents
# with little text take about fifteen times their size.
_MOST_TIMES, _SPARE_BYTES = 32, 1 << 20
_BYTES_TO_REMEMBER, _BYTES_OF_INSTANCE = 100, 200

# Keys whose hashes nobody can choose, and the modulus of those of numbers.
_KEYS = (str, bytes, bool, type(None))
_MODULUS = sys.hash_info.modulus
_MOST_ODD_KEYS = 1000


class ContentError(ValueError):
    """The file holds something else than data. The message has nothing of its content but the name of a class."""


@dataclass
class Instance:
    """An object of a class that is known by its name alone.

    Attributes:
        origin: module and name of the class.
        state: what its attributes are set from.
    """

    origin: tuple[str, str]
    state: Any


@dataclass(frozen=True)
class _Name:
    origin: tuple[str, str]


def loads(content: bytes, known: Callable[[str, str], bool]) -> Any:
    """The value that a pickle of protocol 2 to 5 describes.

    Args:
        content: the pickle.
        known: whether objects of a class may be in it, by module and name.

    Raises:
        ContentError: it holds something else.
        TypeError, ValueError, LookupError, OverflowError: its instructions contradict each other.
    """
    return _Reader(content, known).read()


class _Reader:
    def __init__(self, content: bytes, known: Callable[[str, str], bool]) -> None:
        self._content, self._at = content, 0
        self._known = known
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._bytes_left = _MOST_TIMES * len(content) + _SPARE_BYTES
        self._odd_keys_left = _MOST_ODD_KEYS

    def read(self) -> Any:
        """Interpret the instructions to the end."""
        while True:
            (instruction,) = self._take(1)
            if instruction == 0x2E:  # STOP
                if len(self._stack) != 1 or self._marks or self._at != len(self._content):
                    raise ContentError("more than one thing is in it")
                return self._stack[0]
            act = _INSTRUCTIONS.get(instruction)
            if act is None:
                raise ContentError(f"instruction {instruction:#x} at byte {self._at - 1}")
            act(self)

    def _take(self, length: int) -> bytes:
        part = self._content[self._at : self._at + length]
        if len(part) < length:
            raise ContentError("it ends too early")
        self._at += length
        return part

    def _sized(self, width: int) -> bytes:
        return self._take(int.from_bytes(self._take(width), "little"))

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_container(self, value: Any) -> None:
        self._spend(sys.getsizeof(value))
        self._stack.append(value)

    def _spend(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise ContentError("it describes much more than it holds")

    def _require_keys(self, keys: list[Any]) -> None:
        """Refuse many keys whose places in a table the file can choose, so that finding each takes long."""
        odd = (key for key in keys if not (type(key) in _KEYS or (type(key) is int and abs(key) < _MODULUS)))
        self._odd_keys_left -= sum(1 for _ in odd)
        if self._odd_keys_left < 0:
            raise ContentError("too many of its keys are neither texts nor numbers")

    def _after_mark(self) -> list[Any]:
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _last(self, count: int) -> list[Any]:
        values = self._stack[len(self._stack) - count :]
        if len(values) < count:
            raise ContentError("an instruction has nothing to work on")
        del self._stack[len(self._stack) - count :]
        return values

    def _top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise ContentError("an instruction works on a value of another type")
        return self._stack[-1]

    def _text(self, width: int) -> None:
        self._push(self._sized(width).decode("utf-8", "surrogatepass"))

    def _whole(self, width: int) -> None:
        self._push(int.from_bytes(self._sized(width), "little", signed=True))

    def _line(self) -> str:
        end = self._content.find(b"\n", self._at)
        return self._take(end - self._at + 1)[:-1].decode() if end >= 0 else self._take(len(self._content) + 1).decode()

    def _global(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ContentError("the name of a class is no text")
        if not (module == "datetime" and name in DATES) and not self._known(module, name):
            raise ContentError(f"it names {f'{module}.{name}'[:80]!r}")
        self._push(_Name((module, name)))

    def _call(self) -> None:
        """Calls a date; nothing else."""
        called, arguments = self._last(2)
        if not isinstance(called, _Name) or called.origin[0] != "datetime" or type(arguments) is not tuple:
            raise ContentError("it calls something")
        if not all(type(each) in (bytes, int, str, datetime.timezone, datetime.timedelta) for each in arguments):
            raise ContentError("it makes a date of something else")
        self._push(DATES[called.origin[1]](*arguments))

    def _new(self) -> None:
        called, arguments = self._last(2)
        if not isinstance(called, _Name) or called.origin[0] == "datetime" or arguments != ():
            raise ContentError("it makes an object of something else than a class alone")
        self._spend(_BYTES_OF_INSTANCE)
        self._push(Instance(called.origin, {}))

    def _build(self) -> None:
        (state,) = self._last(1)
        self._top(Instance).state = state

    def _set_items(self, values: list[Any]) -> None:
        if len(values) % 2:
            raise ContentError("a key has no value")
        self._require_keys(values[::2])
        self._top(dict).update(zip(values[::2], values[1::2], strict=True))

    def _add_items(self, values: list[Any]) -> None:
        self._require_keys(values)
        self._top(set).update(values)

    def _frozen(self, values: list[Any]) -> None:
        self._require_keys(values)
        self._push_container(frozenset(values))

    def _remember(self, number: int) -> None:
        self._spend(_BYTES_TO_REMEMBER)
        self._memo[number] = self._stack[-1]

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")


_INSTRUCTIONS: dict[int, Callable[[_Reader], Any]] = {
    0x80: lambda reader: reader._take(1),  # PROTO
    0x95: lambda reader: reader._take(8),  # FRAME
    0x8C: lambda reader: reader._text(1),
    0x58: lambda reader: reader._text(4),
    0x8D: lambda reader: reader._text(8),
    0x43: lambda reader: reader._push(reader._sized(1)),
    0x42: lambda reader: reader._push(reader._sized(4)),
    0x8E: lambda reader: reader._push(reader._sized(8)),
    0x94: lambda reader: reader._remember(len(reader._memo)),
    0x71: lambda reader: reader._remember(reader._number(1)),
    0x72: lambda reader: reader._remember(reader._number(4)),
    0x68: lambda reader: reader._push(reader._memo[reader._number(1)]),
    0x6A: lambda reader: reader._push(reader._memo[reader._number(4)]),
    0x93: lambda reader: reader._global(*reader._last(2)),
    0x63: lambda reader: reader._global(reader._line(), reader._line()),
    0x28: lambda reader: reader._marks.append(len(reader._stack)),
    0x29: lambda reader: reader._push(()),
    0x74: lambda reader: reader._push_container(tuple(reader._after_mark())),
    0x85: lambda reader: reader._push_container(tuple(reader._last(1))),
    0x86: lambda reader: reader._push_container(tuple(reader._last(2))),
    0x87: lambda reader: reader._push_container(tuple(reader._last(3))),
    0x7D: lambda reader: reader._push_container({}),
    0x73: lambda reader: reader._set_items(reader._last(2)),
    0x75: lambda reader: reader._set_items(reader._after_mark()),
    0x5D: lambda reader: reader._push_container([]),
    0x61: lambda reader: (lambda values: reader._top(list).extend(values))(reader._last(1)),
    0x65: lambda reader: (lambda values: reader._top(list).extend(values))(reader._after_mark()),
    0x8F: lambda reader: reader._push_container(set()),
    0x90: lambda reader: reader._add_items(reader._after_mark()),
    0x91: lambda reader: reader._frozen(reader._after_mark()),
    0x81: _Reader._new,
    0x52: _Reader._call,
    0x62: _Reader._build,
    0x4E: lambda reader: reader._push(None),
    0x88: lambda reader: reader._push(True),
    0x89: lambda reader: reader._push(False),
    0x4B: lambda reader: reader._push(reader._number(1)),
    0x4D: lambda reader: reader._push(reader._number(2)),
    0x4A: lambda reader: reader._push(struct.unpack("<i", reader._take(4))[0]),
    0x8A: lambda reader: reader._whole(1),
    0x8B: lambda reader: reader._whole(4),
    0x47: lambda reader: reader._push(struct.unpack(">d", reader._take(8))[0]),
}
