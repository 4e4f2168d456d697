"""The footer of a Parquet file as it is stored, to be changed and written again without losing a field.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift has the numbers of the fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lightmigrate.stores.vector_files.blocks import read_bytes
from lightmigrate.stores.vector_files.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    List,
    Struct,
    read_struct,
    write_struct,
)

MAGIC = b"PAR1"

# Fields of the structures; a name is used for the same field everywhere.
_SCHEMA, _ROW_GROUPS, _KEY_VALUES = 2, 4, 5  # of the file
_ENCRYPTION = 8
_TYPE_LENGTH, _REPETITION, _NAME, _CHILDREN = 2, 3, 4, 5  # of an element of the schema
_CHUNKS, _GROUP_BYTES, _GROUP_ROWS, _GROUP_OFFSET, _GROUP_COMPRESSED = 1, 2, 3, 5, 6  # of a row group
_OTHER_FILE, _CHUNK_OFFSET, METADATA, OFFSET_INDEX, COLUMN_INDEX, _ENCRYPTED = 1, 2, 3, 4, 6, 8  # of a column chunk
ENCODINGS, CODEC, _VALUES, UNCOMPRESSED, COMPRESSED = 2, 4, 5, 6, 7  # of its metadata
DATA_PAGE, _INDEX_PAGE, DICTIONARY_PAGE, _STATISTICS, BLOOM_FILTER = 9, 10, 11, 12, 14
_OF_PAGES = (_INDEX_PAGE, DICTIONARY_PAGE, 13, BLOOM_FILTER, 15, 16)  # what is only true of the pages that there were
_PAGE_OFFSETS = (DATA_PAGE, _INDEX_PAGE, DICTIONARY_PAGE)

_REQUIRED, _REPEATED = 0, 2

# How deep columns may lie in each other.
_DEEPEST = 100

# Encodings by their numbers.
PLAIN, RLE, BYTE_STREAM_SPLIT = 0, 3, 9


@dataclass(frozen=True)
class Leaf:
    """A column as it is stored: one of numbers or bytes.

    Attributes:
        number: of its chunk in each row group.
        element: what the schema says of it.
        definition: the level at which a value is there.
        repetition: 1 for the elements of lists, 0 for a value per row.
    """

    number: int
    element: Struct
    definition: int
    repetition: int


class Footer:
    """A footer that was read, to be changed and written again.

    Attributes:
        fields: of the file.
    """

    def __init__(self, fields: Struct) -> None:
        self.fields = fields

    @classmethod
    def read(cls, descriptor: int, size: int) -> Footer:
        """The footer of an open file of so many bytes. Only reads.

        Raises:
            ValueError: it is damaged, or the file is encrypted.
        """
        if size < 2 * len(MAGIC) + 4:
            raise ValueError("it is too short for a footer")
        length, magic = struct.unpack("<I4s", read_bytes(descriptor, size - 8, 8))
        if magic != MAGIC or length > size - 12:
            raise ValueError("it does not end with a footer that can be read; encrypted files cannot")
        fields, _ = read_struct(read_bytes(descriptor, size - 8 - length, length))
        if _ENCRYPTION in fields:
            raise ValueError("it is encrypted")
        return cls(fields)

    def to_bytes(self) -> bytes:
        """The end of a file: the footer, its length and the magic number."""
        data = write_struct(self.fields)
        return data + struct.pack("<I", len(data)) + MAGIC

    def groups(self) -> list[Struct]:
        """The row groups."""
        return self.fields.structs(_ROW_GROUPS)

    def leaf(self, column: str) -> Leaf:
        """The stored column of a top-level column that has only one.

        Raises:
            ValueError: it has several, or there is none.
        """
        leaves = [leaf for top, leaf in self._leaves() if top == column.encode()]
        if len(leaves) != 1:
            raise ValueError(f"its column {column} is stored as {len(leaves)} columns")
        return leaves[0]

    def _leaves(self) -> Iterator[tuple[bytes, Leaf]]:
        """The stored columns, each with the name of its top-level column."""
        elements = iter(self.fields.structs(_SCHEMA))
        number = 0

        def below(top: bytes, definition: int, repetition: int, depth: int) -> Iterator[tuple[bytes, Leaf]]:
            nonlocal number
            if (element := next(elements, None)) is None or depth > _DEEPEST:
                raise ValueError("its schema ends within a column")
            kind = element.integer(_REPETITION, _REQUIRED)
            definition, repetition = definition + (kind != _REQUIRED), repetition + (kind == _REPEATED)
            if children := element.integer(_CHILDREN, 0):
                for _ in range(children):
                    yield from below(top or element.blob(_NAME), definition, repetition, depth + 1)
            else:
                yield top or element.blob(_NAME), Leaf(number, element, definition, repetition)
                number += 1

        root = next(elements, Struct())
        for _ in range(root.integer(_CHILDREN, 0)):
            yield from below(b"", 0, 0, 0)

    def set_width(self, leaf: Leaf, width: int) -> None:
        """Change how many bytes a value of a column has, where that is fixed and the column holds no numbers."""
        if not leaf.repetition and is_fixed(leaf):
            leaf.element.put(_TYPE_LENGTH, I32, width)

    def set_key_values(self, values: Mapping[bytes, bytes]) -> None:
        """Replace the values of keys that it has."""
        for pair in self.fields.structs(_KEY_VALUES) if _KEY_VALUES in self.fields else []:
            if pair.blob(1) in values:
                pair.put(2, BINARY, values[pair.blob(1)])


def is_fixed(leaf: Leaf) -> bool:
    """Whether a column holds values of a fixed number of bytes."""
    return _TYPE_LENGTH in leaf.element


def chunks_of(group: Struct) -> list[Struct]:
    """The column chunks of a row group, in the order of the leaves.

    Raises:
        ValueError: one is in another file, or encrypted.
    """
    chunks = group.structs(_CHUNKS)
    for chunk in chunks:
        if _OTHER_FILE in chunk or _ENCRYPTED in chunk:
            raise ValueError("it has columns that are encrypted or in other files")
    return chunks


def rows_of(group: Struct) -> int:
    """How many rows a row group has."""
    return group.integer(_GROUP_ROWS)


def place_of(chunk: Struct) -> tuple[int, int]:
    """Where a column chunk begins in the file, and its bytes."""
    metadata = chunk.struct(METADATA)
    offsets = [metadata.integer(field, 0) for field in (DATA_PAGE, DICTIONARY_PAGE)]  # 0 where there is none
    return min(filter(None, offsets), default=0), metadata.integer(COMPRESSED)


def move(chunk: Struct, by: int) -> None:
    """Change where a column chunk says that it begins."""
    metadata = chunk.struct(METADATA)
    for field in _PAGE_OFFSETS:
        if offset := metadata.integer(field, 0):
            metadata.put(field, I64, offset + by)
    if offset := chunk.integer(_CHUNK_OFFSET, 0):
        chunk.put(_CHUNK_OFFSET, I64, offset + by)


def describe_pages(chunk: Struct, start: int, sizes: tuple[int, int], values: int, missing: int, encoding: int) -> None:
    """Change a column chunk to one of plain pages without a dictionary, an index or a filter.

    Args:
        chunk: the chunk.
        start: where its first page begins.
        sizes: its bytes, uncompressed and compressed, with headers.
        values: how many, with those that are missing.
        missing: how many rows have none.
        encoding: of the pages.
    """
    metadata = chunk.struct(METADATA)
    metadata.drop(*_OF_PAGES)
    chunk.drop(OFFSET_INDEX, OFFSET_INDEX + 1, COLUMN_INDEX, COLUMN_INDEX + 1)
    metadata.put(ENCODINGS, LIST, List(I32, [encoding, RLE]))
    metadata.put(_VALUES, I64, values)
    metadata.put(UNCOMPRESSED, I64, sizes[0])
    metadata.put(COMPRESSED, I64, sizes[1])
    metadata.put(DATA_PAGE, I64, start)
    statistics = Struct()  # the least and the greatest number of all vectors help nobody
    statistics.put(3, I64, missing)
    metadata.put(_STATISTICS, STRUCT, statistics)
    chunk.put(_CHUNK_OFFSET, I64, 0)


def sum_up(group: Struct) -> None:
    """Bring what a row group says of its chunks in line with them."""
    chunks = chunks_of(group)
    group.put(_GROUP_BYTES, I64, sum(chunk.struct(METADATA).integer(UNCOMPRESSED) for chunk in chunks))
    if _GROUP_OFFSET in group:
        group.put(_GROUP_OFFSET, I64, min(place_of(chunk)[0] for chunk in chunks))
    if _GROUP_COMPRESSED in group:
        group.put(_GROUP_COMPRESSED, I64, sum(place_of(chunk)[1] for chunk in chunks))
