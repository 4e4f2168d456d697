"""The files of a vector index, as Chroma stores them with hnswlib: a graph whose vectors can be replaced.

`data_level0.bin` holds the elements, each with its neighbours on the lowest level, its vector and its label. Only the
size of an element depends on the dimension, and the graph does not depend on the vectors.
`link_lists.bin` holds the higher levels, `length.bin` the norms of vectors that are stored normalised.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.chroma.labels import Labels, read_labels
from lightmigrate.system import sync
from lightmigrate.vectors import Vectors

# Version, offset of the first element, capacity, elements, size of an element, offsets of its label and its vector.
_HEADER = struct.Struct("<i6Q")

# The rest of the header: highest level, entry point, neighbours on higher and on the lowest level, M, a factor, ef of
# construction. None of it depends on the vectors.
_GRAPH = struct.Struct("<iI3QdQ")

# Before the links of an element on the higher levels: their bytes; before those of one level: their number.
_LINKS = struct.Struct("<I")

# A graph of as many elements as there can be has not half as many levels.
_MOST_LEVELS = 64

_LABEL_BYTES = 8

# Elements that lie farther apart are read one by one, and not with all that lie between them.
_NEAR = 8

# Elements whose labels are read at once.
_AT_ONCE = 2000

_NUMBER_BYTES = 4
_LINK_BYTES = 4

# Smallest norm to divide by, as in Chroma.
_SHORTEST = np.float32(1e-30)


class HnswHeader(NamedTuple):
    """The numbers at the start of an index's `header.bin`.

    Attributes:
        version: of the format.
        start: bytes before the first element.
        room: number of elements that the index has allocated.
        elements: number of elements, deleted ones included.
        size: bytes of an element.
        label_at: offset of the label in an element.
        vector_at: offset of the vector in an element.
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
        """Parse a header.

        Raises:
            ValueError: the header is too short, of another version, or inconsistent.
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
        """Length of a vector."""
        return (self.label_at - self.vector_at) // _NUMBER_BYTES


@dataclass(frozen=True)
class HnswFiles:
    """An index on disk. Its content is not loaded.

    Attributes:
        folder: the folder of its files.
        dimension: length of a vector.
        elements: number of elements, deleted ones included.
        size: bytes of an element.
        room: number of elements that the index has allocated.
        vector_at: offset of the vector in an element; the neighbours come before it, the label after it.
        levels: number of levels above the lowest.
        entry: the element at which a search enters the graph.
        links: largest number of links of an element on a higher level.
    """

    folder: Path
    dimension: int
    elements: int
    size: int
    room: int
    vector_at: int
    levels: int
    entry: int
    links: int

    @classmethod
    def open(cls, folder: Path) -> HnswFiles:
        """Read and check the header of an index; only reads.

        Raises:
            ValueError, OSError: the files are missing, of another format, or do not have the sizes in their header.
        """
        content = (folder / "header.bin").read_bytes()
        if len(content) != _HEADER.size + _GRAPH.size:
            raise ValueError("a header of another length")
        header = HnswHeader.parse(content)
        levels, entry, links, lowest = _GRAPH.unpack_from(content, _HEADER.size)[:4]
        sizes = (folder / "data_level0.bin").stat().st_size, (folder / "length.bin").stat().st_size
        consistent = (
            header.vector_at == _LINK_BYTES * (lowest + 1)
            # an index that Chroma has written more than once has its room in the files, too
            and sizes in ((count * header.size, count * _NUMBER_BYTES) for count in (header.elements, header.room))
            and (folder / "link_lists.bin").is_file()
            and levels <= _MOST_LEVELS
        )
        if not consistent:
            raise ValueError("a header that does not describe its files")
        return cls(
            folder, header.dimension, header.elements, header.size, header.room, header.vector_at,
            max(0, levels), entry, links,
        )  # fmt: skip

    def labels(self, asked: Container[int] = ()) -> Labels:
        """The record of every element that was not deleted, with the ids of some labels; only reads.

        Raises:
            ValueError, OSError: see `read_labels`.
        """
        return read_labels((self.folder / "index_metadata.pickle").read_bytes(), asked)

    def links_of(self, elements: npt.NDArray[np.intp]) -> npt.NDArray[np.uint32]:
        """How many links some elements have on the lowest level, and the links, uint32 `(n, 1 + 2M)`; only reads."""
        return np.ascontiguousarray(self._mapped()[elements, : self.vector_at]).view("<u4")

    def _mapped(self) -> npt.NDArray[np.uint8]:
        """The bytes of every element, uint8 `(elements, size)`, mapped from the file anew.

        What was read through one map counts as memory of this process as long as that is there.
        """
        if not self.elements:
            return np.zeros((0, self.size), np.uint8)
        with (self.folder / "data_level0.bin").open("rb") as stream:  # given a path, NumPy resolves it
            return np.memmap(stream, np.uint8, "r", shape=(self.elements, self.size))

    def labels_of_elements(self) -> npt.NDArray[np.uint64]:
        """The label of every element, `(elements,)`; only reads."""
        labels = np.empty(self.elements, np.uint64)
        with (self.folder / "data_level0.bin").open("rb") as stream:  # not mapped: see `read`
            for start in range(0, self.elements, _AT_ONCE):
                count = min(_AT_ONCE, self.elements - start)
                rows = np.fromfile(stream, np.uint8, count * self.size).reshape(count, self.size)
                labels[start : start + count] = rows[:, -_LABEL_BYTES:].copy().view("<u8")[:, 0]
        return labels

    def vectors_of(self, elements: npt.NDArray[np.intp], *, normalised: bool) -> Vectors:
        """The vectors of some elements, float32 `(n, dimension)`; only reads. See `with_vectors`."""
        rows = self._mapped()[elements, self.vector_at : -_LABEL_BYTES]
        vectors = np.ascontiguousarray(rows).view("<f4").astype(np.float32, copy=False)
        if normalised:
            vectors = vectors * self.lengths()[elements, None]
        return vectors

    def lengths(self) -> npt.NDArray[np.float32]:
        """The norm of the vector of every element before it was normalised, float32 `(elements,)`; only reads."""
        return np.fromfile(self.folder / "length.bin", "<f4", self.elements).astype(np.float32, copy=False)

    def read(self, elements: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """The bytes of some elements, uint8 `(n, size)`, read and not mapped: a mapped file would count as memory.

        Elements that lie together are read together.
        """
        with (self.folder / "data_level0.bin").open("rb") as stream:
            if len(elements) and (np.diff(elements) == 1).all():  # nothing to put in its place
                stream.seek(int(elements[0]) * self.size)
                return np.fromfile(stream, np.uint8, len(elements) * self.size).reshape(-1, self.size)
            order = np.argsort(elements, kind="stable")
            places = elements[order]
            rows = np.empty((len(elements), self.size), np.uint8)
            for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) > _NEAR) + 1):
                if not len(run):
                    continue
                first, last = int(places[run[0]]), int(places[run[-1]])
                stream.seek(first * self.size)
                block = np.fromfile(stream, np.uint8, (last - first + 1) * self.size).reshape(-1, self.size)
                rows[order[run]] = block[places[run] - first]
        return rows

    def higher_levels(self) -> list[dict[int, npt.NDArray[np.uint32]]]:
        """For each level above the lowest, the highest first: the links of the elements on it; only reads.

        Raises:
            ValueError, OSError: the file is not as the header says.
        """
        content = (self.folder / "link_lists.bin").read_bytes()
        size = _LINK_BYTES * (self.links + 1)
        levels: list[dict[int, npt.NDArray[np.uint32]]] = [{} for _ in range(self.levels)]
        for element, at, length in higher_links(content, self.elements):
            if length % size or length // size > self.levels:
                raise ValueError("link_lists.bin holds links of another length")
            for level, start in enumerate(range(at, at + length, size)):
                (count,) = _LINKS.unpack_from(content, start)
                levels[level][element] = np.frombuffer(content, "<u4", min(count, self.links), start + _LINKS.size)
        return levels[::-1]

    def with_vectors(
        self,
        folder: Path,
        dimension: int,
        exchanged: Callable[[npt.NDArray[np.uint64], Vectors], Vectors],
        *,
        normalised: bool,
        at_once: int,
    ) -> None:
        """Write the same graph with other vectors to a new folder; durable on return.

        Args:
            folder: created; must not exist.
            dimension: length of a new vector.
            exchanged: returns the new vectors `(n, dimension)` for labels `(n,)` and old vectors `(n, d)`.
            normalised: whether vectors are stored normalised, with their norms in a separate file.
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
                sync(file)
        header = (self.folder / "header.bin").read_bytes()
        described = _HEADER.pack(
            *HnswHeader(1, 0, self.room, self.elements, label_at + _LABEL_BYTES, label_at, self.vector_at)
        )
        _write(folder / "header.bin", described + header[_HEADER.size :])
        for name in ("link_lists.bin", "index_metadata.pickle"):
            _write(folder / name, (self.folder / name).read_bytes())


