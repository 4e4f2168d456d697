"""Another distance for a collection: with a migration to another model, or alone, when the vectors stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.base import Texts
from lightmigrate.stores.base import Metric, Page, Store
from lightmigrate.vectors import METRICS, Vectors

if TYPE_CHECKING:
    from lightmigrate.migration.request import Request

# The name of both models, in the header of a projection that changes nothing.
SAME = "the same"


@dataclass(frozen=True)
class SameVectors:
    """A step that returns the vectors as they are.

    Attributes:
        shape: `(d, d)`.
    """

    shape: tuple[int, int]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The vectors `(n, d)`."""
        return vectors


def same_vectors(dimension: int) -> Projection:
    """In the form of a projection: the vectors stay as they are. Exact; it has no quality that could be measured."""
    model = Model(SAME, dimension, normalised=False)
    return Projection((SameVectors((dimension, dimension)),), ProjectionInfo(model, model, {"method": "same vectors"}))


def keeps_vectors(projection: Projection) -> bool:
    """Whether a projection is `same_vectors`."""
    return isinstance(projection.steps[0], SameVectors)


def centre_of(sample: Page | None) -> Vectors | None:
    """The mean of the vectors of a sample, `(d,)`; `None` for an empty one."""
    return np.asarray(sample.vectors.mean(axis=0, dtype=np.float64), np.float32) if sample else None


def require_distance(name: str | None) -> Metric | None:
    """A distance by its name; `None` for `None`.

    Raises:
        LightmigrateError: there is no such distance.
    """
    known = next((metric for metric in METRICS if metric == name), None)
    if name is not None and known is None:
        raise LightmigrateError(f"there is no distance {name!r}: give one of {', '.join(METRICS)}")
    return known


def require_changeable(store: Store, requests: Iterable[Request]) -> None:
    """Raise `RefusedError` when a request is for another distance and the store cannot change it. Only reads."""
    for request in requests:
        address, distance = request.address, request.distance
        if distance is None or store.collection(address).facts().space == distance:
            continue
        if (reason := store.fixed_distance(address)) is not None:
            raise RefusedError(f"the distance of {address} cannot be changed to {distance}: {reason}")
