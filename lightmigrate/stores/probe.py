"""What an index really does, found out by asking it; what a database says of itself is not always true."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lightmigrate.projection.vectors import meaningful
from lightmigrate.stores.base import Collection

# A vector that means something is looked for in so many pages of so many records.
_PAGES = 100
_RECORDS = 20


def measured_space(collection: Collection) -> str | None:
    """The distance function the index really uses, told from distances it returns.

    A stored vector v is searched as 2v and 3v, which tells the three apart even when all vectors have length 1,
    and even when 2v·v is 1 and v is alone.

    Returns:
        `l2`, `cosine` or `ip`; `None` when the collection is empty or begins with nothing but zero vectors
        and such as are not finite.
    """
    pages = (page.vectors for page in itertools.islice(collection.pages(_RECORDS), _PAGES))
    vector = next((rows[meaningful(rows)][0] for rows in pages if meaningful(rows).any()), None)
    if vector is None:
        return None
    queries = np.array([[2], [3]], np.float32) * vector
    ids, distances = collection.nearest(queries, min(10, collection.count()))
    found = collection.records(list({one: None for row in ids for one in row}))
    telling = meaningful(found.vectors)
    stored = {found.ids[row]: found.vectors[row].astype(np.float64) for row in np.flatnonzero(telling).tolist()}
    errors = dict.fromkeys(("l2", "cosine", "ip"), 0.0)
    for query, row, measured in zip(queries.astype(np.float64), ids, distances, strict=True):
        for one, distance in zip(row, measured, strict=True):
            if one in stored and np.isfinite(distance):
                for space, expected in _distances(query, stored[one]).items():
                    errors[space] += abs(expected - distance)
    return min(errors, key=lambda space: errors[space]) if any(errors.values()) else None


def _distances(a: Any, b: Any) -> dict[str, float]:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return {
        "l2": float(np.sum((a - b) ** 2)),
        "cosine": 1 - float(a @ b) / lengths if lengths else 1.0,
        "ip": 1 - float(a @ b),
    }
