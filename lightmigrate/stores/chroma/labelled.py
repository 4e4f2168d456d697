"""The vectors of an index's file by label, a page at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.vectors import Vectors

_LABEL_BYTES = 8


class LabelledVectors:
    """Finds the elements of an index by their labels. Only reads.

    Chroma counts labels up as records are added, so elements lie in the order of their labels unless some were deleted.
    So an element is looked for where it lies then, and by the labels of all only when it is not there.

    Args:
        index: the files.
        normalised: whether vectors are stored normalised, with their norms in a separate file.

    Raises:
        ValueError, OSError: the files are not as their header says.
    """

    def __init__(self, index: HnswFiles, *, normalised: bool) -> None:
        self._index = index
        self._lengths = index.lengths() if normalised else None
        self._first = int(_labels(index.read(np.zeros(1, np.intp)))[0]) if index.elements else 0
        self._sorted: tuple[npt.NDArray[np.int64], npt.NDArray[np.intp]] | None = None

    def of(self, labels: npt.NDArray[np.int64]) -> Vectors:
        """The vectors `(n, dimension)` of the elements with these labels, as Chroma gives them.

        Raises:
            ValueError, OSError: there is no such element.
        """
        index = self._index
        places = (labels - self._first).astype(np.intp)
        rows = None
        if len(places) and places.min() >= 0 and places.max() < index.elements:
            rows = index.read(places)
        if rows is None or not np.array_equal(_labels(rows), labels):
            places = self._searched(labels)
            rows = index.read(places)
            if not np.array_equal(_labels(rows), labels):
                raise ValueError("an index without an element that its labels name")
        vectors = np.ascontiguousarray(rows[:, index.vector_at : -_LABEL_BYTES]).view("<f4")
        if self._lengths is not None:
            return np.asarray(vectors * self._lengths[places, None], np.float32)
        return vectors.astype(np.float32, copy=False)

    def _searched(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Where the elements are, or others where there are none."""
        index = self._index
        if self._sorted is None:
            known = index.labels_of_elements().astype(np.int64)
            order = np.argsort(known, kind="stable")
            self._sorted = known[order], order
        known, order = self._sorted
        if not len(known):
            raise ValueError("an index without elements")
        return np.asarray(order[np.minimum(np.searchsorted(known, labels), len(known) - 1)], np.intp)


def _labels(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(rows[:, -_LABEL_BYTES:]).view("<i8")[:, 0].astype(np.int64, copy=False)
