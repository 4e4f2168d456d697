"""What a collection was before its migration: what the new one is held against besides record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.migration.digest import settings_sha256
from lightmigrate.projection.vectors import Vectors, evenly, meaningful
from lightmigrate.stores.base import Collection, Page
from lightmigrate.stores.probe import measured_space

# Records looked at, in stretches all over the collection, and those of them searched for through the index.
SAMPLE = 500
STRETCHES = 50
SEARCHES = 100

# Chroma keeps float32, and in cosine collections a normalised vector and its length.
DISTANCE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Baseline:
    """A collection as it was.

    Attributes:
        records: how many there were.
        settings_sha256: digest of distance, index settings and metadata.
        space: distance function, measured on its index.
        found: share of stored vectors that a search through its index finds; `None` where that says nothing.
        ids: of a sample of records whose vectors mean something.
        vectors: theirs, float32 `(s, d)`.
        recall: recall@10 of its index; `None` where it was not measured.
    """

    records: int
    settings_sha256: str
    space: str | None
    found: float | None
    ids: Sequence[str]
    vectors: Vectors
    recall: float | None = None

    @classmethod
    def of(cls, collection: Collection, sample: Page | None = None) -> Baseline:
        """Look at an open collection, and at a sample of it that was read already; only reads."""
        sample = sample_of(collection) if sample is None else meaningful_rows(sample)
        space = measured_space(collection)
        return cls(
            records=collection.count(),
            settings_sha256=settings_sha256(collection),
            space=space,
            found=found_by_search(collection, sample.vectors, space),
            ids=sample.ids,
            vectors=sample.vectors,
        )


def sample_of(collection: Collection, most: int = SAMPLE) -> Page:
    """About so many records, from all over a collection, whose vectors mean something; only reads."""
    return meaningful_rows(scattered(collection, most))


def scattered(collection: Collection, most: int) -> Page:
    """About so many records, in stretches from all over a collection; only reads."""
    total = collection.count()
    each = -(-most // STRETCHES)
    starts = sorted({total * number // STRETCHES for number in range(STRETCHES)}) if total > most else [0]
    pages = [next(collection.pages(each if total > most else most, start), None) for start in starts]
    return Page.joined([page for page in pages if page is not None])


def meaningful_rows(page: Page) -> Page:
    """The records of a page whose vectors mean something."""
    return page.rows(np.flatnonzero(meaningful(page.vectors)).tolist())


def found_by_search(collection: Collection, vectors: Vectors, space: str | None) -> float | None:
    """Share of stored vectors `(s, d)`, of 100 all over them, that come back no farther than others when searched for.

    `None` when there are none, and by inner product, where the longest vector wins and not the same.
    """
    vectors = vectors[meaningful(vectors)]
    vectors = vectors[evenly(len(vectors), SEARCHES)]
    if not len(vectors) or space == "ip":
        return None
    _, distances = collection.nearest(vectors, 1)
    return float(
        np.mean([row[0] <= DISTANCE_TOLERANCE * max(1, v @ v) for row, v in zip(distances, vectors, strict=True)])
    )
