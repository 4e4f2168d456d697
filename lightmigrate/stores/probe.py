"""What an index really does, found out by asking it; what a database says of itself is not always true."""

from __future__ import annotations

from typing import Any

import numpy as np

from lightmigrate.stores.base import Collection


def measured_space(collection: Collection) -> str | None:
    """The distance function the index really uses, told from distances it returns.

    A stored vector v is searched as 2v, which tells the three apart even when all vectors have length 1.

    Returns:
        `l2`, `cosine` or `ip`; `None` when the collection is empty or holds only zero vectors.
    """
    page = next(collection.pages(1000), None)
    if page is None or not page.vectors.any():
        return None
    stored = dict(zip(page.ids, page.vectors.astype(np.float64), strict=True))
    query = 2 * page.vectors[page.vectors.any(axis=1)][:1]
    ids, distances = collection.nearest(query, min(10, collection.count()))
    errors = dict.fromkeys(("l2", "cosine", "ip"), 0.0)
    for row, distance in zip(ids[0], distances[0], strict=True):
        if row in stored:
            for space, expected in _distances(query[0].astype(np.float64), stored[row]).items():
                errors[space] += abs(expected - distance)
    return min(errors, key=lambda space: errors[space]) if any(errors.values()) else None


def _distances(a: Any, b: Any) -> dict[str, float]:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return {
        "l2": float(np.sum((a - b) ** 2)),
        "cosine": 1 - float(a @ b) / lengths if lengths else 1.0,
        "ip": 1 - float(a @ b),
    }
