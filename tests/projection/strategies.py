"""Projections and vectors for the tests of this folder: fixed ones from a seed, and strategies that draw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightmigrate import Model, Projection
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.base import Term, Texts
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors

# No deadline: how long an example takes says nothing about the code on a busy machine.
examples = settings(deadline=None, max_examples=60)
dimensions = st.integers(1, 10)
seeds = st.integers(0, 2**32 - 1)


def affine(
    d_in: int,
    d_out: int,
    *,
    seed: int = 0,
    normalised: bool = True,
    bias: float = 0.1,
    source: Model | None = None,
    target: Model | None = None,
) -> Projection:
    """A random affine projection whose outputs are about as long as its inputs, plus a bias of that size."""
    rng = np.random.default_rng(seed)
    return Projection.affine(
        rng.normal(size=(d_in, d_out)) / d_in**0.5,
        bias * rng.normal(size=d_out),
        source=source or Model("old", d_in, normalised=False),
        target=target or Model("new", d_out, normalised=normalised),
    )


def link(start: str, end: str, *, normalised: bool = False, seed: int = 0) -> Projection:
    """A link of a chain, 6 → 6, between two named models; `normalised` speaks of its output."""
    return affine(
        6,
        6,
        seed=seed,
        source=Model(start, 6, normalised=normalised),
        target=Model(end, 6, normalised=normalised),
    )


def random_vectors(rows: int, dimension: int, seed: int = 0) -> Vectors:
    """Random float32 vectors, not normalised."""
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


@st.composite
def affines(draw: st.DrawFn, *, normalised: bool | None = None) -> Projection:
    """Any small affine projection, with or without a bias, normalised or not unless said."""
    return affine(
        draw(dimensions),
        draw(dimensions),
        seed=draw(seeds),
        normalised=draw(st.booleans()) if normalised is None else normalised,
        bias=draw(st.sampled_from([0.0, 1.0])),
    )


def vectors_for(projection: Projection, rows: st.SearchStrategy[int]) -> st.SearchStrategy[Vectors]:
    """Vectors that go into `projection`: numbers from -1 to 1 in thousandths, with many zeros and repeats."""
    shapes = rows.map(lambda n: (n, projection.info.source.dimension))
    whole = arrays(np.int16, shapes, elements=st.integers(-1000, 1000))
    return whole.map(lambda values: (values / 1000).astype(np.float32))


def numbers(projection: Projection, step: int = 0) -> tuple[Vectors, Vectors]:
    """Weights and bias of one step."""
    found = projection.steps[step]
    assert isinstance(found, Sum)
    (term,) = found.terms
    assert isinstance(term, Linear)
    return term.weights, found.bias


def steady(projection: Projection, vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows may be compared closely: not those that cancel to almost nothing before they are normalised.

    There the direction is made of rounding errors, and two correct computations differ.
    """
    rows, kept = vectors.astype(np.float64), np.ones(len(vectors), dtype=bool)
    for index, step in enumerate(projection.steps):
        weights, bias = numbers(projection, index)
        size = np.linalg.norm(np.abs(rows) @ np.abs(weights) + np.abs(bias), axis=1)
        rows = rows @ weights + bias
        lengths = np.linalg.norm(rows, axis=1)
        assert isinstance(step, Sum)
        if step.normalise:
            kept &= size <= 20 * lengths  # an exact zero row has size 0 as well, and is kept
            rows /= np.where(lengths == 0, 1, lengths)[:, None]
    return kept


@dataclass(frozen=True)
class TextLengths:
    """A term that reads the texts: the number of letters of each, in every output dimension."""

    shape: tuple[int, int]
    kind: ClassVar[str] = "text_lengths"

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        lengths = [0 if text is None else len(text) for text in texts or [None] * len(vectors)]
        return np.repeat(np.array(lengths, dtype=np.float32)[:, None], self.shape[1], axis=1)

    def scaled(self, by: Any) -> Term:
        raise NotImplementedError

    def arrays(self) -> Mapping[str, Vectors]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Term:
        raise NotImplementedError


def assert_equal(one: Projection, other: Projection) -> None:
    assert one.info == other.info
    assert len(one.steps) == len(other.steps)
    for index, (a, b) in enumerate(zip(one.steps, other.steps, strict=True)):
        assert isinstance(a, Sum)
        assert isinstance(b, Sum)
        assert a.normalise is b.normalise
        for left, right in zip(numbers(one, index), numbers(other, index), strict=True):
            assert left.dtype == right.dtype == np.float32
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes()
