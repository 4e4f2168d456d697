"""The linear term: a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lightmigrate.projection.terms.base import Array, Scale, Texts, matrix, times
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Linear:
    """`x·W`.

    Attributes:
        weights: W, float32 `(d_in, d_out)`.
    """

    weights: Vectors
    kind: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        if self.weights.ndim != 2:
            raise ValueError(f"weights must be a matrix, an array of shape {self.weights.shape} does not fit")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.weights.shape[0], self.weights.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """`x·W` for every row; the texts are not used."""
        return vectors @ self.weights

    def scaled(self, by: Scale) -> Linear:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Linear(times(self.weights, by))

    def arrays(self) -> Mapping[str, Array]:
        """`weights`."""
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Linear:
        """From `weights`; `ProjectionFileError` when it is not a matrix."""
        return cls(matrix(arrays, "weights", cls.kind))
