"""recall@10 of an index: the share of the true nearest neighbours, among all stored vectors, that a search finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Collection
from lightmigrate.vectors import Vectors

# Number of searches: the standard error of the mean recall is then about 0.005.
QUERIES = 200

# Neighbours counted for each query, without the query itself, which is a stored vector.
NEIGHBOURS = 10

# Largest loss of recall against the old index; with a larger one the index is rebuilt.
LOSS = 0.01

# Largest error of a distance that a store returns, relative to the squared length of the query.
TOLERANCE = 1e-5


class Exact:
    """The true distances from query vectors to their nearest stored vectors, computed page by page.

    Args:
        queries: float32 `(q, d)`, taken from the stored vectors; each query is its own nearest neighbour.
        space: `l2`, `cosine` or `ip`.
    """

    def __init__(self, queries: Vectors, space: str) -> None:
        self.queries = queries
        self._space = space
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
        if not len(self.queries) or self._seen <= NEIGHBOURS + 1:
            return None
        _, distances = collection.nearest(self.queries, NEIGHBOURS + 1)
        farthest = self._nearest.max(axis=1)
        scale = np.maximum(np.einsum("nd,nd->n", self.queries, self.queries), 1)
        limits = farthest + TOLERANCE * scale
        hits = [
            sum(distance <= limit for distance in row) - 1
            for row, limit in zip(distances, limits.tolist(), strict=True)
        ]
        return float(np.mean(np.clip(hits, 0, NEIGHBOURS)) / NEIGHBOURS)

    def _distances(self, vectors: Vectors) -> npt.NDArray[np.float32]:
        """Distances `(q, n)` as `stores.base.Metric` defines them."""
        with np.errstate(all="ignore"):
            products = self.queries @ vectors.T
            squares = np.einsum("nd,nd->n", vectors, vectors)
            own = np.einsum("nd,nd->n", self.queries, self.queries)[:, None]
            if self._space == "l2":
                return np.asarray(own + squares - 2 * products)
            if self._space == "cosine":
                products /= np.sqrt(own * squares)
            return np.asarray(1 - products)
