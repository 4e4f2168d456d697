"""The record of each element of an index. Chroma stores this as a pickle, which is parsed here without pickle.

A pickle is a program, and loading it can run any code. This parser knows only the instructions for a dictionary of
texts and numbers, none of which calls anything, and rejects a file with other instructions.

Of the ids of a large index only hashes are kept, see `stores.ids`.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.ids import IdTable, Numbers

_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<i")
_PROTOCOL_3 = b"\x80\x03"

# Dictionaries in a file: its tables, and the one that holds them. A file of millions of empty ones would take a hundred
# times its size in memory.
_MOST_DICTIONARIES = 4

# To ask for the ids of all labels.
ALL = range(2**31)

# Labels of the last file that was read are kept if there are not more, 16 bytes for each: the same file is read several
# times during a migration, in the database and in its copy.
_MOST_KEPT = 2**20

_EXPECTED = {"dimensionality", "total_elements_added", "max_seq_id", "id_to_label", "label_to_id", "id_to_seq_id"}


@dataclass(frozen=True)
class Labels:
    """The records of the elements of an index that were not deleted.

    Attributes:
        numbers: the labels, ascending, int64 `(n,)`.
        hashes: of their ids, see `stores.ids.hashed`, int64 `(n,)`.
        ids: the ids of the labels that were asked for.
    """

    numbers: Numbers
    hashes: Numbers
    ids: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.numbers)

    def by_id(self) -> IdTable:
        """The label of each id.

        Raises:
            ValueError: two elements have the same id.
        """
        return IdTable(self.hashes, self.numbers)

    def hashes_of(self, labels: npt.NDArray[Any]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """The hash of the id of each label `(n,)`, and which of them have one; the others were deleted."""
        if not len(self.numbers):
            return np.zeros(len(labels), np.int64), np.zeros(len(labels), bool)
        labels = labels.astype(np.int64)
        places = np.minimum(np.searchsorted(self.numbers, labels), len(self.numbers) - 1)
        return self.hashes[places], self.numbers[places] == labels


def read_labels(content: bytes, asked: Container[int] = ()) -> Labels:
    """The record of every element that was not deleted.

    Args:
        content: of the file.
        asked: labels whose ids are wanted.

    Raises:
        ValueError: not a file in the format of Chroma 1.x.
    """
    if asked:
        return _parsed(content, asked)
    sha256 = hashlib.sha256(content).digest()
    if (labels := _last_read.get(sha256)) is None:
        labels = _parsed(content, ())
        _last_read.clear()
        if len(labels) <= _MOST_KEPT:
            _last_read[sha256] = labels
    return labels


# The labels of the last file that was read, by its SHA-256.
_last_read: dict[bytes, Labels] = {}


def _parsed(content: bytes, asked: Container[int]) -> Labels:
    try:
        return _checked(_read(content, asked))
    except (IndexError, TypeError, struct.error, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"damaged: {type(error).__name__}") from None


class _Entries:
    """A dictionary in a file: of named things, or of labels and ids, of which only numbers are kept."""

    def __init__(self, asked: Container[int]) -> None:
        self.named: dict[str, Any] = {}
        self.ids: dict[int, str] = {}
        self._asked = asked
        self._labels, self._hashes = array("q"), array("q")
        self._keys: type | None = None

    def __bool__(self) -> bool:
        return bool(self.named or self._labels)

    def add(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Add entries of one kind, in order."""
        key_types, value_types = set(map(type, keys)), set(map(type, values))
        if not keys:
            return
        if key_types == {str} and value_types == {int}:
            self._add(keys, values, str)
        elif key_types == {int} and value_types == {str}:
            self._add(values, keys, int)
        elif key_types == {str} and not self._labels:
            self.named.update(zip(keys, values, strict=True))
        else:
            raise ValueError("labels are numbers and ids are texts")

    def _add(self, ids: Sequence[str], labels: Sequence[int], keys: type) -> None:
        if self.named or self._keys not in (None, keys):
            raise ValueError("labels are numbers and ids are texts")
        self._keys = keys
        self._labels.extend(labels)
        self._hashes.extend(map(hash, ids))
        if self._asked:
            self.ids.update((label, one) for label, one in zip(labels, ids, strict=True) if label in self._asked)

    def sorted(self, keys: type) -> tuple[Numbers, Numbers]:
        """Labels in ascending order and the hashes of their ids, when the keys are of this type."""
        if self.named or self._keys not in (None, keys):
            raise ValueError("labels are numbers and ids are texts")
        labels, hashes = np.array(self._labels, np.int64), np.array(self._hashes, np.int64)
        order = np.argsort(labels, kind="stable")
        return labels[order], hashes[order]


def _checked(tables: Any) -> Labels:
    """The labels in the tables of a file, if they are what Chroma writes."""
    if not isinstance(tables, _Entries) or tables.named.keys() != _EXPECTED:
        raise ValueError("other entries than expected")
    by_label, by_id = tables.named["label_to_id"], tables.named["id_to_label"]
    if tables.named["dimensionality"] is not None or tables.named["max_seq_id"] is not None:
        raise ValueError("entries that Chroma 1.x leaves empty are not")
    if tables.named["id_to_seq_id"] or not isinstance(by_label, _Entries) or not isinstance(by_id, _Entries):
        raise ValueError("entries that Chroma 1.x leaves empty are not")
    labels, hashes = by_label.sorted(int)
    again, same = by_id.sorted(str)
    if not np.array_equal(labels, again) or not np.array_equal(hashes, same) or (labels[1:] == labels[:-1]).any():
        raise ValueError("its two tables contradict each other")
    return Labels(labels, hashes, by_label.ids)


def _read(content: bytes, asked: Container[int]) -> Any:
    """Interpret the known instructions."""
    if content[:2] != _PROTOCOL_3:
        raise ValueError("another version of the format")
    stack: list[Any] = []
    marks: list[int] = []
    push, length_at, number_at = stack.append, _LENGTH.unpack_from, _NUMBER.unpack_from  # a million times each
    at, dictionaries = 2, 0
    while True:
        instruction = content[at]
        at += 1
        if instruction == 0x58:  # a text: its length, then its bytes
            (length,) = length_at(content, at)
            text = content[at + 4 : at + 4 + length]
            if len(text) < length:
                raise ValueError("it ends in a text")
            push(text.decode())
            at += 4 + length
            if content[at] == 0x4A:  # nearly always; a step less for each record
                push(number_at(content, at + 1)[0])
                at += 5
        elif instruction == 0x4A:  # a number
            push(number_at(content, at)[0])
            at += 4
        elif instruction == 0x28:  # a mark: the start of a group of values
            marks.append(len(stack))
        elif instruction == 0x75:  # the values after the mark are keys and values of the dictionary before it
            mark = marks.pop()
            table, entries = stack[mark - 1], stack[mark:]
            if type(table) is not _Entries or len(entries) % 2:
                raise ValueError("entries of nothing")
            table.add(entries[::2], entries[1::2])
            del stack[mark:]
        elif instruction == 0x7D and dictionaries < _MOST_DICTIONARIES:
            stack.append(_Entries(asked))
            dictionaries += 1
        elif instruction == 0x4E:
            stack.append(None)
        elif instruction == 0x2E:  # the end
            if len(stack) != 1 or at != len(content):
                raise ValueError("more than one thing in it")
            return stack[0]
        else:
            raise ValueError(f"instruction {instruction:#x} at byte {at - 1}")
