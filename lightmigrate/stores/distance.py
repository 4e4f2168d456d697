"""Distances as `Metric` defines them, and a measurement of which one an index uses, whatever its database says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Collection, Metric
from lightmigrate.vectors import METRICS, meaningful

# Sample sizes for finding a usable vector; the second one is used when the first sample has none.
_RECORDS = (20, 2000)


def measured_space(collection: Collection) -> Metric | None:
    """The distance function that the index uses, determined from distances that it returns. Only reads.

    Searches for 2v and 3v, where v is a stored vector. This distinguishes the three functions also when all vectors
    have length 1, and when 2v·v is 1 and v is the only record.

    Returns:
        `l2`, `cosine` or `ip`; `None` when the collection is empty, or a sample holds only vectors that are
        zero or not finite.
    """
    samples = (collection.sample(n).vectors for n in _RECORDS)
    vector = next((rows[meaningful(rows)][0] for rows in samples if meaningful(rows).any()), None)
    if vector is None:
        return None
    queries = np.array([[2], [3]], np.float32) * vector
    ids, measured = collection.nearest(queries, min(10, collection.count()))
    page = collection.records(list({record: None for row in ids for record in row}))
    usable = np.flatnonzero(meaningful(page.vectors)).tolist()
    stored = {page.ids[row]: page.vectors[row : row + 1].astype(np.float64) for row in usable}
    errors: dict[Metric, float] = dict.fromkeys(METRICS, 0.0)
    for query, row, row_distances in zip(queries.astype(np.float64), ids, measured, strict=True):
        for record, distance in zip(row, row_distances, strict=True):
            if record in stored and np.isfinite(distance):
                for metric in METRICS:
                    errors[metric] += abs(distances(query, stored[record], metric)[0] - distance)
    measured_metric = min(METRICS, key=errors.__getitem__)
    return measured_metric if any(errors.values()) else None


def space_of(collection: Collection) -> Metric:
    """The distance function of the index, as the database states it where it cannot be measured. Only reads."""
    measured = measured_space(collection)
    if measured is not None:
        return measured
    stated = collection.facts().space
    return next((metric for metric in METRICS if metric == stated), "cosine")


def all_distances(
    queries: npt.NDArray[np.float64], stored: npt.NDArray[np.float64], metric: Metric
) -> npt.NDArray[np.float64]:
    """The distances from each of `(q, d)` to each of `(n, d)` by one product; float64 `(q, n)`. See `distances`."""
    products = queries @ stored.T
    squares = np.einsum("nd,nd->n", stored, stored)
    own = np.einsum("qd,qd->q", queries, queries)[:, None]
    if metric == "l2":
        return np.asarray(np.maximum(own + squares - 2 * products, 0))
    if metric == "cosine":
        lengths = np.sqrt(own * squares)
        cosines = np.zeros_like(products)
        np.divide(products, lengths, out=cosines, where=lengths > 0)
        return np.asarray(1 - cosines)
    return np.asarray(1 - products)


def distances(
    query: npt.NDArray[np.float64], stored: npt.NDArray[np.float64], metric: Metric
) -> npt.NDArray[np.float64]:
    """The distance from one vector `(d,)` to each of `(n, d)`, as `Metric` defines it; float64 `(n,)`.

    A zero vector has the cosine 0 with every vector.
    """
    if metric == "l2":
        return np.asarray(np.sum((stored - query) ** 2, axis=1))
    products = stored @ query
    if metric == "cosine":
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(query)
        cosines = np.zeros(len(stored))
        np.divide(products, lengths, out=cosines, where=lengths > 0)
        return 1 - cosines
    return np.asarray(1 - products)
