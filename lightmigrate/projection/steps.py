"""A step leads from one model's space to another's; a projection is a row of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lightmigrate.projection.terms import Affine, Term, Texts
from lightmigrate.projection.vectors import Vectors, normalise_rows

# Rows worked on at once. The output of a block stays in the processor's cache until it is normalised.
BLOCK_ROWS = 1024


class Step(Protocol):
    """A function from vectors (and the stored texts) of one space to vectors of another."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Map `(n, d_in)` to a new float32 array `(n, d_out)`."""


@dataclass(frozen=True)
class Sum:
    """The sum of its terms, then scaled to length 1 where the target model's vectors have length 1.

    Attributes:
        terms: at least one, all of the same shape.
        normalise: whether every output row is scaled to length 1.
    """

    terms: tuple[Term, ...]
    normalise: bool

    def __post_init__(self) -> None:
        shapes = {term.shape for term in self.terms}
        if len(shapes) != 1:
            raise ValueError(f"the terms of a projection must share one shape, not {sorted(shapes)}")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.terms[0].shape

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Map `(n, d_in)` to a new float32 array `(n, d_out)`, block by block."""
        n = len(vectors)
        if n <= BLOCK_ROWS:
            return self._apply_block(vectors, texts)
        output = np.empty((n, self.shape[1]), dtype=np.float32)
        for start in range(0, n, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            output[rows] = self._apply_block(vectors[rows], None if texts is None else texts[rows])
        return output

    def _apply_block(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        output = self.terms[0].apply(vectors, texts)
        for term in self.terms[1:]:
            output += term.apply(vectors, texts)
        if self.normalise:
            normalise_rows(output)
        return output


def join(first: tuple[Step, ...], second: tuple[Step, ...]) -> tuple[Step, ...]:
    """`first`, then `second`; where they meet in two matrices with nothing between, those become one."""
    before, after = first[-1], second[0]
    if isinstance(before, Sum) and isinstance(after, Sum) and not before.normalise:
        match before.terms, after.terms:
            case (Affine() as one,), (Affine() as other,):
                return (*first[:-1], Sum((one.then(other),), after.normalise), *second[1:])
    return first + second
