"""The pages of a column of vectors: levels, numbers and a header, as the Parquet format has them. Loads pyarrow.

A library that writes any column works out for every number whether it begins a list. Of vectors that is known: all are
as long. `parquet_rewrite` puts the pages into a file.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lightmigrate.stores.vector_files.parquet_footer import BYTE_STREAM_SPLIT, RLE, Leaf
from lightmigrate.stores.vector_files.thrift import I32, STRUCT, Struct, read_struct, write_struct

# Codecs by their numbers in the format. Of LZ4 there are two: the older one is written as the newer.
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4_raw", 6: "zstd", 7: "lz4_raw"}
_OLD_LZ4, _LZ4 = 5, 7

# Bytes of a page before it is compressed.
_PAGE_BYTES = 1 << 20

_DATA_PAGE_HEADER, _UNCOMPRESSED, _COMPRESSED = 5, 2, 3  # fields of the header


@dataclass(frozen=True)
class Page:
    """A page of a column.

    Attributes:
        header: its header.
        body: its content, compressed.
        plain: its content.
        values: how many, with those that are missing.
    """

    header: bytes
    body: Any
    plain: Any
    values: int


class PageWriter:
    """Makes pages of vectors.

    Args:
        leaf: the stored column.
        codec: number of its compression.
        encoding: `PLAIN` or `BYTE_STREAM_SPLIT`.

    Attributes:
        codec: number of the compression that is used.

    Raises:
        ValueError: nobody here can compress so.
    """

    def __init__(self, leaf: Leaf, codec: int, encoding: int) -> None:
        if codec not in _CODECS or leaf.repetition > 1:
            raise ValueError("its vectors are compressed or nested in a way that is not known")
        name = _CODECS[codec]
        self.codec, self.encoding = _LZ4 if codec == _OLD_LZ4 else codec, encoding
        self._leaf, self._codec = leaf, None if name is None else pa.Codec(name)
        self._buffer = np.empty(0, np.uint8)

    def pages(self, vectors: npt.NDArray[Any], present: npt.NDArray[np.bool_]) -> Iterator[Page]:
        """The pages of some rows; each lasts until the next one.

        Args:
            vectors: `(n, d)`, of the type of the column: rows of numbers, or of bytes `(n, d)` where a row is one
                value.
            present: which of the rows have one, bool; n of them.
        """
        rows = len(present)
        if not rows:
            return
        pages = max(1, -(-vectors.nbytes // _PAGE_BYTES))
        size = -(-rows // pages)
        taken = 0
        for start in range(0, rows, size):
            here = present[start : start + size]
            count = int(np.count_nonzero(here))
            yield self._page(vectors[taken : taken + count], here)
            taken += count

    def _page(self, vectors: npt.NDArray[Any], present: npt.NDArray[np.bool_]) -> Page:
        count, width = vectors.shape
        if not self._leaf.repetition:
            values, per_row = len(present), 1
        else:
            values, per_row = count * width + len(present) - count, width
        levels = _levels(self._leaf.repetition, self._leaf.definition, per_row, _stretches(present))
        size = len(levels) + vectors.nbytes
        if len(self._buffer) < size:
            self._buffer = np.empty(size, np.uint8)
        plain = self._buffer[:size]
        plain[: len(levels)] = np.frombuffer(levels, np.uint8)
        if self.encoding == BYTE_STREAM_SPLIT:
            size_of_value = vectors.dtype.itemsize if self._leaf.repetition else width  # a row of bytes is one
            split = np.ascontiguousarray(vectors).view(np.uint8).reshape(-1, size_of_value).T
            plain[len(levels) :] = split.reshape(-1)
        else:
            plain[len(levels) :] = np.ascontiguousarray(vectors).view(np.uint8).reshape(-1)
        whole = pa.py_buffer(plain)
        body = whole if self._codec is None else self._codec.compress(whole)
        return Page(_header(values, whole.size, body.size, self.encoding), body, whole, values)

    def is_read_back(self, page: Page, data: bytes) -> bool:
        """Whether a page that was read from a file is what it was made from, to the bit."""
        try:
            header, place = read_struct(data)
            body = pa.py_buffer(data)[place:]
            if (header.integer(_COMPRESSED), header.integer(_UNCOMPRESSED)) != (body.size, page.plain.size):
                return False
            if self._codec is not None:
                body = self._codec.decompress(body, page.plain.size)
        except (pa.ArrowException, OSError, ValueError):
            return False
        return bool(body.equals(page.plain))


def _header(values: int, uncompressed: int, compressed: int, encoding: int) -> bytes:
    data, header = Struct(), Struct()
    for number, value in enumerate((values, encoding, RLE, RLE), start=1):
        data.put(number, I32, value)
    for number, value in enumerate((0, uncompressed, compressed), start=1):
        header.put(number, I32, value)
    header.put(_DATA_PAGE_HEADER, STRUCT, data)
    return write_struct(header)


def _stretches(present: npt.NDArray[np.bool_]) -> tuple[tuple[bool, int], ...]:
    """Stretches of rows that all have a vector or all have none, with their lengths."""
    edges = np.flatnonzero(np.diff(present)) + 1
    starts = [0, *edges.tolist(), len(present)]
    return tuple((bool(present[first]), last - first) for first, last in itertools.pairwise(starts))


@functools.lru_cache(maxsize=64)
def _levels(repetition: int, definition: int, width: int, stretches: tuple[tuple[bool, int], ...]) -> bytes:
    """Which numbers begin a row, and which rows have some: two lists of runs, each with its length before it."""
    parts = []
    if repetition:
        begin, go_on = _run(1, 0), _run(width - 1, 1)
        parts.append(b"".join((begin + go_on if there else begin) * rows for there, rows in stretches))
    if definition:
        runs = (_run(rows * width, definition) if there else _run(rows, 0) for there, rows in stretches)
        parts.append(b"".join(runs))
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def _run(count: int, level: int) -> bytes:
    """The same level several times over; nothing for none."""
    if not count:
        return b""
    out, head = bytearray(), count << 1
    while head > 127:
        out.append(head & 127 | 128)
        head >>= 7
    out.append(head)
    out.append(level)
    return bytes(out)
