"""The record of each element of an index. Chroma stores this as a pickle, which is parsed here without pickle.

A pickle is a program, and loading it can run any code. This parser knows only the instructions for a dictionary of
texts and numbers, none of which calls anything, and rejects a file with other instructions.
"""

from __future__ import annotations

import struct
from typing import Any

_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<i")
_PROTOCOL_3 = b"\x80\x03"

# Dictionaries in a file: its tables, and the one that holds them. A file of millions of empty ones would take a hundred
# times its size in memory.
_MOST_DICTIONARIES = 4

_EXPECTED = {"dimensionality", "total_elements_added", "max_seq_id", "id_to_label", "label_to_id", "id_to_seq_id"}


def read_labels(content: bytes) -> dict[int, str]:
    """The id of every element that was not deleted, by its label.

    Raises:
        ValueError: not a file in the format of Chroma 1.x.
    """
    try:
        tables = _read(content)
        return _checked(tables)
    except (IndexError, TypeError, struct.error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"damaged: {type(error).__name__}") from None


def _checked(tables: Any) -> dict[int, str]:
    """The labels in the tables of a file, if they are what Chroma writes."""
    if not isinstance(tables, dict) or tables.keys() != _EXPECTED:
        raise ValueError("other entries than expected")
    labels, ids = tables["label_to_id"], tables["id_to_label"]
    if tables["dimensionality"] is not None or tables["max_seq_id"] is not None or tables["id_to_seq_id"]:
        raise ValueError("entries that Chroma 1.x leaves empty are not")
    if not isinstance(labels, dict) or {record: label for label, record in labels.items()} != ids:
        raise ValueError("its two tables contradict each other")
    if not all(type(label) is int and type(record) is str for label, record in labels.items()):
        raise ValueError("labels are numbers and ids are texts")
    return labels


def _read(content: bytes) -> Any:
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
            if type(table) is not dict or len(entries) % 2:
                raise ValueError("entries of nothing")
            table.update(zip(entries[::2], entries[1::2], strict=True))
            del stack[mark:]
        elif instruction == 0x7D and dictionaries < _MOST_DICTIONARIES:
            stack.append({})
            dictionaries += 1
        elif instruction == 0x4E:
            stack.append(None)
        elif instruction == 0x2E:  # the end
            if len(stack) != 1 or at != len(content):
                raise ValueError("more than one thing in it")
            return stack[0]
        else:
            raise ValueError(f"instruction {instruction:#x} at byte {at - 1}")
