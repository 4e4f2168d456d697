"""The state of a collection before its migration, which the new collection as a whole is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.migration.digest import settings_sha256
from lightmigrate.stores.base import Collection, Page
from lightmigrate.stores.distance import measured_space
from lightmigrate.vectors import Metric, Vectors, evenly, meaningful

# Records sampled evenly from the whole collection, and how many of their vectors are searched for in the index.
SAMPLE = 500
SEARCHES = 100

# Chroma stores float32, and in cosine collections a normalised vector and its length.
DISTANCE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Baseline:
    """The state of a collection before its migration.

    Attributes:
        records: number of records.
        settings_sha256: digest of distance, index settings and metadata.
        space: distance function, measured on the index.
        found: share of stored vectors that a search through the index finds; `None` where it cannot be measured.
        ids: ids of the sampled records, all of which have a usable vector.
        vectors: the sampled vectors, float32 `(s, d)`.
        recalls: recall@10 of the index for each of some queries; empty where it was not measured.
        distance: that the new index is to have; `None` for that of the old one.
        new_settings_sha256: `settings_sha256` of the new collection.
    """

    records: int
    settings_sha256: str
    space: Metric | None
    found: float | None
    ids: Sequence[str]
    vectors: Vectors
    recalls: Sequence[float] = ()
    distance: Metric | None = None
    new_settings_sha256: str = ""

    @property
    def recall(self) -> float | None:
        """recall@10 of the index; `None` where it was not measured."""
        return float(np.mean(self.recalls)) if len(self.recalls) else None

    @property
    def new_space(self) -> Metric | None:
        """The distance that is to be measured on the new index; `None` where none can be measured."""
        return None if self.space is None else self.distance or self.space

    @classmethod
    def of(
        cls,
        collection: Collection,
        sample: Page | None = None,
        distance: Metric | None = None,
        space: Metric | None = None,
    ) -> Baseline:
        """The baseline of an open collection. Only reads.

        Args:
            collection: the open collection.
            sample: saves reading one again.
            distance: that it is to have afterwards; `None` for its own.
            space: its distance function, where that was measured already.
        """
        sample = sample_of(collection) if sample is None else meaningful_rows(sample)
        space = space or measured_space(collection)
        settings = settings_sha256(collection)
        return cls(
            records=collection.count(),
            settings_sha256=settings,
            space=space,
            found=found_by_search(collection, sample.vectors, space),
            ids=sample.ids,
            vectors=sample.vectors,
            distance=distance,
            new_settings_sha256=settings if distance is None else settings_sha256(collection, distance),
        )


def sample_of(collection: Collection, most: int = SAMPLE) -> Page:
    """About `most` records, evenly from the whole collection, that have usable vectors. Only reads."""
    return meaningful_rows(collection.sample(most))


def meaningful_rows(page: Page) -> Page:
    """The records of a page that have usable vectors: finite and not all zero."""
    return page.rows(np.flatnonzero(meaningful(page.vectors)).tolist())


def found_by_search(collection: Collection, vectors: Vectors, space: str | None, neighbours: int = 1) -> float | None:
    """Share of up to 100 of the stored vectors `(s, d)` that a search for them finds at distance zero. Only reads.

    With many `neighbours` a search follows more links: what it still does not find is hardly in the index.

    `None` when no vector is usable, and for the inner product, where the nearest vector to a vector is often a longer
    one and not itself.
    """
    vectors = vectors[meaningful(vectors)]
    vectors = vectors[evenly(len(vectors), SEARCHES)]
    if not len(vectors) or space == "ip":
        return None
    most = neighbours if neighbours == 1 else min(neighbours, collection.count())
    _, distances = collection.nearest(vectors, most)
    return float(
        np.mean([row[0] <= DISTANCE_TOLERANCE * max(1, v @ v) for row, v in zip(distances, vectors, strict=True)])
    )