def higher_links(content: bytes, elements: int) -> Iterator[tuple[int, int, int]]:
    """The elements with links on the higher levels, about one of 16: their number, where the links are, how many bytes.

    Args:
        content: of `link_lists.bin`: of every element the bytes of its links, a number of four bytes, then these.
        elements: number of elements.

    Raises:
        ValueError: the content is cut short, or cannot be that.
    """
    numbers = np.frombuffer(content, "<u4", len(content) // _LINK_BYTES)
    filled = np.flatnonzero(numbers)  # between two of these, each number is an element without links
    element = at = 0
    while element < elements:
        place = np.searchsorted(filled, at)
        following = int(filled[place]) if place < len(filled) else len(numbers)
        element, at = element + following - at, following
        if element >= elements:
            return
        length = int(numbers[at]) if at < len(numbers) else 0
        if at >= len(numbers) or (at + 1) * _LINK_BYTES + length > len(content):
            raise ValueError("link_lists.bin is cut short")
        if length % _LINK_BYTES:
            raise ValueError("link_lists.bin holds links of another length")
        yield element, (at + 1) * _LINK_BYTES, length
        element, at = element + 1, at + 1 + length // _LINK_BYTES


def entry_point(content: bytes) -> int:
    """The element at which a search enters the graph, from the content of `header.bin`.

    Raises:
        ValueError: the header is too short.
    """
    if len(content) < _HEADER.size + _GRAPH.size:
        raise ValueError("a header that is too short")
    return int(_GRAPH.unpack_from(content, _HEADER.size)[1])


def _write(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        file.write(content)
        sync(file)
