"""What a term of a projection must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.vectors import Vectors

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
        """This term's share for `vectors` `(n, d_in)`: a new float32 array `(n, d_out)`."""

    def scaled(self, by: Scale) -> Term:
        """The same term with all it gives multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""

    def arrays(self) -> Mapping[str, Array]:
        """Its numbers by name, as the file stores them."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Term:
        """Build it back from what `arrays` gave; `ProjectionFileError` when they do not fit together."""


def times(weights: Vectors, by: Scale) -> Vectors:
    """What a term's numbers `(…, d_out)` become when it is scaled."""
    return (weights * by if isinstance(by, float) else weights @ by).astype(np.float32)


def matrix(arrays: Mapping[str, Any], name: str, kind: str) -> Vectors:
    """The float32 matrix called `name`; `ProjectionFileError` when there is none."""
    found = arrays.get(name)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise ProjectionFileError(f"its {kind} term has no {name}, or no matrix of numbers; train the projection again")
    return np.ascontiguousarray(found, dtype=np.float32)
