"""Is a projection meant for these vectors? Asked of the stored vectors, before anything is built."""

from __future__ import annotations

import numpy as np

from lightmigrate.errors import WrongSpaceError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Collection

SAMPLE = 500
STRETCHES = 10


def require_fitting(collection: Collection, projection: Projection) -> None:
    """Raise `WrongSpaceError` when the stored vectors are not of the model that the projection starts from. Only reads.

    Says nothing when that cannot be told: a projection that keeps no sketch of its spaces, or few vectors.
    """
    source, target = projection.spaces
    if source is None:
        return
    vectors = _sample(collection)
    if source.holds(vectors):
        return
    info = projection.info
    found = (
        f"collection {collection.address}: its vectors are not {info.source.name}'s: they are "
        f"{source.likeness(vectors):.2f} times as like them as by chance, {source.own:.2f} is usual"
    )
    if target is not None and target.directions.shape[1] == vectors.shape[1] and target.holds(vectors):
        raise WrongSpaceError(
            f"{found}; they are {info.target.name}'s already ({target.likeness(vectors):.2f}): it was migrated before, "
            "or the projection leads the wrong way"
        )
    raise WrongSpaceError(f"{found}; use a projection for the model that made them, or force it")


def _sample(collection: Collection) -> Vectors:
    """Up to 500 vectors that mean something, from stretches all over the collection."""
    total = collection.count()
    each = max(1, SAMPLE // STRETCHES)
    starts = sorted({total * number // STRETCHES for number in range(STRETCHES)})
    pages = [next(collection.pages(each, start), None) for start in starts]
    vectors = np.concatenate([page.vectors for page in pages if page is not None])
    good = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    return np.asarray(vectors[good], dtype=np.float32)
