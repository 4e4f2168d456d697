"""How much of what is really nearest a search through an index finds: recall@10, against every stored vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Collection

# Searches: with so many, the mean is known to about .005.
QUERIES = 200

# Each query is a stored vector and finds itself, which says nothing.
NEIGHBOURS = 10

# So much less than the old index may a new one find, before another is built.
LOSS = 0.01

# By so much, relative to the lengths involved, a distance that Chroma gives may be off.
TOLERANCE = 1e-5


class Exact:
    """The true distances from some stored vectors to their nearest, itself included, fed page by page.

    Args:
        queries: float32 `(q, d)`, of the vectors that will be fed.
        space: `l2`, `cosine` or `ip`.
    """

    def __init__(self, queries: Vectors, space: str) -> None:
        self.queries = queries
        self._space = space
        self._nearest = np.full((len(queries), NEIGHBOURS + 1), np.inf, np.float32)
        self._seen = 0

    def add(self, vectors: Vectors) -> None:
        """Take in stored vectors `(n, d)`; what is not finite is nobody's neighbour."""
        self._seen += len(vectors)
        distances = np.hstack([self._nearest, np.nan_to_num(self._distances(vectors), nan=np.inf)])
        self._nearest = np.partition(distances, NEIGHBOURS, axis=1)[:, : NEIGHBOURS + 1]

    def recall(self, collection: Collection) -> float | None:
        """Mean share of a query's 10 nearest others that the collection's index finds; only reads.

        `None` when there are no queries, or no more records than are asked for.
        """
        if not len(self.queries) or self._seen <= NEIGHBOURS + 1:
            return None
        _, distances = collection.nearest(self.queries, NEIGHBOURS + 1)
        farthest = self._nearest.max(axis=1)
        scale = np.maximum(np.einsum("nd,nd->n", self.queries, self.queries), 1)
        limits = farthest + TOLERANCE * scale
        hits = [sum(one <= limit for one in row) - 1 for row, limit in zip(distances, limits.tolist(), strict=True)]
        return float(np.mean(np.clip(hits, 0, NEIGHBOURS)) / NEIGHBOURS)

    def _distances(self, vectors: Vectors) -> npt.NDArray[np.float32]:
        """As Chroma has them: squared for `l2`, one minus the product otherwise."""
        with np.errstate(all="ignore"):
            products = self.queries @ vectors.T
            squares = np.einsum("nd,nd->n", vectors, vectors)
            own = np.einsum("nd,nd->n", self.queries, self.queries)[:, None]
            if self._space == "l2":
                return np.asarray(own + squares - 2 * products)
            if self._space == "cosine":
                products /= np.sqrt(own * squares)
            return np.asarray(1 - products)
