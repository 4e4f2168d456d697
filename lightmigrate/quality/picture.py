"""A picture of vectors in two dimensions: their first two principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.results import Result
from lightmigrate.vectors import Vectors, meaningful

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Picture(Result):
    """Some vectors in the plane in which they differ most.

    Attributes:
        points: float64 `(n, 2)`, each within [-1, 1]; NaN for vectors that hold NaN or infinity or are all zero.
        shown: share of the variance that the plane shows, in [0, 1].
    """

    points: Points
    shown: float

    @classmethod
    def of(cls, vectors: Vectors) -> Picture:
        """The first two principal components of vectors `(n, d)`. Both axes have the same scale."""
        points = np.full((len(vectors), 2), np.nan)
        valid = meaningful(vectors)
        if not valid.any():
            return cls(points, 0.0)
        centred = vectors[valid].astype(np.float64)
        centred -= centred.mean(axis=0)
        left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
        plane = np.zeros((len(centred), 2))
        plane[:, : min(2, len(lengths))] = (left * lengths)[:, :2]
        largest = float(np.abs(plane).max(initial=0))
        points[valid] = plane / largest if largest else plane
        squares = lengths**2
        return cls(points, float(squares[:2].sum() / squares.sum()) if squares.sum() else 1.0)

    def turned_to(self, other: Picture, rows: npt.ArrayLike, others: npt.ArrayLike) -> Picture:
        """The same, turned or mirrored so that shared records stand as near as possible to where they are in another.

        The signs and the order of principal components mean nothing, and two pictures can be compared only like this.

        Args:
            other: the other picture.
            rows: of the shared records in this one.
            others: of the same records in the other one.
        """
        own, theirs = self.points[np.asarray(rows, int)], other.points[np.asarray(others, int)]
        both = np.isfinite(own).all(axis=1) & np.isfinite(theirs).all(axis=1)
        if both.sum() < 2:
            return self
        left, _, right = np.linalg.svd(own[both].T @ theirs[both])
        points = self.points @ (left @ right)
        largest = float(np.nanmax(np.abs(points), initial=0))
        return Picture(points / largest if largest > 1 else points, self.shown)
