"""Checks on a sample of stored vectors that a projection is meant for them, before anything is built."""

from __future__ import annotations

import numpy as np

from lightmigrate.errors import MixedCollectionError, WrongSpaceError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.space import Space
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.stores.base import Address
from lightmigrate.vectors import Vectors


def require_fitting(address: Address, vectors: Vectors, projection: Projection) -> None:
    """Check that a sample of a collection's vectors, `(n, d)`, all come from the projection's source model.

    Passes when this cannot be decided: no or too few vectors, or a projection without a sketch of its source space
    (then only a mixture of several models is refused). Only reads.

    Raises:
        MixedCollectionError: the vectors come from several models.
        WrongSpaceError: the vectors come from another model.
    """
    if not len(vectors):
        return
    source, target = projection.spaces
    info = projection.info
    _require_one_model(address, vectors, info.source.name, source)
    if source is None or source.holds(vectors):
        return
    finding = (
        f"collection {address}: its vectors are not {info.source.name}'s: their likeness is "
        f"{source.likeness(vectors):.2f} (1 by chance), {source.own:.2f} is usual"
    )
    if target is not None and target.directions.shape[1] == vectors.shape[1] and target.holds(vectors):
        raise WrongSpaceError(
            f"{finding}; they are {info.target.name}'s already ({target.likeness(vectors):.2f}): "
            "it was migrated before, or the projection leads the wrong way"
        )
    raise WrongSpaceError(f"{finding}; use a projection for the model that made them, or add --force")


def _require_one_model(address: Address, vectors: Vectors, model: str, source: Space | None) -> None:
    mixture = find_mixture(vectors)
    if mixture is None:
        return
    labels = np.array(mixture.labels)
    if source is None:
        likeness_note = ""
    else:
        likenesses = [source.likeness(vectors[labels == part]) for part in range(len(mixture.counts))]
        shares = " and ".join(f"{likeness:.2f}" for likeness in likenesses)
        likeness_note = f"; their likeness to {model}'s is {shares} (1 by chance)"
    raise MixedCollectionError(
        f"collection {address}: of {len(vectors):,} vectors looked at, {mixture.reason}{likeness_note}; one "
        "projection fits one model: embed all of it (migrate --collection NAME --target-model MODEL), or add --force",
        counts=mixture.counts,
        looked_at=len(vectors),
    )
