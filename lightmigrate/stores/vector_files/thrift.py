"""The compact protocol of Apache Thrift, in which Parquet keeps its footers: read and written without losing a field.

A structure is read as it is, whatever its fields mean: a later version of the format, or an application, may have added
some, and they are written again. Integers, floats and bytes are Python's; a list knows the type of its elements.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
_UUID = 13

# How deep structures may lie in each other; those of Parquet are six deep.
_DEEPEST = 32

_MOST_BYTES = 10  # of an integer of 64 bits


@dataclass
class Struct:
    """Fields by their numbers, each with its type and its value."""

    fields: dict[int, tuple[int, Any]] = field(default_factory=dict)

    def __contains__(self, number: int) -> bool:
        return number in self.fields

    def integer(self, number: int, default: int | None = None) -> int:
        """An integer.

        Raises:
            ValueError: the field is missing, and there is no default; or it holds something else.
        """
        kind, value = self.fields.get(number, (I64, default))
        if kind not in (I16, I32, I64) or value is None:
            raise ValueError(f"its footer has no number in field {number} of a structure")
        return int(value)

    def blob(self, number: int) -> bytes:
        """Bytes; `ValueError` where the field is missing or holds something else."""
        value: bytes = self._of(BINARY, number)
        return value

    def struct(self, number: int) -> Struct:
        """A structure; `ValueError` where the field is missing or holds something else."""
        value: Struct = self._of(STRUCT, number)
        return value

    def structs(self, number: int) -> list[Struct]:
        """The structures of a list; `ValueError` where the field is missing or holds something else."""
        value: List = self._of(LIST, number)
        if value.values and value.kind != STRUCT:
            raise ValueError(f"its footer has other than structures in field {number}")
        return value.values

    def integers(self, number: int) -> list[int]:
        """The integers of a list; `ValueError` where the field is missing or holds something else."""
        value: List = self._of(LIST, number)
        if value.values and value.kind not in (I16, I32, I64):
            raise ValueError(f"its footer has other than numbers in field {number}")
        return value.values

    def _of(self, kind: int, number: int) -> Any:
        found, value = self.fields.get(number, (0, None))
        if found != kind:
            raise ValueError(f"its footer lacks field {number} of a structure")
        return value

    def put(self, number: int, kind: int, value: Any) -> None:
        """Set a field; of the integers, `kind` says how wide it is."""
        self.fields[number] = (kind, value)

    def drop(self, *numbers: int) -> None:
        """Leave out fields that may be missing already."""
        for number in numbers:
            self.fields.pop(number, None)


@dataclass
class List:
    """A list whose elements are of one type."""

    kind: int
    values: list[Any]


@dataclass
class Map:
    """A map, as pairs in the order in which they were written."""

    key_kind: int
    value_kind: int
    pairs: list[tuple[Any, Any]]


def read_struct(data: bytes, start: int = 0) -> tuple[Struct, int]:
    """A structure that begins at a place, and the place after it.

    Raises:
        ValueError: there is none.
    """
    reader = _Reader(data, start)
    try:
        return reader.struct(0), reader.place
    except IndexError:
        raise ValueError("its footer ends within a structure") from None


def write_struct(struct: Struct) -> bytes:
    """A structure as bytes."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes, place: int) -> None:
        self._data, self.place = data, place

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError(f"its footer has structures more than {_DEEPEST} deep")
        struct, number = Struct(), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            value = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth)
            struct.fields[number] = (kind, value)
        return struct

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == BINARY:
            return self._bytes(self._unsigned())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (LIST, SET):
            return self._list(depth + 1)
        if kind in (TRUE, FALSE, BYTE):  # an element of a list: as a byte
            return self._byte()
        if kind in (DOUBLE, _UUID):
            return self._bytes(8 if kind == DOUBLE else 16)
        if kind == MAP:
            return self._map(depth + 1)
        raise ValueError(f"its footer has a field of type {kind}")

    def _list(self, depth: int) -> List:
        if depth > _DEEPEST:
            raise ValueError(f"its footer has lists more than {_DEEPEST} deep")
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        self._require(count)  # every element takes a byte at least
        return List(head & 15, [self._value(head & 15, depth) for _ in range(count)])

    def _map(self, depth: int) -> Map:
        if depth > _DEEPEST:
            raise ValueError(f"its footer has maps more than {_DEEPEST} deep")
        count = self._unsigned()
        if not count:
            return Map(0, 0, [])
        self._require(count)
        kinds = self._byte()
        key, value = kinds >> 4, kinds & 15
        return Map(key, value, [(self._value(key, depth), self._value(value, depth)) for _ in range(count)])

    def _byte(self) -> int:
        self.place += 1
        return self._data[self.place - 1]

    def _bytes(self, count: int) -> bytes:
        self._require(count)
        self.place += count
        return self._data[self.place - count : self.place]

    def _require(self, count: int) -> None:
        if count > len(self._data) - self.place:
            raise ValueError("its footer ends within a value")

    def _unsigned(self) -> int:
        value = 0
        for position in range(_MOST_BYTES):
            byte = self._byte()
            value |= (byte & 127) << 7 * position
            if byte < 128:
                return value
        raise ValueError(f"its footer has an integer of more than {_MOST_BYTES} bytes")

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)


def _write_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.fields.items()):
        written = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        if 0 < number - before <= 15:
            out.append((number - before) << 4 | written)
        else:
            out.append(written)
            _write_integer(out, number)
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
        before = number
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_integer(out, value)
    elif kind == BINARY:
        _write_unsigned(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        _write_elements(out, value.kind, value.values)
    elif kind == MAP:
        _write_unsigned(out, len(value.pairs))
        if value.pairs:
            out.append(value.key_kind << 4 | value.value_kind)
        for key, element in value.pairs:
            _write_value(out, value.key_kind, key)
            _write_value(out, value.value_kind, element)
    elif kind in (DOUBLE, _UUID):
        out += value
    else:
        out.append(value)


def _write_elements(out: bytearray, kind: int, values: Sequence[Any]) -> None:
    if len(values) < 15:
        out.append(len(values) << 4 | kind)
    else:
        out.append(15 << 4 | kind)
        _write_unsigned(out, len(values))
    for value in values:
        _write_value(out, kind, value)


def _write_unsigned(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_unsigned(out, (value << 1) ^ (value >> 63))
