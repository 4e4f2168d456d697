"""Is a projection meant for these vectors? Asked of a sample of the stored ones, before anything is built."""

from __future__ import annotations

import numpy as np

from lightmigrate.errors import MixedCollectionError, WrongSpaceError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.space import Space
from lightmigrate.projection.vectors import Vectors
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.stores.base import Address


def require_fitting(address: Address, vectors: Vectors, projection: Projection) -> None:
    """Look whether vectors of a collection, `(n, d)`, are of one model, the one that the projection starts from.

    Says nothing when that cannot be told: few vectors, or a projection that keeps no sketch of its spaces, of which
    only the first is asked then.

    Raises:
        MixedCollectionError: they are of several models.
        WrongSpaceError: they are of another model.
    """
    source, target = projection.spaces
    info = projection.info
    _require_one_model(address, vectors, info.source.name, source)
    if source is None or source.holds(vectors):
        return
    found = (
        f"collection {address}: its vectors are not {info.source.name}'s: they are "
        f"{source.likeness(vectors):.2f} times as like them as by chance, {source.own:.2f} is usual"
    )
    if target is not None and target.directions.shape[1] == vectors.shape[1] and target.holds(vectors):
        raise WrongSpaceError(
            f"{found}; they are {info.target.name}'s already ({target.likeness(vectors):.2f}): it was migrated before, "
            "or the projection leads the wrong way"
        )
    raise WrongSpaceError(f"{found}; use a projection for the model that made them, or force it")


def _require_one_model(address: Address, vectors: Vectors, model: str, source: Space | None) -> None:
    mixture = find_mixture(vectors)
    if mixture is None:
        return
    labels = np.array(mixture.labels)
    if source is None:
        whose = ""
    else:
        alike = [source.likeness(vectors[labels == part]) for part in range(len(mixture.counts))]
        whose = f"; they are {' and '.join(f'{one:.2f}' for one in alike)} times as like {model}'s as by chance"
    raise MixedCollectionError(
        f"collection {address}: of {len(vectors):,} vectors looked at, {mixture.reason}{whose}; one "
        "projection fits one model: embed the rows of the others again first, or force it",
        counts=mixture.counts,
        looked_at=len(vectors),
    )
