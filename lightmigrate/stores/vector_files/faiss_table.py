"""The vectors of a FAISS index, with ids and texts from files beside it. Loads faiss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
import numpy.typing as npt

from lightmigrate.errors import DamagedCollectionError
from lightmigrate.stores.base import Metric, Page
from lightmigrate.stores.vector_files import faiss_kind
from lightmigrate.stores.vector_files.search import exact_nearest
from lightmigrate.stores.vector_files.table import PAGE, Nearest, Rows, blocks_of
from lightmigrate.vectors import Vectors, evenly, normalise_rows

# How far from 1 the lengths of vectors may be for an inner product to be a cosine.
_UNIT = 1e-4

# FAISS knows a vector of an inverted file by the number of its list, and below so many bits by its place in it.
_LIST_BITS = 32


class Records(Protocol):
    """Ids, texts and payloads beside an index, row by row."""

    @property
    def kind(self) -> str:
        """Which files there are."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row."""

    def require_rows(self, count: int, path: Path) -> None:
        """Raise `DamagedCollectionError` when there is another number of them than of vectors."""

    def page(self, rows: Sequence[int], vectors: Vectors) -> Page:
        """Some rows with their vectors."""


class FaissIndex:
    """An index as it is in a file.

    Attributes:
        index: the index; keeps alive what is inside it.
        kind: its description.
        metric: its distance.
        keys: the label of every row where it has labels of its own, int64 `(n,)`; `None` where labels are row numbers.
        labels: the number of different labels in an inverted file; the number of vectors for another kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.index = faiss.read_index(str(path))
        except RuntimeError:
            raise DamagedCollectionError(f"{path} is no index that FAISS {faiss.__version__} reads") from None
        self.kind = faiss_kind.describe(self.index)
        if self.index.metric_type not in faiss_kind.METRICS:
            raise DamagedCollectionError(f"{path} has metric {self.index.metric_type}; l2 and inner product are known")
        self.metric: Metric = faiss_kind.METRICS[self.index.metric_type]
        self.count, self.dimension = int(self.index.ntotal), int(self.index.d)
        self.keys: npt.NDArray[np.int64] | None = None
        self._inner = self.index
        if type(self.index).__name__ in ("IndexIDMap", "IndexIDMap2"):
            self.keys = faiss.vector_to_array(self.index.id_map).astype(np.int64)
            self._inner = faiss.downcast_index(self.index.index)
        self._labels = self._lists()
        if self.keys is None and self._labels is not None and (self._labels != np.arange(self.count)).any():
            self.keys = self._labels
        self.labels = self.count if self._labels is None else len(np.unique(self._labels))

    def _lists(self) -> npt.NDArray[np.int64] | None:
        """The labels in an inverted file, rising; `None` for another kind.

        Afterwards the index finds a vector by its row in them, whether or not others have its label, too.
        """
        try:
            inside = faiss.extract_index_ivf(self._inner)
        except RuntimeError:
            return None
        labels, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number in range(inside.nlist):
            if size := inside.invlists.list_size(number):
                labels.append(faiss.rev_swig_ptr(inside.invlists.get_ids(number), size).astype(np.int64))
                places.append((number << _LIST_BITS) + np.arange(size))
        stored = np.concatenate(labels)
        order = np.argsort(stored, kind="stable")
        faiss.copy_array_to_vector(np.concatenate(places)[order], inside.direct_map.array)
        inside.direct_map.type = faiss.DirectMap.Array
        return stored[order]

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """Some vectors, in the order given, float32 `(n, d)`."""
        if not len(rows):
            return np.zeros((0, self.dimension), np.float32)
        return np.ascontiguousarray(self._inner.reconstruct_batch(np.asarray(rows, np.int64)), np.float32)

    def search(self, queries: Vectors, k: int) -> Nearest:
        """The nearest rows through the index, and what FAISS calls their distance as a `Metric`."""
        measured, labels = self._inner.search(np.ascontiguousarray(queries), k)
        found, distances = [], []
        for row_labels, row in zip(labels, measured, strict=True):
            valid = row_labels >= 0
            known = row_labels[valid]
            rows = known if self._labels is None else np.searchsorted(self._labels, known)
            values = row[valid].astype(np.float64)
            found.append(rows.tolist())
            distances.append((values if self.metric == "l2" else 1 - values).tolist())
        return found, distances


class FaissTable:
    """See `table.Table`.

    Attributes:
        source: the index.
        beside: ids, texts and payloads.
    """

    def __init__(self, source: FaissIndex, beside: Records, path: Path) -> None:
        self.source, self.beside = source, beside
        beside.require_rows(source.count, path)

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row."""
        return self.beside.ids

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self.source.dimension

    @property
    def metric(self) -> Metric | None:
        """The distance of the index."""
        return self.source.metric

    @property
    def lossy(self) -> str:
        """How it stores vectors inexactly."""
        return faiss_kind.lossy(self.source.kind)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The kind of its index, with all parameters."""
        return {"format": "faiss", "index": self.source.kind, "records": self.beside.kind}

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""
        return self.beside.page(rows, self.vectors_of(rows) if vectors else np.zeros((len(rows), 0), np.float32))

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given; only reads."""
        return self.source.vectors(rows)

    @cached_property
    def _of_length_one(self) -> bool:
        return all((np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT).all() for vectors in blocks_of(self))

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows through the index.

        By comparing with all where its distance is not the one asked for, or it does not say which of several vectors
        of one label it found.
        """
        if self.source.labels < self.source.count:
            return exact_nearest(self, queries, k, metric)
        if metric == self.source.metric and k:
            return self.source.search(queries, k)
        if metric == "cosine" and k and self.source.metric == "ip" and self._of_length_one:
            queries = queries.copy()
            normalise_rows(queries)
            return self.source.search(queries, k)
        return exact_nearest(self, queries, k, metric)


def write_index(path: Path, rows: Rows, like: FaissIndex, metric: Metric, keys: Sequence[int] | None) -> None:
    """Write an index of the kind of another one. Writes.

    Args:
        path: of the new file.
        rows: its vectors.
        like: the other index.
        metric: its distance; inner product for `cosine`.
        keys: the label of every row, for a kind that has labels of its own; `None` numbers them.
    """
    kind, total = like.kind, len(rows.ids)
    index = faiss_kind.build(kind, rows.dimension or like.dimension, metric)
    sample = evenly(total, faiss_kind.training_size(kind))
    faiss_kind.train(index, kind, rows.vectors_of(sample) if sample else np.zeros((0, index.d), np.float32))
    mapped = kind["kind"] in ("IDMap", "IDMap2")
    for number, vectors in enumerate(blocks_of(rows)):
        start = number * PAGE
        vectors = np.ascontiguousarray(vectors)
        if keys is not None or mapped:
            labels = range(start, start + len(vectors)) if keys is None else keys[start : start + len(vectors)]
            index.add_with_ids(vectors, np.asarray(labels, np.int64))
        else:
            index.add(vectors)
    if kind.get("map") and total:
        faiss.extract_index_ivf(index).set_direct_map_type(kind["map"])
    faiss.write_index(index, str(path))
