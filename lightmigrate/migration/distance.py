"""Another distance for a collection: with a migration to another model, or alone, when the vectors stay as they are."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.base import Texts
from lightmigrate.stores.base import Address, Metric, Page
from lightmigrate.vectors import METRICS, Vectors

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


def distance_command(database: str, address: Address, distance: str) -> str:
    """The command that changes only the distance of a collection.

    Args:
        database: what names the database on the command line, quoted.
        address: of the collection.
        distance: that it gets.
    """
    return f"lightmigrate migrate {database} --collection {shlex.quote(str(address))} --distance {distance}"
