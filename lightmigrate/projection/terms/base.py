"""The protocol of a term of a projection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.vectors import Vectors

Texts = Sequence[str | None]
Array = npt.NDArray[Any]
Scale = float | Array


class Term(Protocol):
    """One summand of a projection."""

    kind: ClassVar[str]

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The term's value for `vectors` `(n, d_in)`: a new float32 array `(n, d_out)`."""

    def scaled(self, by: Scale) -> Term:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""

    def arrays(self) -> Mapping[str, Array]:
        """The arrays by name, as the file stores them."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Term:
        """The term with these `arrays`; `ProjectionFileError` when they are inconsistent."""


def times(weights: Vectors, by: Scale) -> Vectors:
    """The weights `(…, d_out)` of a scaled term."""
    return (weights * by if isinstance(by, float) else weights @ by).astype(np.float32)


def matrix(arrays: Mapping[str, Any], name: str, kind: str) -> Vectors:
    """The float32 matrix called `name`; `ProjectionFileError` when there is none."""
    array = arrays.get(name)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind != "f":
        raise ProjectionFileError(f"the {kind} term has no matrix of numbers {name!r}; train the projection again")
    return np.ascontiguousarray(array, dtype=np.float32)
