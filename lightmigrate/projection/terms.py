"""The terms a projection is a sum of. To add one: write its class and name it in `TERMS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.vectors import Vectors

Texts = Sequence[str | None]


class Term(Protocol):
    """One summand of a projection."""

    kind: ClassVar[str]

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """This term's share for `vectors` `(n, d_in)`: a new float32 array `(n, d_out)`."""

    def arrays(self) -> Mapping[str, Vectors]:
        """Its numbers by name, as the file stores them."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Term:
        """Build it back from what `arrays` gave; `ProjectionFileError` when they do not fit together."""


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
        """`x·W` for every row; the texts are not looked at."""
        return vectors @ self.weights

    def arrays(self) -> Mapping[str, Vectors]:
        """`weights`."""
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Linear:
        """From `weights`; `ProjectionFileError` when that is no matrix."""
        weights = arrays.get("weights")
        if not isinstance(weights, np.ndarray) or weights.ndim != 2 or weights.dtype.kind != "f":
            raise ProjectionFileError("its linear term is not a matrix of numbers; train the projection again")
        return cls(np.ascontiguousarray(weights, dtype=np.float32))


TERMS: Mapping[str, type[Term]] = {Linear.kind: Linear}
