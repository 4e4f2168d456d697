"""The steps of a projection, each from one model's space to another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from lightmigrate.projection.terms.base import Array, Term, Texts
from lightmigrate.projection.terms.extract import Embed, Extract
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.unit_sphere import LONGEST_CENTRE, extend_from
from lightmigrate.threads import in_blocks
from lightmigrate.vectors import Vectors, normalise_rows

# Rows that are computed at once: few enough to stay in the processor's cache.
CHUNK_ROWS = 512


class Step(Protocol):
    """A function from vectors (and the stored texts) of one space to vectors of another."""

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Project `(n, d_in)` to a new float32 array `(n, d_out)`."""


@dataclass(frozen=True)
class Length:
    """The length of a projected vector: `exp(logarithm(x))`, kept between the shortest and the longest.

    Attributes:
        shortest: the shortest length of the target model's vectors, above 0.
        longest: the longest one; equal to `shortest` where all have the same length.
        logarithm: the natural logarithm of the length, a step with one output; `None` where all have the same length.
    """

    shortest: float
    longest: float
    logarithm: Sum | None = None

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest < np.inf or (self.logarithm is None and self.shortest < self.longest):
            raise ValueError(f"lengths from {self.shortest} to {self.longest} are no lengths of vectors")
        if self.logarithm is not None and (self.logarithm.shape[1] != 1 or self.logarithm.normalise):
            raise ValueError(f"the logarithm of a length is one number, not a step of shape {self.logarithm.shape}")

    def of(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The length of each projected vector, for vectors `(n, d_in)`: float32 `(n, 1)`."""
        if self.logarithm is None:
            return np.full((len(vectors), 1), self.shortest, dtype=np.float32)
        logarithms = self.logarithm.apply(vectors, texts)
        np.clip(logarithms, np.log(self.shortest), np.log(self.longest), out=logarithms)
        return np.exp(logarithms, out=logarithms)


@dataclass(frozen=True)
class Sum:
    """`bias + Σ terms`; where `normalise`, only its direction, with the length that the target model's vectors have.

    A regression shrinks its predictions, and undoing that stretches the rows it was fitted to: what it says about
    lengths is wrong either way. Direction and length are therefore predicted apart.

    Attributes:
        bias: b, float32 `(d_out,)`.
        terms: at least one, all of the same shape.
        normalise: whether every output row is scaled to length 1, or to `length`.
        length: the length of every output row; `None` for 1.
        centre: float32 `(d_out,)`, the point from which an output row is extended to length 1, before `length`; `None`
            for the origin. See `unit_sphere`.
    """

    bias: Vectors
    terms: tuple[Term, ...]
    normalise: bool
    length: Length | None = None
    centre: Vectors | None = None

    def __post_init__(self) -> None:
        shapes = {term.shape for term in self.terms}
        if len(shapes) != 1:
            raise ValueError(f"the terms of a projection must share one shape, not {sorted(shapes)}")
        if self.bias.shape != self.shape[1:]:
            raise ValueError(f"a bias of shape {self.bias.shape} does not fit terms of shape {self.shape}")
        logarithm = None if self.length is None else self.length.logarithm
        if logarithm is not None and logarithm.shape[0] != self.shape[0]:
            raise ValueError(f"lengths from {logarithm.shape[0]} dimensions do not fit terms of shape {self.shape}")
        if self.length is not None and not self.normalise:
            raise ValueError("only a step that is normalised can have a length")
        if self.centre is not None:
            if not self.normalise:
                raise ValueError("only a step that is normalised can have a centre")
            if self.centre.shape != self.bias.shape or not float(self.centre @ self.centre) <= LONGEST_CENTRE:
                raise ValueError(f"a centre of shape {self.centre.shape} is no mean of unit vectors {self.bias.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.terms[0].shape

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Project `(n, d_in)` to a new float32 array `(n, d_out)`."""
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        # A model gets the texts of all rows at once; everything else is computed block by block.
        embedded = [term.apply(vectors, texts) for term in self.terms if isinstance(term, Extract)]
        matrices = [term.weights for term in self.terms if isinstance(term, Linear)]
        others = [term for term in self.terms if not isinstance(term, (Extract, Linear))]
        bias = self.bias if self.centre is None else self.bias - self.centre

        def fill(rows: slice) -> None:
            block, own, own_texts = output[rows], vectors[rows], None if texts is None else texts[rows]
            if matrices:
                np.matmul(own, matrices[0], out=block)
                block += bias
            else:
                block[:] = bias
            for weights in matrices[1:]:
                block += own @ weights
            for values in embedded:
                block += values[rows]
            for term in others:
                block += term.apply(own, own_texts)
            if self.centre is not None:
                extend_from(self.centre, block)
            elif self.normalise:
                normalise_rows(block)

        in_blocks(fill, len(output), CHUNK_ROWS)
        if self.length is not None:
            output *= self.length.of(vectors, texts)
        return output

    def reading_with(self, embed: Embed) -> Sum:
        """The same step with a function that embeds with the new model, for its extract terms."""
        terms = (replace(term, embed=embed) if isinstance(term, Extract) else term for term in self.terms)
        length = self.length
        if length is not None and length.logarithm is not None:
            length = replace(length, logarithm=length.logarithm.reading_with(embed))
        return replace(self, terms=tuple(terms), length=length)

    def direction(self) -> Sum:
        """The same step before it is scaled to a length."""
        return Sum(self.bias, self.terms, normalise=False)

    def spread(self, by: Array, centre: Array) -> Sum:
        """`centre + (y - centre)·by` instead of y: `by` `(d_out, d_out)`, `centre` `(d_out,)`; not normalised."""
        bias = centre + (self.bias - centre) @ by
        return Sum(bias.astype(np.float32), tuple(term.scaled(by) for term in self.terms), normalise=False)


@dataclass(frozen=True)
class ByText:
    """One function for records with a text, and another, fitted without texts, for records without.

    Attributes:
        with_text: for records whose text is not empty.
        plain: for the others; of the same shape.
    """

    with_text: Sum
    plain: Sum

    def __post_init__(self) -> None:
        if self.with_text.shape != self.plain.shape:
            raise ValueError(f"with and without text the shapes are {self.with_text.shape} and {self.plain.shape}")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.with_text.shape

    def reading_with(self, embed: Embed) -> ByText:
        """The same step with a function that embeds with the new model, for its extract terms."""
        return replace(self, with_text=self.with_text.reading_with(embed))

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Project `(n, d_in)` to a new float32 array `(n, d_out)`."""
        if texts is None:
            return self.plain.apply(vectors, None)
        readable = np.array([bool(text and text.strip()) for text in texts], dtype=bool)
        if readable.all():
            return self.with_text.apply(vectors, texts)
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        output[~readable] = self.plain.apply(vectors[~readable], None)
        output[readable] = self.with_text.apply(vectors[readable], [text for text in texts if text and text.strip()])
        return output


def weighted_sum(parts: Sequence[tuple[float, Sum]]) -> Sum:
    """`Σ share · part` as one step, not normalised. Linear terms are merged, extract terms of equal extracts, too."""
    bias = np.sum([share * part.bias for share, part in parts], axis=0)
    terms = [term.scaled(share) for share, part in parts for term in part.terms]
    matrices = [term.weights for term in terms if isinstance(term, Linear)]
    others: list[Term] = []
    for term in terms:
        if isinstance(term, Extract):
            _add_extract_term(others, term)
        elif not isinstance(term, Linear):
            others.append(term)
    merged = (Linear(np.sum(matrices, axis=0)),) if matrices else ()
    return Sum(bias.astype(np.float32), (*merged, *others), normalise=False)


def _add_extract_term(terms: list[Term], more: Extract) -> None:
    """Append an extract term, or add it to one with the same extract: embedding is the expensive part."""
    for place, term in enumerate(terms):
        if isinstance(term, Extract) and (term.rule, term.embed) == (more.rule, more.embed):
            terms[place] = replace(term, weights=term.weights + more.weights)
            return
    terms.append(more)


def join(first: tuple[Step, ...], second: tuple[Step, ...]) -> tuple[Step, ...]:
    """`first`, then `second`; two adjacent linear steps without normalisation between them become one."""
    before, after = first[-1], second[0]
    if isinstance(before, Sum) and isinstance(after, Sum) and not before.normalise:
        length = after.length
        match before.terms, after.terms:
            case (Linear(W1),), (Linear(W2),) if length is None or length.logarithm is None:
                # (x·W₁ + b₁)·W₂ + b₂, multiplied out in float64
                weights = W1.astype(np.float64) @ W2
                bias = before.bias.astype(np.float64) @ W2 + after.bias
                folded = replace(after, bias=bias.astype(np.float32), terms=(Linear(weights.astype(np.float32)),))
                return (*first[:-1], folded, *second[1:])
    return first + second
