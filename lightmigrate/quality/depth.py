"""Extrapolates from rankings of a sample to those of the whole collection: overlaps, and the gain of one document.

The ten nearest of a hundred thousand documents are nearer, and harder to tell apart, than the ten nearest of a hundred.
The model is a Gaussian copula: after a monotone transformation true and projected similarities are normal and
correlated. Their correlation then determines the overlap at any depth. Of the documents that are nearer to a query than
the one that it looks for, the sample holds some at random; how many there are in all follows from that.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

NORMAL = NormalDist()

# Points of the numerical integration over the tail; steps of the bisection for the correlation.
POINTS = 100
HALVINGS = 30

# Ranks that count, as in nDCG@10.
CUTOFF = 10

# The grid on which the similarity of a query's own document is integrated, in standard deviations of the similarities
# of all documents, and the means and deviations over queries that are tried.
HEIGHTS = np.linspace(-3.0, 8.0, 221)
MEANS = np.linspace(0.0, 5.0, 26)
DEVIATIONS = np.array([0.3, 0.45, 0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2])

_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def to_collection_size(overlap: float, depth: float, to: float) -> float:
    """The overlap expected at another depth, such as that of the whole collection.

    Args:
        overlap: share of the truly nearest documents among the nearest projected ones, in [0, 1].
        depth: the share of all documents at which it was measured, in (0, 1).
        to: the share at which it is wanted, in (0, 1).
    """
    if depth == to or overlap >= 1:
        return overlap
    low, high = 0.0, 1.0
    if overlap <= depth:  # not above chance, whose overlap equals the depth
        return overlap * to / depth
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if shared(middle, depth) < overlap else (low, middle)
    return shared((low + high) / 2, to)


def shared(correlation: float, depth: float) -> float:
    """The share of the documents with the first score in the top `depth` that have the second one there, too.

    Args:
        correlation: of the two scores, both normal, in [0, 1].
        depth: in (0, 1).
    """
    if correlation >= 1:
        return 1.0
    least, scores = _top_scores(depth)
    spread = math.sqrt(2 * (1 - correlation**2))
    # the mean of Φ by `erf` itself: a plan asks for it millions of times, and `NormalDist.cdf` takes four times as long
    return (1 + sum([math.erf((correlation * score - least) / spread) for score in scores]) / POINTS) / 2


@lru_cache(maxsize=16)  # a search for the correlation asks for one depth many times
def _top_scores(depth: float) -> tuple[float, tuple[float, ...]]:
    """The least score in the top `depth`, and scores that stand for all of it."""
    ranks = (np.arange(POINTS) + 0.5) / POINTS * depth
    return NORMAL.inv_cdf(1 - depth), tuple(NORMAL.inv_cdf(1 - float(rank)) for rank in ranks)


def gain_in_collection(nearer: npt.NDArray[np.float64], documents: int, size: int) -> npt.NDArray[np.float64]:
    """The discounted gain to expect of each query's own document in the whole collection, `1 / log2(rank + 1)`.

    A query's own document is z standard deviations more similar than the mean document, so that a share Φ(-z) of all
    others is nearer, and the number of nearer ones in a sample is binomial. Over queries z is normal; its mean and
    deviation are those under which all ranks that were seen are most likely (maximum marginal likelihood). The gain is
    the mean over the z that each query may have, given its rank. Ranks beyond ten gain nothing. Gains among 1,000
    documents are foreseen from 100 of them within .02 (`benchmarks/expectations_fit.py`).

    Args:
        nearer: for each query the number of documents of the sample that are nearer to it than its own, `(q,)`; halves
            where some are as near.
        documents: of the sample, n.
        size: of the collection, at least n.
    """
    ranks, of_query, counts = np.unique(nearer, return_inverse=True, return_counts=True)
    unseen = max(0, size - documents)
    more = np.arange(CUTOFF)
    if not unseen:
        gains = _discounted(ranks)
    else:
        share = np.clip([NORMAL.cdf(-height) for height in HEIGHTS], 1e-15, 1 - 1e-12)
        of_sample = _binomial(ranks, documents - 1, share)
        of_rest = _binomial(more[more <= unseen].astype(np.float64), unseen, share)
        weights = of_sample * _likeliest_heights(of_sample, counts)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        gains = np.sum(weights @ of_rest.T * _discounted(ranks[:, None] + more[: len(of_rest)]), axis=1)
    return np.asarray(gains[of_query.reshape(-1)])


def _likeliest_heights(of_sample: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The weights of `HEIGHTS` under the normal distribution that makes what was seen most likely.

    Args:
        of_sample: for each rank its probability at each height, `(r, heights)`.
        counts: number of queries of each rank, `(r,)`.
    """
    priors = np.exp(-(((HEIGHTS - MEANS[:, None, None]) / DEVIATIONS[None, :, None]) ** 2) / 2)
    priors = (priors / priors.sum(axis=-1, keepdims=True)).reshape(-1, len(HEIGHTS))
    likelihood = counts @ np.log(of_sample @ priors.T + np.finfo(float).tiny)
    return np.asarray(priors[np.argmax(likelihood)])


def _binomial(hits: npt.NDArray[np.float64], trials: int, share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities of so many hits `(h,)` at each share `(s,)`: `(h, s)`."""
    ways = math.lgamma(trials + 1) - _log_gamma(hits + 1) - _log_gamma(trials - hits + 1)
    logs = ways[:, None] + hits[:, None] * np.log(share) + (trials - hits)[:, None] * np.log1p(-share)
    return np.asarray(np.exp(logs))


def _discounted(nearer: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.where(nearer < CUTOFF, 1 / np.log2(np.minimum(nearer, CUTOFF) + 2), 0.0))
