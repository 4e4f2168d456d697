"""From the first documents among few to the first among many: what a sample says of searches in a whole collection.

The ten nearest of a hundred thousand documents are nearer, and harder to tell apart, than the ten nearest of a hundred.
True and mapped similarities are taken for a Gaussian copula: after a monotone change of scale both are normal and
correlated. One number, the correlation, then says how many of the first are shared at any depth.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

NORMAL = NormalDist()

# Points at which the tail is integrated; halvings of the interval the correlation is sought in.
POINTS = 100
HALVINGS = 30


def carried(overlap: float, depth: float, to: float) -> float:
    """The overlap to expect at another depth.

    Args:
        overlap: share of the truly nearest documents that are found among the nearest mapped ones, in [0, 1].
        depth: the share of all documents that was looked at, in (0, 1).
        to: the share that is asked for, in (0, 1).
    """
    if depth == to or overlap >= 1:
        return overlap
    low, high = 0.0, 1.0
    if overlap <= depth:  # no better than chance, which finds less among more
        return overlap * to / depth
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if shared(middle, depth) < overlap else (low, middle)
    return shared((low + high) / 2, to)


def shared(correlation: float, depth: float) -> float:
    """Of the documents with one score in the top `depth` of all, the share whose other score is there, too.

    Args:
        correlation: of the two scores, both normal, in [0, 1].
        depth: in (0, 1).
    """
    if correlation >= 1:
        return 1.0
    least = NORMAL.inv_cdf(1 - depth)
    ranks = (np.arange(POINTS) + 0.5) / POINTS * depth
    spread = float(np.sqrt(1 - correlation**2))
    found = (NORMAL.cdf((correlation * NORMAL.inv_cdf(1 - rank) - least) / spread) for rank in ranks)
    return sum(found) / POINTS
