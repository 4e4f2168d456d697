"""The true nearest neighbours of some vectors: how many of them an index finds (recall@10), and how far they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lightmigrate.scores.distances import RANDOM, Distances, random_pairs
from lightmigrate.stores.base import Collection, Metric
from lightmigrate.stores.distance import space_of
from lightmigrate.vectors import Vectors, meaningful

# Number of searches: the standard error of the mean recall is then about 0.005.
QUERIES = 200

# Neighbours counted for each query, without the query itself, which is a stored vector.
NEIGHBOURS = 10

# Largest loss of recall against the old index; with a larger one the index is rebuilt. And where all vectors are
# replaced by others soon after: an index that is built for weakly projected ones first takes longer, and in the end
# searches find no more in it than in the old graph (.91 of the nearest, of 16,000 records; benchmarks/replaced.py).
LOSS, LOSS_BEFORE_EXACT = 0.01, 0.1

# Largest error of a distance that a store returns, relative to the squared length of the query.
TOLERANCE = 1e-5


class Exact:
    """The true distances from query vectors to their nearest stored vectors, computed page by page.

    Args:
        queries: float32 `(q, d)`, taken from the stored vectors; each query is its own nearest neighbour.
        space: `l2`, `cosine` or `ip`.

    Attributes:
        queries: the query vectors.
        space: the distance.
    """

    def __init__(self, queries: Vectors, space: Metric) -> None:
        self.queries = queries
        self.space = space
        self._nearest = np.full((len(queries), NEIGHBOURS + 1), np.inf, np.float32)
        self._seen = 0

    def add(self, vectors: Vectors) -> None:
        """Add stored vectors `(n, d)`; vectors that are not finite are neighbours of no query."""
        self._seen += len(vectors)
        distances = np.hstack([self._nearest, np.nan_to_num(self._distances(vectors), nan=np.inf)])
        self._nearest = np.partition(distances, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]

    def recall(self, collection: Collection) -> float | None:
        """Mean share of the 10 true nearest neighbours that the collection's index finds. Only reads.

        `None` when there are no queries, or at most 11 records.
        """
        recalls = self.recalls(collection)
        return float(recalls.mean()) if len(recalls) else None

    def recalls(self, collection: Collection) -> npt.NDArray[np.float64]:
        """The same for each query, `(q,)`; empty where it cannot be measured."""
        if not self.measurable:
            return np.empty(0)
        _, distances = collection.nearest(self.queries, NEIGHBOURS + 1)
        return self.recalls_of(distances)

    @property
    def measurable(self) -> bool:
        """Whether there are queries, and more records than a search for one returns."""
        return bool(len(self.queries)) and self._seen > NEIGHBOURS + 1

    def recalls_of(self, distances: Sequence[Sequence[float]] | Vectors) -> npt.NDArray[np.float64]:
        """The recall `(n,)` of each of the first n queries: searches found the 11 nearest at these distances."""
        limits = (self._nearest.max(axis=1) + TOLERANCE * self._scale)[: len(distances)]
        hits = [
            sum(distance <= limit for distance in row) - 1
            for row, limit in zip(distances, limits.tolist(), strict=True)
        ]
        return np.asarray(np.clip(hits, 0, NEIGHBOURS) / NEIGHBOURS)

    def distances(self) -> Distances | None:
        """The distances to the up to 10 nearest records, without the query itself, and between the queries.

        `None` when there are no queries, or no other records.
        """
        nearest = np.sort(self._nearest, axis=1)
        found = np.isfinite(nearest)
        if not len(nearest) or (count := int(found.sum(axis=1).max()) - 1) < 1:
            return None
        own = np.zeros(len(nearest))
        if self.space == "ip":
            own = 1 - np.einsum("nd,nd->n", self.queries, self.queries)
        # Where a longer vector is nearer than the query itself, that may not be among those that were kept.
        gaps = np.where(found, np.abs(nearest - own[:, None]), np.inf)
        itself = np.where(gaps.min(axis=1) <= TOLERANCE * self._scale, gaps.argmin(axis=1), count)
        others = nearest[:, : count + 1][np.arange(count + 1) != itself[:, None]].reshape(-1, count)
        return self._measured(others, self.queries, np.array(random_pairs(len(self.queries)), np.intp))

    def distances_from_outside(self, sample: Vectors) -> Distances | None:
        """The same for queries that are not stored: no record is left out.

        Args:
            sample: `(m, d)`, some stored vectors, to which the random distances are measured.
        """
        nearest = np.sort(self._nearest, axis=1)
        if not len(nearest) or not (count := min(NEIGHBOURS, int(np.isfinite(nearest).sum(axis=1).max()))):
            return None
        columns = (np.arange(len(nearest))[:, None] * RANDOM + np.arange(min(RANDOM, len(sample)))) % max(
            1, len(sample)
        )
        return self._measured(nearest[:, :count], sample, columns)

    def _measured(self, nearest: Vectors, sample: Vectors, columns: npt.NDArray[np.intp]) -> Distances:
        """With the distances to those of a sample that the columns `(q, r)` choose."""
        random = np.take_along_axis(self._distances(sample), columns, axis=1)
        floor = -np.inf if self.space == "ip" else 0  # rounding
        return Distances(self.space, np.maximum(nearest, floor), np.maximum(random, floor).astype(np.float32))

    @property
    def _scale(self) -> npt.NDArray[np.float32]:
        """The size of what distances are the difference of; `(q,)`."""
        return np.asarray(np.maximum(np.einsum("nd,nd->n", self.queries, self.queries), 1))

    def _distances(self, vectors: Vectors) -> npt.NDArray[np.float32]:
        """Distances `(q, n)` as `stores.base.Metric` defines them."""
        with np.errstate(all="ignore"):
            products = self.queries @ vectors.T
            squares = np.einsum("nd,nd->n", vectors, vectors)
            own = np.einsum("nd,nd->n", self.queries, self.queries)[:, None]
            if self.space == "l2":
                return np.asarray(own + squares - 2 * products)
            if self.space == "cosine":
                products /= np.sqrt(own * squares)
            return np.asarray(1 - products)


def distances_from(queries: Vectors, collection: Collection, page_size: int) -> Distances | None:
    """The distances from queries `(q, d)` that are not stored to a collection's records. Reads all vectors.

    `None` when there are no queries, or no records.
    """
    exact = Exact(queries, space_of(collection))
    for page in collection.scan(page_size):
        exact.add(page.vectors)
    sample = collection.sample(len(queries)).vectors
    return exact.distances_from_outside(sample[meaningful(sample)])
