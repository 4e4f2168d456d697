"""The kernel term: what bends. It reproduces the pairs it was fitted to almost exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.term import Array, Scale, Texts, matrix, times
from lightmigrate.projection.vectors import Vectors

# Rows worked on at once: what lies between is (rows, landmarks) and should stay in the cache.
BLOCK_ROWS = 1024


def similarities(vectors: Any, landmarks: Any, width: float) -> Any:
    """`exp(-‖x - z‖² / (2·width²))` for every row x `(n, d)` and landmark z `(m, d)`: `(n, m)`, of their dtype."""
    scale = vectors.dtype.type(1 / (2 * width**2))
    # ‖x - z‖² = ‖x‖² + ‖z‖² - 2·x·z, all but the product in one pass
    exponent = vectors @ (landmarks.T * (2 * scale))
    exponent -= (scale * np.sum(vectors**2, axis=1))[:, None]
    exponent -= scale * np.sum(landmarks**2, axis=1)
    np.minimum(exponent, 0, out=exponent)  # rounding may leave a distance below zero
    return np.exp(exponent, out=exponent)


@dataclass(frozen=True)
class Kernel:
    """`k(x, Z)·A` with the Gaussian kernel `k(x, z) = exp(-‖x - z‖² / (2·width²))`.

    Attributes:
        landmarks: Z, float32 `(m, d_in)`.
        weights: A, float32 `(m, d_out)`.
        width: of the kernel, in the units of the source vectors.
    """

    landmarks: Vectors
    weights: Vectors
    width: float
    kind: ClassVar[str] = "kernel"

    def __post_init__(self) -> None:
        if len(self.landmarks) != len(self.weights) or not 0 < self.width < np.inf:
            raise ValueError(
                f"{len(self.landmarks)} landmarks, {len(self.weights)} weights and a width of {self.width} do not fit"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.landmarks.shape[1], self.weights.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """`k(x, Z)·A` for every row; the texts are not looked at."""
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            np.matmul(similarities(vectors[rows], self.landmarks, self.width), self.weights, out=output[rows])
        return output

    def scaled(self, by: Scale) -> Kernel:
        """The same term with all it gives multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Kernel(self.landmarks, times(self.weights, by), self.width)

    def arrays(self) -> Mapping[str, Array]:
        """`landmarks`, `weights`, `width`."""
        return {"landmarks": self.landmarks, "weights": self.weights, "width": np.array([[self.width]])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Kernel:
        """From what `arrays` gave; `ProjectionFileError` when they do not fit together."""
        landmarks, weights = (matrix(arrays, name, cls.kind) for name in ("landmarks", "weights"))
        try:
            return cls(landmarks, weights, float(arrays["width"].reshape(())))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ProjectionFileError(f"its kernel term contradicts itself: {error}; train it again") from None
