"""Extrapolates the overlap of rankings from a sample to the whole collection.

The ten nearest of a hundred thousand documents are nearer, and harder to tell apart, than the ten nearest of a hundred.
The model is a Gaussian copula: after a monotone transformation true and projected similarities are normal and
correlated. Their correlation then determines the overlap at any depth.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()

# Points of the numerical integration over the tail; steps of the bisection for the correlation.
POINTS = 100
HALVINGS = 30


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
