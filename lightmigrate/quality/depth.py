"""Extrapolates from rankings of a sample to those of the whole collection: overlaps, and the gain of one document.

The ten nearest of a hundred thousand documents are nearer, and harder to tell apart, than the ten nearest of a hundred.
The model is a Gaussian copula: after a monotone transformation true and projected similarities are normal and
correlated. Their correlation then determines the overlap at any depth. Of the documents that are nearer to a query than
the one that it looks for, the sample holds some at random.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

NORMAL = NormalDist()

# Points of the numerical integration over the tail; steps of the bisection for the correlation.
POINTS = 100
HALVINGS = 30

# Ranks that count, as in nDCG@10.
CUTOFF = 10

# The share of documents that are nearer to a query than its own is Beta(NEARER, 1) before anything is seen. With this
# one the gains among 1,000 documents are foreseen from 100 of them without bias (`benchmarks/expectations_fit.py`).
NEARER = 0.1

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
    least = NORMAL.inv_cdf(1 - depth)
    ranks = (np.arange(POINTS) + 0.5) / POINTS * depth
    spread = float(np.sqrt(1 - correlation**2))
    shares = (NORMAL.cdf((correlation * NORMAL.inv_cdf(1 - rank) - least) / spread) for rank in ranks)
    return sum(shares) / POINTS


def gain_in_collection(nearer: npt.NDArray[np.float64], documents: int, size: int) -> npt.NDArray[np.float64]:
    """The discounted gain to expect of each query's own document in the whole collection, `1 / log2(rank + 1)`.

    With r of n - 1 others nearer, the number of nearer ones among the rest of the collection is beta-binomial, with
    α = r + `NEARER` and β = n - r (the posterior of the share that is nearer). Ranks beyond ten gain nothing.

    Args:
        nearer: for each query the number of documents of the sample that are nearer to it than its own, `(q,)`; halves
            where some are as near.
        documents: of the sample, n.
        size: of the collection, at least n.
    """
    unseen = max(0, size - documents)
    alpha, beta = nearer + NEARER, documents - nearer
    more = np.arange(CUTOFF)[:, None]  # of the unseen ones, nearer
    log_probability = (
        math.lgamma(unseen + 1)
        - _log_gamma(more + 1.0)
        - _log_gamma(np.maximum(unseen - more, 0) + 1.0)
        + _log_gamma(alpha + more)
        + _log_gamma(beta + np.maximum(unseen - more, 0))
        - _log_gamma(alpha + beta + unseen)
        - (_log_gamma(alpha) + _log_gamma(beta) - _log_gamma(alpha + beta))
    )
    rank = nearer + more
    counts = (more <= unseen) & (rank < CUTOFF)
    return np.asarray(
        np.where(counts, np.exp(log_probability) / np.log2(np.minimum(rank, CUTOFF) + 2), 0.0).sum(axis=0)
    )
