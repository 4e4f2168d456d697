"""The kernel term: a sum of Gaussians around landmarks, the non-linear part of a projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.terms.base import Array, Scale, Texts, matrix, times
from lightmigrate.vectors import Vectors, squares


def similarities(vectors: Any, landmarks: Any, width: float) -> Any:
    """`exp(-‖x - z‖² / (2·width²))` for every row x `(n, d)` and landmark z `(m, d)`: `(n, m)`, of their dtype."""
    scale = vectors.dtype.type(1 / (2 * width**2))
    # ‖x - z‖² = ‖x‖² + ‖z‖² - 2·x·z
    exponent = (vectors * (2 * scale)) @ landmarks.T
    exponent -= scale * squares(vectors)[:, None]
    exponent -= scale * squares(landmarks)
    np.minimum(exponent, 0, out=exponent)  # a rounding error can make a distance negative
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
        """`k(x, Z)·A` for every row; the texts are not used."""
        return np.asarray(similarities(vectors, self.landmarks, self.width) @ self.weights)

    def scaled(self, by: Scale) -> Kernel:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Kernel(self.landmarks, times(self.weights, by), self.width)

    def arrays(self) -> Mapping[str, Array]:
        """`landmarks`, `weights`, `width`."""
        return {"landmarks": self.landmarks, "weights": self.weights, "width": np.array([[self.width]])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Kernel:
        """The term with these `arrays`; `ProjectionFileError` when they are inconsistent."""
        landmarks, weights = (matrix(arrays, name, cls.kind) for name in ("landmarks", "weights"))
        try:
            return cls(landmarks, weights, float(arrays["width"].reshape(())))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise ProjectionFileError(f"the kernel term is inconsistent: {error}; train the projection again") from None
