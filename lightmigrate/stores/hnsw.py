"""The files of a vector index, as hnswlib keeps them below Chroma: a graph whose vectors can be exchanged.

`data_level0.bin` holds an element after another: its neighbours on the lowest level, its vector, its label. The length
of a vector stands nowhere but in the size of an element, and the graph does not know what the vectors mean.
`link_lists.bin` holds the higher levels, `length.bin` the lengths of vectors that are kept normalised.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.chroma_labels import read_labels

# Version, offset of the first element, room, elements, size of an element, where its label and its vector begin.
_HEADER = struct.Struct("<i6Q")

# The rest of the header: highest level, where searches begin, neighbours above and on the lowest level, M, a factor,
# ef of construction. None of it depends on the vectors.
_GRAPH = struct.Struct("<iI3QdQ")

_LABEL_BYTES = 8
_NUMBER_BYTES = 4
_LINK_BYTES = 4

# No vector is shorter: Chroma's own guard against a division by zero.
_SHORTEST = np.float32(1e-30)


class HnswHeader(NamedTuple):
    """The numbers at the start of an index's `header.bin`, as they stand there.

    Attributes:
        version: of the format.
        start: bytes before the first element.
        room: elements the index has made room for.
        elements: how many there are, deleted ones included.
        size: bytes of an element.
        label_at: where in an element its label begins.
        vector_at: where its vector does.
    """

    version: int
    start: int
    room: int
    elements: int
    size: int
    label_at: int
    vector_at: int

    @classmethod
    def parse(cls, content: bytes) -> HnswHeader:
        """Take a header apart.

        Raises:
            ValueError: it is too short, of another version, or contradicts itself.
        """
        if len(content) < _HEADER.size:
            raise ValueError("a header that is too short")
        header = cls(*_HEADER.unpack_from(content))
        consistent = (
            header.version == 1
            and header.start == 0
            and header.elements <= header.room
            and header.label_at == header.vector_at + _NUMBER_BYTES * header.dimension
            and header.size == header.label_at + _LABEL_BYTES
        )
        if not consistent:
            raise ValueError("a header of another version")
        return header

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        return (self.label_at - self.vector_at) // _NUMBER_BYTES


@dataclass(frozen=True)
class HnswFiles:
    """An index on the disk. Nothing of it is in memory.

    Attributes:
        folder: where its files lie.
        dimension: numbers of a vector.
        elements: how many, deleted ones included.
        size: bytes of an element.
        room: for so many elements the index has made room.
        vector_at: where in an element its vector begins; before it are its neighbours, behind it its label.
    """

    folder: Path
    dimension: int
    elements: int
    size: int
    room: int
    vector_at: int

    @classmethod
    def open(cls, folder: Path) -> HnswFiles:
        """Look at an index; only reads.

        Raises:
            ValueError, OSError: not such files, or not of the lengths that their header says.
        """
        content = (folder / "header.bin").read_bytes()
        if len(content) != _HEADER.size + _GRAPH.size:
            raise ValueError("a header of another length")
        header = HnswHeader.parse(content)
        lowest = _GRAPH.unpack_from(content, _HEADER.size)[3]
        consistent = (
            header.vector_at == _LINK_BYTES * (lowest + 1)
            and (folder / "data_level0.bin").stat().st_size == header.elements * header.size
            and (folder / "length.bin").stat().st_size == header.elements * _NUMBER_BYTES
            and (folder / "link_lists.bin").is_file()
        )
        if not consistent:
            raise ValueError("a header that does not describe its files")
        return cls(folder, header.dimension, header.elements, header.size, header.room, header.vector_at)

    def labels(self) -> dict[int, str]:
        """The id of every element that was not deleted, by its label; only reads.

        Raises:
            ValueError, OSError: see `read_labels`.
        """
        return read_labels((self.folder / "index_metadata.pickle").read_bytes())

    def with_vectors(
        self,
        folder: Path,
        dimension: int,
        exchanged: Callable[[npt.NDArray[np.uint64], Vectors], Vectors],
        *,
        normalised: bool,
        at_once: int,
    ) -> None:
        """Write the same graph with other vectors into a new folder; on return it is on the disk.

        Args:
            folder: is made.
            dimension: numbers of a new vector.
            exchanged: gives the new vectors `(n, dimension)` for labels `(n,)` and old vectors `(n, d)`.
            normalised: whether vectors are kept normalised, with their lengths in a file of their own.
            at_once: elements held in memory at once.
        """
        folder.mkdir()
        label_at = self.vector_at + _NUMBER_BYTES * dimension
        with (
            (self.folder / "data_level0.bin").open("rb") as elements,
            (self.folder / "length.bin").open("rb") as lengths,
            (folder / "data_level0.bin").open("wb") as new_elements,
            (folder / "length.bin").open("wb") as new_lengths,
        ):
            for start in range(0, self.elements, at_once):
                count = min(at_once, self.elements - start)
                old = np.fromfile(elements, np.uint8, count * self.size).reshape(count, self.size)
                length = np.fromfile(lengths, "<f4", count)
                vectors = old[:, self.vector_at : -_LABEL_BYTES].copy().view("<f4").astype(np.float32, copy=False)
                if normalised:
                    vectors *= length[:, None]
                vectors = exchanged(old[:, -_LABEL_BYTES:].copy().view("<u8")[:, 0], vectors)
                if normalised:
                    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
                    vectors = vectors / np.maximum(length, _SHORTEST)[:, None]
                new = np.empty((count, label_at + _LABEL_BYTES), np.uint8)
                new[:, : self.vector_at] = old[:, : self.vector_at]
                new[:, self.vector_at : label_at] = np.ascontiguousarray(vectors, "<f4").view(np.uint8)
                new[:, label_at:] = old[:, -_LABEL_BYTES:]
                new_elements.write(new.data)
                new_lengths.write(length.astype("<f4", copy=False).data)
            for file in (new_elements, new_lengths):
                file.flush()
                os.fsync(file.fileno())
        header = (self.folder / "header.bin").read_bytes()
        described = _HEADER.pack(
            *HnswHeader(1, 0, self.room, self.elements, label_at + _LABEL_BYTES, label_at, self.vector_at)
        )
        _write(folder / "header.bin", described + header[_HEADER.size :])
        for name in ("link_lists.bin", "index_metadata.pickle"):
            _write(folder / name, (self.folder / name).read_bytes())


def _write(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
