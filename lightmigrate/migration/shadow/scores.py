"""Measures how distances move while a shadow is built: the vectors pass by once, in both spaces. And keeps that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.job import Job
from lightmigrate.migration.recall import QUERIES, Exact
from lightmigrate.migration.results import MigrationResult
from lightmigrate.progress import logger
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.stored import keep_scores
from lightmigrate.stores.base import Store
from lightmigrate.stores.defaults import id_of
from lightmigrate.stores.distance import measured_space
from lightmigrate.vectors import Vectors, evenly


class ScoreMeasurement:
    """The distances from some records to all, in both spaces. Calls the model only as projecting the records does.

    Args:
        job: the source and its projection.

    Attributes:
        space: the distance of the source's index; `None` where it cannot be measured.
    """

    def __init__(self, job: Job) -> None:
        self._address = job.source.address
        self._spaces: tuple[Exact, Exact] | None = None
        self.space = space = measured_space(job.source)
        if space is not None:
            sample = sample_of(job.source)
            sample = sample.rows(np.flatnonzero(job.valid(sample.vectors)).tolist())
            chosen = sample.rows(evenly(len(sample), QUERIES))
            new_space = job.distance or space
            self._spaces = Exact(chosen.vectors, space), Exact(job.new_vectors(chosen), new_space)

    def add(self, before: Vectors, now: Vectors) -> None:
        """Add the old vectors `(n, d)` and the new ones `(n, d_out)` of some records."""
        if self._spaces is not None:
            for exact, vectors in zip(self._spaces, (before, now), strict=True):
                exact.add(vectors)

    def shift(self) -> ScoreShift | None:
        """How distances moved; `None` where there was nothing to measure."""
        if self._spaces is None:
            return None
        before, now = (exact.distances() for exact in self._spaces)
        return ScoreShift.of(self._address, before, now)


def keep_measured(place: Path, store: Store, migrated: Sequence[MigrationResult]) -> None:
    """Keep how distances moved beside a database. Writes there; a full disk fails no migration that is done.

    Args:
        place: the folder for files about the database.
        store: the database.
        migrated: what was migrated.
    """
    moved = [result.scores for result in migrated if result.scores is not None]
    if not moved:
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
        shifts = {id_of(store.collection(shift.address)): shift for shift in moved}
        keep_scores(place, shifts)
    except (OSError, LightmigrateError) as error:
        logger.warning("%s: how distances moved could not be kept: %s", store, error)
