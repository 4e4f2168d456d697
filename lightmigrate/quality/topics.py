"""Rows cut into topics: those that lie together, however many topics there are, without a choice of seeds.

Each row is linked to its first neighbour; what hangs together is a cluster, and the clusters' means are linked the same
way, until there are few enough (FINCH: Sarfraz, Sharma and Stiefelhagen, CVPR 2019). A row's first neighbour is almost
never of another model, so topics are of one model each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.metrics import unit

Labels = npt.NDArray[np.int64]

# Where the next step would leave fewer topics than this, it is not taken: models would be joined.
FEWEST_TOPICS = 4


def cut_into_topics(rows: npt.NDArray[Any], most: int) -> Labels:
    """The topic of each of the rows `(n, d)` of length 1, int64 `(n,)` from 0: at most `most` of them, where that goes.

    Takes n² numbers of memory.
    """
    topic = _hanging_together(rows)
    while topic.max() + 1 > most:
        joined = _hanging_together(unit(sums(rows, topic)))
        if joined.max() + 1 < FEWEST_TOPICS:
            break
        topic = joined[topic]
    return topic


def sums(rows: npt.NDArray[Any], label: Labels) -> npt.NDArray[Any]:
    """The sum of the rows `(n, d)` of each label, `(labels, d)`."""
    total = np.zeros((int(label.max()) + 1, rows.shape[1]), dtype=rows.dtype)
    np.add.at(total, label, rows)
    return total


def _hanging_together(rows: npt.NDArray[Any]) -> Labels:
    """The connected components of the graph that links each row to its first neighbour."""
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    first = similarity.argmax(axis=1)
    label = np.arange(len(rows))
    while True:  # the smallest row number within reach travels along the links, both ways
        lower = np.minimum(label, label[first])
        np.minimum.at(lower, first, lower)
        if (lower == label).all():
            return np.asarray(np.unique(label, return_inverse=True)[1].reshape(-1), dtype=np.int64)
        label = lower
