"""A kernel fit over any mixture of similarities, as the package's own but for features that it does not have.

Shares and widths are chosen as the package does it, one after the other by leave-one-out error on 600 pairs, and the
shrinkage is undone likewise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from corpora import Rows, Vectors

from lightmigrate.estimators.kernel_ridge import MIDDLE, KernelRidge
from lightmigrate.estimators.undo_shrinkage import undo_shrinkage

Matrix = npt.NDArray[np.float64]

SHARES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
WIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4)
SEARCH_PAIRS, SEARCH_DIRECTIONS = 600, 128


@dataclass(frozen=True)
class Similarity:
    """Of two documents: the product of their features, or a Gaussian of their distance.

    Attributes:
        name: for the results.
        features: of all documents, `(n, f)`.
        is_gaussian: whether it is a Gaussian, whose width is chosen.
        is_centred: whether the mean of the pairs is subtracted from the features of a product.
    """

    name: str
    features: Vectors
    is_gaussian: bool = False
    is_centred: bool = True

    def between(self, rows: Rows, others: Rows, width: float) -> Matrix:
        """Of the documents `rows` to `others`, on average 1 between one of `others` and itself."""
        left, right = self.features[rows], self.features[others]
        if self.is_gaussian:
            a, b = left.astype(np.float64), right.astype(np.float64)
            apart = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * a @ b.T
            scale = 2 * (width * _distance(b)) ** 2
            return np.asarray(np.exp(-np.clip(apart, 0, None) / scale))
        if self.is_centred:
            mean = right.mean(axis=0)
            left, right = left - mean, right - mean
        return np.asarray((left @ right.T).astype(np.float64) / mean_square(right))


@dataclass(frozen=True)
class Prediction:
    """Projections of all documents.

    Attributes:
        vectors: `(n, d_out)`; those of the pairs by fits without them.
        error: of the pairs left out, as a share of the variance.
        seconds: of the processor.
        shares: what was chosen.
    """

    vectors: Matrix
    error: float
    seconds: float
    shares: dict[str, float] = field(default_factory=dict)


def predict(similarities: Sequence[Similarity], own: Rows, target: Matrix, seed: int) -> Prediction:
    """Fit to the pairs `own` and project all documents; the share of the first similarity is 1.

    Args:
        similarities: of all n documents.
        own: the pairs.
        target: `(n, d_out)`, of which only the rows of the pairs are used.
        seed: of the choice of the pairs on which shares are compared.
    """
    started = time.process_time()
    shares, widths = _choose(similarities, own, target, seed)
    used = [each for each in similarities if shares[each.name]]

    def mixed(rows: Rows) -> Matrix:
        return np.asarray(sum(shares[one.name] * one.between(rows, own, widths[one.name]) for one in used))

    fitted = KernelRidge.of(mixed(own)).fit(target[own])
    vectors = fitted.offset + mixed(np.arange(len(target))) @ fitted.coefficients
    vectors[own] = fitted.leave_one_out
    if len(own) > target.shape[1]:
        centre = target[own].mean(axis=0)
        vectors = centre + (vectors - centre) @ undo_shrinkage(target[own], fitted.leave_one_out)
    error = fitted.leave_one_out_error / mean_square(target[own] - target[own].mean(axis=0))
    return Prediction(vectors, float(error), time.process_time() - started, shares)


def mean_square(rows: npt.NDArray[np.floating]) -> float:
    """The mean squared length."""
    return float(np.mean(np.sum(rows.astype(np.float64) ** 2, axis=1))) or 1.0


def _choose(
    similarities: Sequence[Similarity], own: Rows, target: Matrix, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The shares and widths with the least leave-one-out error on some pairs."""
    some = own[np.sort(np.random.default_rng(seed).permutation(len(own))[:SEARCH_PAIRS])]
    centred = target[some] - target[some].mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    principal, known, penalty = centred @ directions[:, -SEARCH_DIRECTIONS:], dict[tuple[str, float], Matrix](), MIDDLE

    def error(shares: dict[str, float], widths: dict[str, float]) -> float:
        nonlocal penalty
        for one in similarities:
            if (one.name, widths[one.name]) not in known:
                known[one.name, widths[one.name]] = one.between(some, some, widths[one.name])
        mixed = sum(shares[one.name] * known[one.name, widths[one.name]] for one in similarities)
        least, penalty = KernelRidge.of(mixed).least_error(principal, penalty)
        return least

    shares, widths = ({one.name: value for one in similarities} for value in (1.0, 0.5))
    best = error(shares, widths)
    for one in similarities[::-1]:
        trials = [(shares, {**widths, one.name: width}) for width in WIDTHS if one.is_gaussian]
        trials += [({**shares, one.name: share}, widths) for share in SHARES if one is not similarities[0]]
        for other_shares, other_widths in trials:
            if (found := error(other_shares, other_widths)) < best:
                best, shares, widths = found, other_shares, other_widths
    return shares, widths


def _distance(rows: Matrix) -> float:
    """The median distance of two rows."""
    apart = np.sum((rows[:300, None] - rows[None, :50]) ** 2, axis=2)
    return float(np.sqrt(np.median(apart[apart > 0])))
