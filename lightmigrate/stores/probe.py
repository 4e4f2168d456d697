"""What an index really does, found out by asking it; what a database says of itself is not always true."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightmigrate.stores.base import Collection


def measured_space(collection: Collection) -> str | None:
    """The distance function the index really uses, told from distances it returns.

    A stored vector v is searched as 2v and 3v, which tells the three apart even when all vectors have length 1,
    and even when 2v·v is 1 and v is alone.

    Returns:
        `l2`, `cosine` or `ip`; `None` when the collection is empty or holds only zero vectors
        and such as are not finite.
    """
    page = next(collection.pages(1000), None)
    if page is None:
        return None
    telling = np.isfinite(page.vectors).all(axis=1) & page.vectors.any(axis=1)
    if not telling.any():
        return None
    stored = {page.ids[row]: page.vectors[row].astype(np.float64) for row in np.flatnonzero(telling).tolist()}
    queries = np.array([[2], [3]], np.float32) * page.vectors[telling][:1]
    ids, distances = collection.nearest(queries, min(10, collection.count()))
    errors = dict.fromkeys(("l2", "cosine", "ip"), 0.0)
    for query, found, measured in zip(queries.astype(np.float64), ids, distances, strict=True):
        for row, distance in zip(found, measured, strict=True):
            if row in stored and np.isfinite(distance):
                for space, expected in _distances(query, stored[row]).items():
                    errors[space] += abs(expected - distance)
    return min(errors, key=lambda space: errors[space]) if any(errors.values()) else None


def _distances(a: Any, b: Any) -> dict[str, float]:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return {
        "l2": float(np.sum((a - b) ** 2)),
        "cosine": 1 - float(a @ b) / lengths if lengths else 1.0,
        "ip": 1 - float(a @ b),
    }
