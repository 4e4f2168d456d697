"""One collection to migrate, and the projection of each page of its vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import InvalidVectorsError, NothingToMigrateError
from lightmigrate.migration.distance import keeps_vectors
from lightmigrate.migration.partly_exact import projected_rows
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Collection, Metric, Page
from lightmigrate.texts.source import STORED, TextSource
from lightmigrate.vectors import Vectors, finite_rows, meaningful, normalise_rows, with_direction

# What to do with vectors that hold NaN or infinity or are all zero.
InvalidVectors = Literal["refuse", "centre"]


@dataclass(frozen=True)
class Job:
    """One collection to migrate, opened and checked.

    Attributes:
        source: the open collection.
        projection: the projection of its vectors.
        invalid_vectors: `refuse` stops at invalid vectors (NaN, infinity, all zero); `centre` replaces them by the
            centre of the new space, which keeps their records.
        texts: where the texts come from that the projection reads; they are not written.
        anew: whether the new vectors come from the texts alone, and the old ones are not read.
        distance: of the new index; `None` for that of the old one.
        centre: the vector `(d,)` that invalid ones are replaced by where the vectors stay as they are.
        unit: whether the new vectors get length 1, because the new collection stores only their direction.
        moved: called with records of the source and the new vectors that an open database is about to get for them;
            `None` for nobody.
    """

    source: Collection
    projection: Projection
    invalid_vectors: InvalidVectors
    texts: TextSource = STORED
    anew: bool = False
    distance: Metric | None = None
    centre: Vectors | None = None
    unit: bool = False
    moved: Callable[[Page, Vectors], None] | None = None

    def valid(self, vectors: Vectors) -> npt.NDArray[np.bool_]:
        """Which of the stored vectors `(n, d)` can be migrated: bool `(n,)`.

        One that stays as it is may be all zero, except in an index by cosine.
        """
        if not keeps_vectors(self.projection):
            return meaningful(vectors)
        return with_direction(vectors) if self.distance == "cosine" else finite_rows(vectors)

    def new_vectors(self, page: Page) -> Vectors:
        """The page's vectors in the new space, float32 `(n, d_out)`; made anew, NaN where the text is missing."""
        vectors = self._new_vectors(page)
        if self.unit:
            vectors = vectors.copy()
            normalise_rows(vectors)
        return vectors

    def _new_vectors(self, page: Page) -> Vectors:
        if self.anew:
            return self.projection.steps[0].apply(page.vectors, self.texts.texts_of(page))
        if keeps_vectors(self.projection):
            valid = self.valid(page.vectors)
            return page.vectors if valid.all() else np.where(valid[:, None], page.vectors, self._centre())
        return project(self.projection, page, self.texts)

    def _centre(self) -> Vectors:
        if self.centre is None:
            raise NothingToMigrateError(
                f"no vector of {self.source.address} can be compared by {self.distance}: embed its documents again"
            )
        return self.centre


@dataclass
class InvalidRows:
    """Collects the records with invalid vectors, so that one error message can give their number.

    Attributes:
        job: the job whose records are checked.
        ids: ids of the records with invalid vectors so far; empty when the job accepts them.
    """

    job: Job
    ids: list[str] = field(default_factory=list)

    def look(self, page: Page) -> bool:
        """Check a page; returns whether all records so far can be migrated."""
        if self.job.invalid_vectors == "refuse" and not self.job.anew:
            invalid = np.flatnonzero(~self.job.valid(page.vectors)).tolist()
            self.ids += self._projected(page.rows(invalid)) if invalid else []
        return not self.ids

    def _projected(self, page: Page) -> Sequence[str]:
        """The ids of those records of a page that need their stored vectors: all that the new model does not embed."""
        texts = self.job.texts.texts_of(page)
        if len(projected_rows(self.job.projection, texts)) < len(page):
            project(self.job.projection, page, self.job.texts)  # only then it is known which texts the model refuses
        return [page.ids[row] for row in projected_rows(self.job.projection, texts)]

    def require_none(self, total: int) -> None:
        """Raise `InvalidVectorsError` when any of `total` records was invalid."""
        if self.ids and self.job.anew:
            raise InvalidVectorsError(
                f"{len(self.ids)} of {total} records in {self.job.source.address} have no text that the new model "
                "embeds, and their vectors are lost: give their texts by id (--texts FILE.jsonl), or pass "
                "invalid_vectors='centre' (--invalid-vectors centre) to keep these records with the centre of the new "
                "space as vector",
                ids=self.ids,
            )
        if self.ids and keeps_vectors(self.job.projection):
            raise InvalidVectorsError(
                f"{len(self.ids)} of {total} vectors in {self.job.source.address} cannot be compared by "
                f"{self.job.distance}: they hold NaN or infinity, or are all zero and have no direction; embed those "
                "documents again, or pass invalid_vectors='centre' (--invalid-vectors centre) to keep their records "
                "with the mean of the others as vector",
                ids=self.ids,
            )
        if self.ids:
            raise InvalidVectorsError(
                f"{len(self.ids)} of {total} vectors in {self.job.source.address} hold NaN or infinity or are all "
                "zero: embed those documents again, or pass invalid_vectors='centre' (--invalid-vectors centre) to "
                "keep their records with the centre of the new space as vector",
                ids=self.ids,
            )


def project(projection: Projection, page: Page, texts: TextSource = STORED) -> Vectors:
    """The page's vectors in the new space, float32 `(n, d_out)`; invalid rows become its centre."""
    return projected(projection, page.vectors, texts.texts_of(page))


def projected(projection: Projection, vectors: Vectors, texts: Sequence[str | None] | None) -> Vectors:
    """Vectors `(n, d)`, and their texts where there are any, in the new space; see `project`."""
    good = meaningful(vectors)
    if not good.all():
        vectors = np.where(good[:, None], vectors, np.float32(0))  # the projection of 0 is the bias: the centre
    return projection.apply(vectors, texts)
