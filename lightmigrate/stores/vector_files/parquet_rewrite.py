"""Write a Parquet file again with other vectors; every other column is copied as it is stored. Loads pyarrow.

Nothing but the vectors is decoded: pages, encodings, statistics, indexes and filters of all other columns are copied,
and what the footer says of where they lie is moved. What is written is read back at once, and compared.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import DamagedCollectionError, VerificationError
from lightmigrate.stores.vector_files import parquet_footer as footers
from lightmigrate.stores.vector_files.blocks import read_bytes
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns, is_bytes
from lightmigrate.stores.vector_files.parquet_footer import MAGIC, Footer
from lightmigrate.stores.vector_files.parquet_pages import PageWriter
from lightmigrate.stores.vector_files.thrift import I32, I64, Struct, read_struct, write_struct
from lightmigrate.system import FlushedAhead
from lightmigrate.vectors import Vectors

# The new vectors of a block of rows, without those that are missing, float32 `(n, d)`; and which rows have one, bool.
Block = tuple[Vectors, npt.NDArray[np.bool_]]

# Bytes of other columns that are copied at once.
_COPIED = 1 << 22

_PAGE_PLACES = 1  # field of an index of pages
_BLOOM_HEADER = 256  # bytes that the header of a filter may take


def rewrite_vectors(
    source: ParquetColumns, target: Path, schema: Any, dimension: int, blocks: Callable[[int], Iterator[Block]]
) -> str:
    """Write a file like another one, with other vectors. Writes.

    Args:
        source: the file.
        target: the new file.
        schema: its Arrow schema.
        dimension: of the new vectors.
        blocks: called with the number of each row group, in order; returns the vectors of all of its rows.

    Returns:
        The SHA-256 of the new file.

    Raises:
        DamagedCollectionError: the file is stored in a way that cannot be copied.
        VerificationError: what was read back is not what was written.
    """
    with source.path.open("rb") as file:
        try:
            footer = Footer.read(file.fileno(), os.fstat(file.fileno()).st_size)
            with _Target(target) as written:
                _Rewrite(source, file.fileno(), footer, written, dimension).run(schema, blocks)
                return written.sha256()
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk
            raise DamagedCollectionError(f"{source.path} cannot be copied: {error}") from None


class _Rewrite:
    def __init__(self, source: ParquetColumns, reading: int, footer: Footer, target: _Target, dimension: int) -> None:
        self._source, self._reading, self._footer, self._target = source, reading, footer, target
        self._leaf = footer.leaf(source.vector)
        self._dimension = dimension
        self._numbers = source.number_type
        self._moved: list[tuple[Struct, int]] = []

    def run(self, schema: Any, blocks: Callable[[int], Iterator[Block]]) -> None:
        """Write the whole file."""
        self._target.write(MAGIC)
        for number, group in enumerate(self._footer.groups()):
            for place, chunk in enumerate(footers.chunks_of(group)):
                if place == self._leaf.number:
                    self._write_vectors(chunk, blocks(number), footers.rows_of(group))
                else:
                    start, size = footers.place_of(chunk)
                    by = self._target.place - start
                    self._copy(start, size)
                    footers.move(chunk, by)
                    self._moved.append((chunk, by))
            footers.sum_up(group)
        for copy in (self._copy_filter, self._copy_column_index, self._copy_offset_index):
            for chunk, by in self._moved:
                copy(chunk, by)
        self._footer.set_width(self._leaf, self._dimension * self._numbers.itemsize)
        arrow = b64encode(schema.serialize().to_pybytes())
        self._footer.set_key_values({b"ARROW:schema": arrow, **_plain(schema.metadata)})
        self._target.write(self._footer.to_bytes())

    def _write_vectors(self, chunk: Struct, blocks: Iterator[Block], expected: int) -> None:
        """Write the column of vectors of a row group, and say in its chunk where it lies."""
        metadata = chunk.struct(footers.METADATA)
        known = metadata.integers(footers.ENCODINGS)
        encoding = footers.BYTE_STREAM_SPLIT if footers.BYTE_STREAM_SPLIT in known else footers.PLAIN
        writer = PageWriter(self._leaf, metadata.integer(footers.CODEC), encoding)
        start, rows, missing, values, uncompressed = self._target.place, 0, 0, 0, 0
        for vectors, present in blocks:
            rows, missing = rows + len(present), missing + int(np.count_nonzero(~present))
            for page in writer.pages(self._stored(vectors), present):
                if not writer.is_read_back(page, self._target.write(page.header, page.body)):
                    raise VerificationError(f"{self._source.path}: the new vectors were not read back as written")
                values, uncompressed = values + page.values, uncompressed + len(page.header) + page.plain.size
        if rows != expected:
            raise VerificationError(f"{self._source.path}: {expected} rows were to be written, and {rows} were")
        metadata.put(footers.CODEC, I32, writer.codec)
        sizes = uncompressed, self._target.place - start
        footers.describe_pages(chunk, start, sizes, values, missing, encoding)

    def _stored(self, vectors: Vectors) -> npt.NDArray[Any]:
        """Vectors as the column stores them: rows of numbers, or of bytes where a row is one value."""
        numbers = vectors.astype(self._numbers, copy=False)
        kind = self._source.vector_type
        if not is_bytes(kind):
            return numbers
        rows = np.ascontiguousarray(numbers).view(np.uint8).reshape(len(vectors), -1)
        if footers.is_fixed(self._leaf):
            return rows
        lengths = np.full((len(rows), 1), rows.shape[1], "<u4").view(np.uint8)
        return np.hstack([lengths, rows])

    def _copy(self, start: int, size: int) -> None:
        """Copy bytes of the file."""
        for first in range(start, start + size, _COPIED):
            data = read_bytes(self._reading, first, min(_COPIED, start + size - first))
            self._require_same(data, self._target.write(data))

    def _require_same(self, data: bytes, read: bytes) -> None:
        if data != read:
            raise VerificationError(f"{self._source.path}: another column was not read back as it was written")

    def _copy_filter(self, chunk: Struct, _: int) -> None:
        """Copy the Bloom filter of a chunk."""
        metadata = chunk.struct(footers.METADATA)
        if not (start := metadata.integer(footers.BLOOM_FILTER, 0)):
            return
        if not (size := metadata.integer(footers.BLOOM_FILTER + 1, 0)):  # older files do not say it
            header, length = read_struct(read_bytes(self._reading, start, _BLOOM_HEADER))
            size = length + header.integer(1)
        metadata.put(footers.BLOOM_FILTER, I64, self._target.place)
        self._copy(start, size)

    def _copy_column_index(self, chunk: Struct, _: int) -> None:
        """Copy what an index says of the values of the pages of a chunk."""
        if start := chunk.integer(footers.COLUMN_INDEX, 0):
            chunk.put(footers.COLUMN_INDEX, I64, self._target.place)
            self._copy(start, chunk.integer(footers.COLUMN_INDEX + 1))

    def _copy_offset_index(self, chunk: Struct, by: int) -> None:
        """Write where the pages of a chunk lie now."""
        if not (start := chunk.integer(footers.OFFSET_INDEX, 0)):
            return
        index, _ = read_struct(read_bytes(self._reading, start, chunk.integer(footers.OFFSET_INDEX + 1)))
        for page in index.structs(_PAGE_PLACES):
            page.put(1, I64, page.integer(1) + by)
        data = write_struct(index)
        chunk.put(footers.OFFSET_INDEX, I64, self._target.place)
        chunk.put(footers.OFFSET_INDEX + 1, I32, len(data))
        self._require_same(data, self._target.write(data))


class _Target:
    """A file that is written from its beginning to its end, and read back meanwhile."""

    def __init__(self, path: Path) -> None:
        self.place = 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")
        self._reading = path.open("rb")  # a place of its own, for systems that read from where they stand
        self._flushed = FlushedAhead(self._file.fileno())

    def __enter__(self) -> _Target:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._flushed.close()
        finally:
            self._reading.close()
            self._file.close()

    def write(self, *parts: Any) -> bytes:
        """Write bytes at the end; returns them as they were read back."""
        size = sum(self._file.write(part) for part in parts)
        self._file.flush()
        data = read_bytes(self._reading.fileno(), self.place, size)
        self._digest.update(data)
        self.place += size
        self._flushed.add(size)
        return data

    def sha256(self) -> str:
        """Of what was read back so far."""
        return self._digest.hexdigest()


def _plain(metadata: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes]:
    return dict(metadata or {})
