"""What searches would find if the graph of an index was kept with new vectors: known before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.chroma.graph import Graph
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.chroma.schema import VECTOR_INDEXES, vector_indexes
from lightmigrate.stores.files import NewVectors
from lightmigrate.vectors import Metric, Vectors

# Chroma's own length of the list of the nearest elements, where a schema states none.
EF_SEARCH = 100

# Smallest norm to divide by, as in Chroma.
_SHORTEST = np.float32(1e-30)

# New vectors that are read once where they take no more bytes; others are read anew for every step of a search.
MOST_IN_MEMORY = 32 * 2**20

_Numbers = npt.NDArray[np.intp]


class SearchesIfKept:
    """Searches through the graph of an index as if it already had new vectors. See `files.SearchesIfKept`.

    Records that are only in Chroma's log are found for certain: Chroma adds them to the graph, with their new vectors.

    Args:
        layout: of the collection.
        draft: its new content.
        space: the distance of the index, as it was measured.

    Raises:
        ValueError, OSError: the index's files have an unknown layout.
    """

    def __init__(self, layout: Layout, draft: NewVectors, space: Metric) -> None:
        index = HnswFiles.open(layout.index)
        self._graph, self._space = Graph.open(index), space
        self._elements = _Elements(index, draft, space, normalised=layout.space == "cosine")
        self._logged = self._elements.vectors_of(self._elements.missing)
        stated = [
            (settings.get("hnsw") or {}).get("ef_search")
            for settings in vector_indexes(layout.schema, VECTOR_INDEXES[1:])
        ]
        self._ef = max(int(length or EF_SEARCH) for length in stated or [None])

    def nearest(self, rows: Sequence[int], k: int) -> Vectors:
        """Distances to the k nearest records that searches would find. Only reads."""
        space, elements = self._space, self._elements
        queries = elements.vectors_of(np.asarray(rows))

        def distance(numbers: _Numbers, found: _Numbers) -> Vectors:
            return _distances(queries[numbers], elements.vectors(found), space)

        deleted = elements.deleted if elements.deleted.any() else None
        found, far = self._graph.search(len(queries), distance, max(k, self._ef), deleted)
        far = np.where((found >= 0) & ~elements.deleted[found], far, np.inf)
        others = [_distances(np.broadcast_to(query, self._logged.shape), self._logged, space) for query in queries]
        return np.sort(np.hstack([far, np.stack(others)]), axis=1)[:, :k]


class _Elements:
    """The new vectors of the elements of an index, as it will hold them.

    Attributes:
        deleted: which elements belong to no record, bool `(elements,)`; searches still pass through them.
        missing: row numbers of the records that are not in the index.
    """

    def __init__(self, index: HnswFiles, draft: NewVectors, space: Metric, *, normalised: bool) -> None:
        self._index, self._draft, self._space, self._normalised = index, draft, space, normalised
        self._all: Vectors | None = None
        if draft.count * draft.dimension * np.dtype(np.float32).itemsize <= MOST_IN_MEMORY:
            self._all = _prepared(draft.vectors_of(np.arange(draft.count)), space)
        hashes, named = index.labels().hashes_of(index.labels_of_elements())
        self._rows = np.where(named, draft.rows().of_hashes(hashes), -1)
        self.deleted = self._rows < 0
        self.missing = np.setdiff1d(np.arange(draft.count), self._rows)

    def vectors(self, elements: _Numbers) -> Vectors:
        """The new vectors of some elements, `(n, dimension)`."""
        gone = self.deleted[elements]
        if not gone.any():
            return self.vectors_of(self._rows[elements])
        vectors = np.empty((len(elements), self._draft.dimension), np.float32)
        vectors[~gone] = self.vectors_of(self._rows[elements[~gone]])
        old = self._index.vectors_of(elements[gone], normalised=self._normalised)
        vectors[gone] = _prepared(self._draft.project(old), self._space)
        return vectors

    def vectors_of(self, rows: _Numbers) -> Vectors:
        """The new vectors of some records, `(n, dimension)`."""
        return self._all[rows] if self._all is not None else _prepared(self._draft.vectors_of(rows), self._space)


def _prepared(vectors: Vectors, space: Metric) -> Vectors:
    """The vectors as the index holds them."""
    if space != "cosine":
        return vectors
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.maximum(lengths, _SHORTEST)[:, None])


def _distances(first: Vectors, second: Vectors, space: Metric) -> Vectors:
    """The distance of each pair `(n,)`."""
    if space == "l2":
        return np.asarray(np.einsum("nd,nd->n", first - second, first - second))
    return np.asarray(1 - np.einsum("nd,nd->n", first, second))
