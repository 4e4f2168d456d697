"""A Gaussian process whose covariance is a sum of similarities, fitted at once and folded into terms.

Widths and shares are chosen by leave-one-out error on a part of the pairs, the penalty on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, namespace
from lightmigrate.estimators.beginnings import Beginnings
from lightmigrate.estimators.dual import Dual, DualFit
from lightmigrate.estimators.similarities import TEXTUAL, Rows, Shape, Similarities
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.term import Texts

# Up to so many pairs the fit is exact; its cost grows with their cube. Above, so many carry it for all.
MOST_BASIS_PAIRS = 4000

# Pairs on which widths and shares are tried out: one try takes a tenth of a second there.
SEARCH_PAIRS = 600

# Directions of the new space in which those tries are judged: those with most variance. The others are mostly what
# no shape predicts, and would take most of the time.
SEARCH_DIRECTIONS = 128

# Tried one after the other: widths relative to the median distance of two sources, and shares.
WIDTHS = (0.35, 0.5, 0.7, 1.0)
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class KernelFit:
    """Mixed and decomposed similarities of the pairs, to which any target can be fitted.

    Attributes:
        shape: the mix that was chosen.
        basis: the pairs that carry the fit.
    """

    shape: Shape
    basis: Rows
    _similarities: Similarities
    _bent: tuple[Array, Array] | None
    _dual: Dual

    def fit(self, target: Array) -> tuple[Sum, DualFit]:
        """The fit to `target` `(K, d_out)`, as a step of a projection that is not normalised."""
        found = self._dual.fit(target)
        bias, terms = self._similarities.fold(found.coefficients, self.basis, self.shape, self._bent)
        return Sum(as_float32(found.offset + bias), terms, normalise=False), found


def prepare_kernel(
    source: Array,
    target: Array,
    texts: Texts | None,
    words: WordVectors | None,
    beginnings: Beginnings | None,
    *,
    landmarks: int,
    seed: int,
) -> KernelFit:
    """Choose the mix for these pairs and decompose it. Without `texts` there is nothing lexical in it.

    Args:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        words: the new model's word vectors, or `None`.
        beginnings: what the new model says to the first words of the texts, or `None`.
        landmarks: at most so many, which bounds what applying the projection costs.
        seed: decides which pairs are landmarks, basis, and those that shapes are tried out on.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(source))
    shape = _choose_shape(source, target, texts, words, beginnings, np.sort(shuffled[:SEARCH_PAIRS]), landmarks, seed)
    pairs = Similarities(source, texts, words, beginnings, landmarks, seed)
    everything, basis = np.arange(len(source)), np.sort(shuffled[:MOST_BASIS_PAIRS])
    bent = pairs.bent(shape.width) if shape.bend else None
    to_basis = None if bent is None else (bent[0], bent[0][basis])
    similarity = shape.mix(pairs.between(everything, basis), to_basis)
    dual = Dual.of(similarity) if len(basis) == len(source) else Dual.on_basis(similarity, similarity[basis])
    return KernelFit(shape, basis, pairs, bent, dual)


def _choose_shape(
    source: Array,
    target: Array,
    texts: Texts | None,
    words: WordVectors | None,
    beginnings: Beginnings | None,
    rows: Rows,
    landmarks: int,
    seed: int,
) -> Shape:
    """One setting after the other, each the best for those before it, by leave-one-out error on `rows`."""
    given = None if texts is None else [texts[row] for row in rows]
    begun = None if beginnings is None else replace(beginnings, vectors=beginnings.vectors[rows])
    pairs = Similarities(source[rows], given, words, begun, landmarks, seed)
    judged = _principal(target[rows], SEARCH_DIRECTIONS)
    everything = np.arange(len(rows))
    similarities = pairs.between(everything, everything)
    bent: dict[float, Array] = {}

    def error(shape: Shape) -> float:
        if shape.bend and shape.width not in bent:
            bent[shape.width] = pairs.bent(shape.width)[0]
        features = (bent[shape.width], bent[shape.width]) if shape.bend else None
        return Dual.of(shape.mix(similarities, features)).fit(judged).leave_one_out_error

    textual = [name for name in TEXTUAL if name in similarities]
    best = Shape(0.5 * pairs.distance, **dict.fromkeys(textual, 1.0))
    least = error(best)
    tries: list[tuple[str, tuple[float, ...]]] = [
        ("bend", (1.0,)),
        ("width", tuple(width * pairs.distance for width in WIDTHS)),
        *((name, (0.0, *SHARES)) for name in textual[::-1]),
        ("bend", SHARES),
    ]
    for name, values in tries:
        for value in values:
            candidate = replace(best, **{name: value})
            if candidate != best and (found := error(candidate)) < least:
                least, best = found, candidate
    return best


def _principal(vectors: Array, most: int) -> Array:
    """`(K, d)` → `(K, min(K, d, most))`: coordinates along the directions in which they vary most."""
    xp = namespace(vectors)
    centred = vectors - xp.mean(vectors, axis=0)
    _, directions = xp.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, -most:]
