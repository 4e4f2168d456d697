"""Rows of numbers in a file, read from their places: mapped, a file that its writer cuts short ends this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lightmigrate.objects.folder import ObjectFile
from lightmigrate.system import read_at

# What is read from its places: the descriptor of an open file, or an open object.
Places: TypeAlias = int | ObjectFile


def places_in(file: IO[bytes]) -> Places:
    """An open file as it is read from its places."""
    return file if isinstance(file, ObjectFile) else file.fileno()


def read_rows(places: Places, offset: int, rows: Sequence[int], width: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Some rows of a file that holds one after another, in the order given: `(n, width)`; only reads.

    Args:
        places: the file.
        offset: bytes before the first row.
        rows: row numbers.
        width: numbers in a row.
        dtype: of a number.

    Raises:
        OSError: the file ends before a row does.
    """
    result = np.empty((len(rows), width), dtype)
    size = width * dtype.itemsize
    if not size:
        return result
    for place, first, count in runs(rows):
        block = read_bytes(places, offset + first * size, count * size)
        result[place : place + count] = np.frombuffer(block, dtype).reshape(count, width)
    return result


def read_bytes(places: Places, start: int, size: int) -> bytes:
    """Bytes from a place in an open file; only reads.

    Raises:
        OSError: the file ends before.
    """
    parts: list[bytes] = []
    while size:
        part = read_at(places, size, start) if isinstance(places, int) else places.read_range(start, size)
        if not part:
            raise OSError(f"the file ends {size} bytes too early")
        parts.append(part)
        start, size = start + len(part), size - len(part)
    return b"".join(parts)


def runs(rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Stretches of rows that follow each other: place in the result, first row, number of rows."""
    place = 0
    while place < len(rows):
        count = 1
        while place + count < len(rows) and rows[place + count] == rows[place] + count:
            count += 1
        yield place, rows[place], count
        place += count
