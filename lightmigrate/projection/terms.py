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
class Affine:
    """`x·W + b`.

    Attributes:
        weights: W, float32 `(d_in, d_out)`.
        bias: b, float32 `(d_out,)`.
    """

    weights: Vectors
    bias: Vectors
    kind: ClassVar[str] = "affine"

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise ValueError(f"a bias of shape {self.bias.shape} does not fit weights {self.weights.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.weights.shape[0], self.weights.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """`x·W + b` for every row; the texts are not looked at."""
        output = vectors @ self.weights
        output += self.bias
        return output

    def then(self, other: Affine) -> Affine:
        """Both, one after the other, as one: `x·W₁W₂ + b₁·W₂ + b₂`, multiplied out in float64."""
        weights = self.weights.astype(np.float64) @ other.weights
        bias = self.bias.astype(np.float64) @ other.weights + other.bias
        return Affine(np.ascontiguousarray(weights, np.float32), bias.astype(np.float32))

    def arrays(self) -> Mapping[str, Vectors]:
        """`weights` and `bias`."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Affine:
        """From `weights` and `bias`; `ProjectionFileError` when they do not fit together."""
        try:
            return cls(
                np.ascontiguousarray(arrays["weights"], dtype=np.float32),
                np.ascontiguousarray(arrays["bias"], dtype=np.float32),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProjectionFileError(f"its affine term cannot be used: {error}; train it again") from None


TERMS: Mapping[str, type[Term]] = {Affine.kind: Affine}
