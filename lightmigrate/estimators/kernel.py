"""The sum of a linear, a Gaussian and a lexical similarity, fitted at once and folded into terms.

A Gaussian process whose covariance is the sum of three: what a matrix can do, what bends, and what the words
say. Widths and shares are chosen by leave-one-out error on a part of the pairs, the penalty on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lightmigrate.estimators.dual import DualFit, Matrix, fit_dual
from lightmigrate.projection.kernel import Kernel, similarities
from lightmigrate.projection.lexical import Lexical, Vocabulary
from lightmigrate.projection.linear import Linear
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.term import Texts

# Pairs on which widths and shares are tried out: one try takes a tenth of a second there.
SEARCH_PAIRS = 600

# Tried one after the other: widths relative to the median distance of two sources, then shares.
WIDTHS = (0.35, 0.5, 0.7, 1.0)
SHARES = (0.25, 0.5, 1.0, 2.0)

# Ridge on the landmarks' similarities among themselves, which are nearly singular.
JITTER = 1e-6


@dataclass(frozen=True)
class Shape:
    """How the three similarities are mixed. The linear share is 1, the other two are relative to it.

    Attributes:
        width: of the Gaussian kernel, in the units of the sources.
        bend: share of the Gaussian kernel; 0 leaves it out.
        words: share of the lexical similarity; 0 leaves it out.
    """

    width: float
    bend: float
    words: float


@dataclass(frozen=True)
class KernelFit:
    """What was found.

    Attributes:
        step: the projection's step.
        shape: the mix that was chosen.
        dual: the fit behind it.
    """

    step: Sum
    shape: Shape
    dual: DualFit


class _Pairs:
    """The pairs as features: centred sources, the Gaussian kernel's landmarks, the words."""

    def __init__(self, source: Matrix, texts: Texts | None, landmarks: int, seed: int) -> None:
        self.mean = source.mean(axis=0)
        self.centred = source - self.mean
        self.scale = float(np.mean(np.sum(self.centred**2, axis=1))) or 1.0
        rng = np.random.default_rng(seed)
        self.landmarks = np.sort(rng.permutation(len(source))[:landmarks])
        self.vocabulary = Vocabulary.of(texts) if texts is not None else None
        usable = self.vocabulary is not None and len(self.vocabulary.stems) > 0
        self.words = self.vocabulary.dense(texts) if usable and self.vocabulary and texts is not None else None
        some = rng.permutation(len(source))[:300]
        apart = np.sum((self.centred[some, None] - self.centred[None, some[:50]]) ** 2, axis=2)
        self.distance = float(np.sqrt(np.median(apart[apart > 0]))) if (apart > 0).any() else 1.0

    def bent(self, rows: Any, width: float) -> tuple[Matrix, Matrix]:
        """Features Φ whose products are the Gaussian kernel as the landmarks see it (Nyström), and k(Z, Z)^-½."""
        here = rows[np.isin(rows, self.landmarks)]
        Z = self.centred[here if len(here) else rows[:1]]
        values, Q = np.linalg.eigh(similarities(Z, Z, width))
        root = Q / np.sqrt(np.maximum(values, 0) + JITTER)
        return similarities(self.centred[rows], Z, width) @ root, root

    def similarity(self, rows: Any, shape: Shape) -> tuple[Matrix, Matrix | None, Matrix | None]:
        """The mixed similarities among `rows`, with the Gaussian features and k(Z, Z)^-½ they were made of."""
        x = self.centred[rows]
        total = (x @ x.T) / self.scale
        features = root = None
        if shape.bend:
            features, root = self.bent(rows, shape.width)
            total += shape.bend * (features @ features.T)
        if shape.words and self.words is not None:
            t = self.words[rows]
            total += shape.words * (t @ t.T)
        return total, features, root


def fit_kernel(source: Matrix, target: Matrix, texts: Texts | None, *, landmarks: int, seed: int) -> KernelFit:
    """Fit the sum to pairs. Without `texts` it has no lexical term.

    Args:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        landmarks: at most so many, which bounds what applying the projection costs.
        seed: decides which pairs are landmarks and which ones shapes are tried out on.
    """
    pairs = _Pairs(source, texts, landmarks, seed)
    shape = _choose_shape(pairs, target, seed)
    everything = np.arange(len(source))
    total, features, root = pairs.similarity(everything, shape)
    dual = fit_dual(total, target)
    C = dual.coefficients
    weights = pairs.centred.T @ C / pairs.scale
    terms: list[Any] = [Linear(weights.astype(np.float32))]
    if features is not None and root is not None:
        Z = source[pairs.landmarks]
        A = shape.bend * (root @ (features.T @ C))
        terms.append(Kernel(Z.astype(np.float32), A.astype(np.float32), shape.width))
    if shape.words and pairs.words is not None and pairs.vocabulary is not None:
        table = shape.words * (pairs.words.T @ C)
        terms.append(Lexical(pairs.vocabulary, table.astype(np.float32), source.shape[1]))
    bias = dual.offset - pairs.mean @ weights
    return KernelFit(Sum(bias.astype(np.float32), tuple(terms), normalise=False), shape, dual)


def _choose_shape(pairs: _Pairs, target: Matrix, seed: int) -> Shape:
    """One setting after the other, each the best for those before it, by leave-one-out error."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(target))[:SEARCH_PAIRS])
    best = Shape(width=0.5 * pairs.distance, bend=0.0, words=1.0 if pairs.words is not None else 0.0)
    least = fit_dual(pairs.similarity(rows, best)[0], target[rows]).leave_one_out_error
    tries: list[tuple[str, tuple[float, ...]]] = [
        ("bend", (1.0,)),
        ("width", tuple(width * pairs.distance for width in WIDTHS)),
        ("bend", SHARES),
        ("words", SHARES if pairs.words is not None else ()),
    ]
    for name, values in tries:
        for value in values:
            candidate = replace(best, **{name: value})
            error = fit_dual(pairs.similarity(rows, candidate)[0], target[rows]).leave_one_out_error
            if error < least:
                least, best = error, candidate
    return best
