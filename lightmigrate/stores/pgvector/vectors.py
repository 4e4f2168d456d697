"""Read and write vectors in PostgreSQL's binary format, without Python lists of numbers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from psycopg.adapt import Dumper
from psycopg.pq import Format

from lightmigrate.errors import LightmigrateError
from lightmigrate.vectors import Vectors

# pgvector's header: the dimension, and two unused bytes.
_HEADER = struct.Struct(">hh")
_LENGTH = struct.Struct(">i")

# The header of an array: how many dimensions, whether it has NULLs, the type's number, its length, its first index.
_ARRAY = struct.Struct(">iiIii")

_COPY_BEGIN = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)


def read_vectors(sent: Sequence[bytes], kind: str = "vector") -> Vectors:
    """Decode vectors in PostgreSQL's binary format, float32 `(n, d)`; `(0, 0)` for no vectors.

    Args:
        sent: the values.
        kind: their type, `vector` (float32) or `halfvec` (float16).

    Raises:
        LightmigrateError: the vectors have different dimensions.
    """
    if not sent:
        return np.zeros((0, 0), np.float32)
    number = np.dtype(">f2" if kind == "halfvec" else ">f4")
    sizes = {len(vector) for vector in sent}
    if len(sizes) > 1:
        dimensions = sorted((size - _HEADER.size) // number.itemsize for size in sizes)
        raise LightmigrateError(f"the column holds vectors of {dimensions[0]} and of {dimensions[-1]} numbers")
    rows = np.frombuffer(b"".join(sent), np.uint8).reshape(len(sent), sizes.pop())
    numbers = np.ascontiguousarray(rows[:, _HEADER.size :]).view(number)
    return np.ascontiguousarray(numbers, np.float32)


def as_stored(vectors: Vectors, kind: str) -> Vectors:
    """Vectors as they are read back after they were written to a column of this type."""
    if kind != "halfvec":
        return vectors
    with np.errstate(over="ignore"):  # PostgreSQL refuses what is too large for float16
        return np.ascontiguousarray(vectors.astype(np.float16), np.float32)


def used_numbers(vectors: Vectors) -> int:
    """How many numbers of some vectors `(n, d)` are not zeros at the end of all of them; at least 1."""
    return int(np.max(np.flatnonzero((vectors != 0).any(axis=0)), initial=0)) + 1


def without_padding(vectors: Vectors, used: int) -> Vectors:
    """Vectors `(n, d)` without the zeros at their end, `(n, used)`.

    Raises:
        LightmigrateError: there are other numbers: these are vectors of several models.
    """
    if vectors.shape[1] > used and vectors[:, used:].any():
        raise LightmigrateError(
            f"the column holds vectors of {used} and of {used_numbers(vectors)} numbers, filled up with zeros: they "
            "are of several models"
        )
    return np.ascontiguousarray(vectors[:, :used])


def padded(vectors: Vectors, width: int) -> Vectors:
    """Vectors `(n, d)`, filled up with zeros to `(n, width)`."""
    missing = width - vectors.shape[1]
    return vectors if missing <= 0 else np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, missing))))


class BinaryVectors(bytes):
    """Vectors as a parameter of a query, in PostgreSQL's binary format; the query has to say the type, `vector[]`."""


class BinaryVectorsDumper(Dumper):
    """Sends `BinaryVectors` as they are, without a type."""

    format = Format.BINARY

    def dump(self, obj: BinaryVectors) -> bytes:
        """The bytes that are sent."""
        return obj


def as_array(vectors: Vectors, type_number: int) -> BinaryVectors:
    """Vectors `(n, d)` as an array of the type `vector`, which has this number in the database; exact."""
    begin = _LENGTH.pack(_HEADER.size + 4 * vectors.shape[1]) + _HEADER.pack(vectors.shape[1], 0)
    values = b"".join(begin + numbers.tobytes() for numbers in vectors.astype(">f4"))
    return BinaryVectors(_ARRAY.pack(1, 0, type_number, len(vectors), 1) + values)


def copy_rows(columns: Sequence[Sequence[str | None]], vectors: Vectors) -> Iterator[bytes]:
    """Rows for `COPY ... (FORMAT BINARY)`: text columns, then a vector `(n, d)`."""
    yield _COPY_BEGIN
    count = struct.pack(">h", len(columns) + 1)
    size = _LENGTH.pack(_HEADER.size + 4 * vectors.shape[1]) + _HEADER.pack(vectors.shape[1], 0)
    for row, numbers in enumerate(vectors.astype(">f4")):
        yield b"".join((count, *(_field(column[row]) for column in columns), size, numbers.tobytes()))
    yield _COPY_END


def _field(text: str | None) -> bytes:
    if text is None:
        return _LENGTH.pack(-1)
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded
