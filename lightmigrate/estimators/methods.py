"""The methods by name: each turns pairs into one step of a projection, and says what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.kernel import fit_kernel
from lightmigrate.estimators.ridge import fit_ridge
from lightmigrate.estimators.rigid import fit_low_rank, fit_procrustes
from lightmigrate.projection.linear import Linear
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.term import Texts

Matrix = npt.NDArray[np.float64]
Method = Literal["auto", "ridge", "procrustes", "low_rank", "kernel", "lexical"]

# More than these make a fit with a kernel take minutes and gigabytes.
MOST_KERNEL_PAIRS = 4000


@dataclass(frozen=True)
class Pairs:
    """What a projection is fitted to.

    Attributes:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        normalise: whether the target model's vectors have length 1.
        landmarks: at most so many for methods with a kernel.
        seed: of every random choice.
    """

    source: Matrix
    target: Matrix
    texts: Texts | None
    normalise: bool
    landmarks: int
    seed: int

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: npt.NDArray[np.int64]) -> Pairs:
        """Some of the pairs."""
        texts = None if self.texts is None else [self.texts[row] for row in rows]
        return Pairs(self.source[rows], self.target[rows], texts, self.normalise, self.landmarks, self.seed)


Fitted = tuple[Sum, dict[str, Any]]


def _affine(pairs: Pairs, weights: Matrix, bias: Matrix, facts: dict[str, Any]) -> Fitted:
    term = Linear(np.ascontiguousarray(weights, dtype=np.float32))
    return Sum(bias.astype(np.float32), (term,), pairs.normalise), facts


def _ridge(pairs: Pairs) -> Fitted:
    found = fit_ridge(pairs.source, pairs.target)
    facts = {"penalty": found.penalty, "leave_one_out_error": found.leave_one_out_error}
    return _affine(pairs, found.weights, found.bias, facts)


def _procrustes(pairs: Pairs) -> Fitted:
    return _affine(pairs, *fit_procrustes(pairs.source, pairs.target), {})


def _low_rank(pairs: Pairs) -> Fitted:
    weights, bias, rank = fit_low_rank(pairs.source, pairs.target)
    return _affine(pairs, weights, bias, {"rank": rank})


def _summed(pairs: Pairs, texts: bool) -> Fitted:
    # The cost of the fit grows with the cube of the pairs; `auto` notices when ridge on all of them is better.
    if len(pairs) > MOST_KERNEL_PAIRS:
        pairs = pairs.take(np.sort(np.random.default_rng(pairs.seed).permutation(len(pairs))[:MOST_KERNEL_PAIRS]))
    given = pairs.texts if texts else None
    found = fit_kernel(pairs.source, pairs.target, given, landmarks=pairs.landmarks, seed=pairs.seed)
    facts = {
        "pairs_used": len(pairs),
        "width": found.shape.width,
        "kernel_share": found.shape.bend,
        "lexical_share": found.shape.words,
        "penalty": found.dual.penalty,
        "leave_one_out_error": found.dual.leave_one_out_error,
    }
    return Sum(found.step.bias, found.step.terms, pairs.normalise), facts


def _kernel(pairs: Pairs) -> Fitted:
    return _summed(pairs, texts=False)


def _lexical(pairs: Pairs) -> Fitted:
    return _summed(pairs, texts=True)


# From the cheapest to apply to the dearest: of two that retrieve alike, the first wins.
METHODS: Mapping[str, Callable[[Pairs], Fitted]] = {
    "procrustes": _procrustes,
    "low_rank": _low_rank,
    "ridge": _ridge,
    "kernel": _kernel,
    "lexical": _lexical,
}
