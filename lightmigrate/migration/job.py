"""One collection to migrate, and what happens to each page of its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from lightmigrate.errors import InvalidVectorsError
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors, meaningful
from lightmigrate.stores.base import Collection, Page
from lightmigrate.stores.with_texts import documents_of

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
        texts: of its records by id, where it does not store them; they are read, and not written.
    """

    source: Collection
    projection: Projection
    embedding_function: Mapping[str, Any] | None
    invalid_vectors: InvalidVectors
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass
class InvalidRows:
    """Gathers the records a job must refuse, so that one message can name how many there are.

    Attributes:
        job: what is being done.
        ids: of the records found so far whose vectors mean nothing; none when the job takes them.
    """

    job: Job
    ids: list[str] = field(default_factory=list)

    def look(self, page: Page) -> bool:
        """Take in a page; returns whether everything so far can be migrated."""
        if self.job.invalid_vectors == "refuse":
            self.ids += [page.ids[row] for row in np.flatnonzero(~meaningful(page.vectors)).tolist()]
        return not self.ids

    def require_none(self, total: int) -> None:
        """Raise `InvalidVectorsError` when there are any among `total`."""
        if self.ids:
            raise InvalidVectorsError(
                f"{len(self.ids)} of {total} vectors in {self.job.source.address} hold NaN or infinity or are all "
                "zero: embed those documents again, or pass invalid_vectors='centre' (--invalid-vectors centre) to "
                "keep their records with the centre of the new space as vector",
                ids=self.ids,
            )


def project(projection: Projection, page: Page, texts: Mapping[str, str] | None = None) -> Vectors:
    """The page's vectors in the new space, float32 `(n, d_out)`; rows that say nothing become its centre."""
    return projected(projection, page.vectors, documents_of(page, texts or {}))


def projected(projection: Projection, vectors: Vectors, documents: Sequence[str | None] | None) -> Vectors:
    """Vectors `(n, d)`, and the documents where there are any, in the new space; see `project`."""
    good = meaningful(vectors)
    if not good.all():
        vectors = np.where(good[:, None], vectors, np.float32(0))  # the image of 0 is the bias: the centre
    return projection.apply(vectors, documents)
