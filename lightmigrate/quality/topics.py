"""Clusters rows into topics, without a given number of clusters and without random seeds.

Each row is linked to its nearest neighbour; the connected components are clusters, whose means are clustered the same
way until there are few enough (FINCH: Sarfraz, Sharma and Stiefelhagen, CVPR 2019). A row's nearest neighbour is almost
never of another model, so each topic has rows of one model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.metrics import unit

Labels = npt.NDArray[np.int64]

# A step that would leave fewer topics is not taken: it would merge models.
FEWEST_TOPICS = 4


def cut_into_topics(rows: npt.NDArray[Any], most: int) -> Labels:
    """The topic of each of the rows `(n, d)` of length 1, int64 `(n,)` from 0; at most `most` topics, if possible.

    Needs memory for n² numbers.
    """
    topic = _connected(rows)
    while topic.max() + 1 > most:
        joined = _connected(unit(sums(rows, topic)))
        if joined.max() + 1 < FEWEST_TOPICS:
            break
        topic = joined[topic]
    return topic


def sums(rows: npt.NDArray[Any], label: Labels) -> npt.NDArray[Any]:
    """The sum of the rows `(n, d)` of each label, `(labels, d)`."""
    total = np.zeros((int(label.max()) + 1, rows.shape[1]), dtype=rows.dtype)
    np.add.at(total, label, rows)
    return total


def _connected(rows: npt.NDArray[Any]) -> Labels:
    """The connected components of the graph that links each row to its nearest neighbour."""
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    first = similarity.argmax(axis=1)
    label = np.arange(len(rows))
    while True:  # propagate the smallest row number of a component along its links
        lower = np.minimum(label, label[first])
        np.minimum.at(lower, first, lower)
        if (lower == label).all():
            return np.asarray(np.unique(label, return_inverse=True)[1].reshape(-1), dtype=np.int64)
        label = lower
