"""The network term: one hidden layer. Trained with torch, run with NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.terms.base import Array, Scale, Texts, matrix, times
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Network:
    """`max(0, x·A + a)·B`.

    Attributes:
        inner: A, float32 `(d_in, hidden)`.
        shift: a, float32 `(hidden,)`.
        outer: B, float32 `(hidden, d_out)`.
    """

    inner: Vectors
    shift: Vectors
    outer: Vectors
    kind: ClassVar[str] = "network"

    def __post_init__(self) -> None:
        if not self.inner.shape[1:] == self.shift.shape == self.outer.shape[:1]:
            raise ValueError(f"layers of shapes {self.inner.shape}, {self.shift.shape}, {self.outer.shape} do not fit")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.inner.shape[0], self.outer.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """`max(0, x·A + a)·B` for every row; the texts are not used."""
        hidden = vectors @ self.inner
        hidden += self.shift
        return np.asarray(np.maximum(hidden, 0, out=hidden) @ self.outer)

    def scaled(self, by: Scale) -> Network:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Network(self.inner, self.shift, times(self.outer, by))

    def arrays(self) -> Mapping[str, Array]:
        """`inner`, `shift`, `outer`."""
        return {"inner": self.inner, "shift": self.shift[None, :], "outer": self.outer}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Network:
        """The term with these `arrays`; `ProjectionFileError` when they are inconsistent."""
        inner, shift, outer = (matrix(arrays, name, cls.kind) for name in ("inner", "shift", "outer"))
        try:
            return cls(inner, shift[0], outer)
        except (ValueError, IndexError) as error:
            raise ProjectionFileError(
                f"the network term is inconsistent: {error}; train the projection again"
            ) from None
