"""One collection is written again through a projection, page by page, into a new one beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lightmigrate.errors import InvalidVectorsError
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Collection, Page, Store

# What to do with vectors that hold NaN or infinity or are all zero.
InvalidVectors = Literal["refuse", "centre"]


@dataclass(frozen=True)
class Job:
    """One collection to migrate, everything found and checked.

    Attributes:
        source: the open collection.
        projection: for its vectors.
        embedding_function: `name` and `config` to record on the new collection; `None` keeps the record.
        invalid_vectors: `refuse` stops at vectors that mean nothing, `centre` puts the centre of the new
            space in their place, which keeps their records.
    """

    source: Collection
    projection: Projection
    embedding_function: Mapping[str, Any] | None
    invalid_vectors: InvalidVectors


def rebuild(
    store: Store, job: Job, name: str, page_size: int, on_progress: OnProgress, partial: Collection | None = None
) -> Collection:
    """Write `job.source` through its projection into a new collection called `name`, in the same order.

    Args:
        store: holds the source; the new collection is made in the same database.
        job: what to do.
        name: a free name.
        page_size: records held in memory at once.
        on_progress: hears about every page.
        partial: what an interrupted call has written: the first records, because each write is whole or not at all.

    Raises:
        InvalidVectorsError: vectors that mean nothing, and `job.invalid_vectors` is `refuse`.
    """
    if partial is not None and not partial.count():  # it may have been created only in part
        partial.delete()
        partial = None
    target = partial or store.create_like(job.source, name, job.embedding_function)
    total, done = job.source.count(), target.count()
    invalid: list[str] = []
    for page in job.source.pages(page_size, done):
        if job.invalid_vectors == "refuse":
            invalid += [page.ids[row] for row in np.flatnonzero(~meaningful(page.vectors)).tolist()]
        if not invalid:  # after the first, the rest is only looked through, to name them all
            target.add(page.with_vectors(project(job.projection, page)))
        done += len(page)
        on_progress(Progress("project", done, total, job.source.address.name))
    if invalid:
        raise InvalidVectorsError(
            f"{len(invalid)} of {total} vectors in {job.source.address} hold NaN or infinity or are all zero: embed "
            "those documents again, or pass invalid_vectors='centre' (--invalid-vectors centre) to keep their "
            "records with the centre of the new space as vector",
            ids=invalid,
        )
    return target


def meaningful(vectors: Vectors) -> Any:
    """Which rows of `(n, d)` say something: finite and not all zero. bool `(n,)`."""
    return np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)


def project(projection: Projection, page: Page) -> Vectors:
    """The page's vectors in the new space, float32 `(n, d_out)`; rows that say nothing become its centre."""
    vectors = page.vectors
    good = meaningful(vectors)
    if not good.all():
        vectors = np.where(good[:, None], vectors, np.float32(0))  # the image of 0 is the bias: the centre
    return projection.apply(vectors, page.documents)
