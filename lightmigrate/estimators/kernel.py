"""A Gaussian process whose covariance is a weighted sum of similarities, written as terms of a projection.

Width and shares are chosen by leave-one-out error on a part of the pairs, the penalty on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, namespace
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.kernel_ridge import MIDDLE, KernelRidge, KernelRidgeFit
from lightmigrate.estimators.similarities import TEXTUAL, KernelShares, Rows, Similarities
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.steps import Sum
from lightmigrate.projection.terms.base import Texts

# Up to so many pairs the fit is exact; its cost grows with their cube. With more, so many are the basis (Nyström).
MOST_BASIS_PAIRS = 4000

# Pairs on which widths and shares are compared: one evaluation takes a tenth of a second there.
SEARCH_PAIRS = 600

# The comparison uses the principal directions of the targets only: the others are mostly noise to every choice of
# shares, and would take most of the time.
SEARCH_DIRECTIONS = 128

# Values compared: widths relative to the median distance of two sources, and shares.
WIDTHS = (0.35, 0.5, 0.7, 1.0)
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class KernelFit:
    """The decomposed kernel of the pairs, to which any target can be fitted.

    Attributes:
        shares: the chosen width and shares.
        basis: the pairs whose coefficients make up the fit.
        penalty: the number in `kernel_ridge.PENALTIES` of the penalty that was best with the shares.
    """

    shares: KernelShares
    basis: Rows
    penalty: int
    _similarities: Similarities
    _gaussian: tuple[Array, Array] | None
    _ridge: KernelRidge

    def fit(self, target: Array) -> tuple[Sum, KernelRidgeFit]:
        """The fit to `target` `(K, d_out)`, as a step of a projection that is not normalised."""
        fitted = self._ridge.fit(target, self.penalty)
        bias, terms = self._similarities.fold(fitted.coefficients, self.basis, self.shares, self._gaussian)
        return Sum(as_float32(fitted.offset + bias), terms, normalise=False), fitted


def prepare_kernel(
    source: Array,
    target: Array,
    texts: Texts | None,
    words: WordVectors | None,
    extracts: Extracts | None,
    *,
    landmarks: int,
    seed: int,
) -> KernelFit:
    """Choose width and shares for these pairs and decompose the kernel. Without `texts` it has no lexical part.

    Args:
        source: `(K, d_in)`.
        target: `(K, d_out)`.
        texts: the K stored documents, or `None`.
        words: the new model's word vectors, or `None`.
        extracts: embeddings of the extracts of the texts, or `None`.
        landmarks: the most landmarks of the Gaussian kernel; the time of applying grows with them.
        seed: of the choice of landmarks, of the basis, and of the pairs on which shares are compared.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(source))
    some = np.sort(shuffled[:SEARCH_PAIRS])
    shares, penalty = _choose_shares(source, target, texts, words, extracts, some, landmarks, seed)
    pairs = Similarities(source, texts, words, extracts, landmarks, seed)
    everything, basis = np.arange(len(source)), np.sort(shuffled[:MOST_BASIS_PAIRS])
    gaussian = pairs.gaussian_features(shares.width) if shares.gaussian else None
    to_basis = None if gaussian is None else (gaussian[0], gaussian[0][basis])
    similarity = shares.mix(pairs.between(everything, basis), to_basis)
    exact = len(basis) == len(source)
    ridge = KernelRidge.of(similarity) if exact else KernelRidge.on_basis(similarity, similarity[basis])
    return KernelFit(shares, basis, penalty, pairs, gaussian, ridge)


def _choose_shares(
    source: Array,
    target: Array,
    texts: Texts | None,
    words: WordVectors | None,
    extracts: Extracts | None,
    rows: Rows,
    landmarks: int,
    seed: int,
) -> tuple[KernelShares, int]:
    """Coordinate descent, once through the settings, by leave-one-out error on `rows`; and the best penalty."""
    given = None if texts is None else [texts[row] for row in rows]
    given_extracts = None if extracts is None else replace(extracts, vectors=extracts.vectors[rows])
    pairs = Similarities(source[rows], given, words, given_extracts, landmarks, seed)
    principal = _principal(target[rows], SEARCH_DIRECTIONS)
    everything = np.arange(len(rows))
    similarities = pairs.between(everything, everything)
    gaussian: dict[float, Array] = {}
    penalty = MIDDLE

    def error(shares: KernelShares) -> float:
        nonlocal penalty
        if shares.gaussian and shares.width not in gaussian:
            gaussian[shares.width] = pairs.gaussian_features(shares.width)[0]
        features = (gaussian[shares.width], gaussian[shares.width]) if shares.gaussian else None
        ridge = KernelRidge.of(shares.mix(similarities, features))
        least, penalty = ridge.least_error(principal, penalty)  # the next shares are similar, and so is their penalty
        return least

    textual = [name for name in TEXTUAL if name in similarities]
    best = KernelShares(0.5 * pairs.distance, **dict.fromkeys(textual, 1.0))
    least, at_best = error(best), penalty
    grid: list[tuple[str, tuple[float, ...]]] = [
        ("gaussian", (1.0,)),
        ("width", tuple(width * pairs.distance for width in WIDTHS)),
        *((name, (0.0, *SHARES)) for name in textual[::-1]),
        ("gaussian", SHARES),
    ]
    for name, values in grid:
        for value in values:
            candidate = replace(best, **{name: value})
            if candidate != best and (candidate_error := error(candidate)) < least:
                least, best, at_best = candidate_error, candidate, penalty
    return best, at_best


def _principal(vectors: Array, most: int) -> Array:
    """`(K, d)` → `(K, min(K, d, most))`: coordinates along the principal directions."""
    xp = namespace(vectors)
    centred = vectors - xp.mean(vectors, axis=0)
    _, directions = xp.linalg.eigh(centred.T @ centred)
    return centred @ directions[:, -most:]
