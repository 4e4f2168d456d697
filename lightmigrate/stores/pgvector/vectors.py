"""Read and write vectors in PostgreSQL's binary format, without Python lists of numbers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.vectors import Vectors

# pgvector's header: the dimension, and two unused bytes.
_HEADER = struct.Struct(">hh")
_LENGTH = struct.Struct(">i")

_COPY_BEGIN = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)


def read_vectors(sent: Sequence[bytes]) -> Vectors:
    """Decode vectors in PostgreSQL's binary format, float32 `(n, d)`; `(0, 0)` for no vectors.

    Raises:
        LightmigrateError: the vectors have different dimensions.
    """
    if not sent:
        return np.zeros((0, 0), np.float32)
    sizes = {len(vector) for vector in sent}
    if len(sizes) > 1:
        dimensions = sorted((size - _HEADER.size) // 4 for size in sizes)
        raise LightmigrateError(f"the column holds vectors of {dimensions[0]} and of {dimensions[-1]} numbers")
    rows = np.frombuffer(b"".join(sent), np.uint8).reshape(len(sent), sizes.pop())
    numbers = np.ascontiguousarray(rows[:, _HEADER.size :]).view(">f4")
    return np.ascontiguousarray(numbers, np.float32)


def as_literal(vector: Vectors) -> str:
    """One vector `(d,)` as pgvector's text; exact."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


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
