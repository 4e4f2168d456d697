"""A collection of a folder that only this process has open, whose records are read from the files.

Everything else is asked of Chroma, and so is a sample of the records: the files are believed only where they give the
same values for it as Chroma does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lightmigrate.errors import DatabaseError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Page
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.stored import RowDigest, StoredRecords
from lightmigrate.stores.page import spread_rows

# Records that both are asked for; a collection that has no more is read through Chroma.
SAMPLED = 1000

_FAULTS = (ValueError, OSError, sqlite3.Error)

_T = TypeVar("_T")


@dataclass
class ChromaRecordsInFiles:
    """All records of a collection, read from the files. See `stores.files.RecordsInFiles`.

    Attributes:
        collection: the collection, open.
        stored: its files.
        state: of the files, when they were compared with what Chroma says.
        scanned_sha256: `contents_sha256` of the last complete scan, if any.
    """

    collection: ChromaCollection
    stored: StoredRecords
    state: object
    scanned_sha256: str | None = None

    @classmethod
    def of(
        cls, collection: ChromaCollection, open_files: Callable[[], StoredRecords | None]
    ) -> ChromaRecordsInFiles | None:
        """The records of a collection; `None` where only Chroma can read them. Only reads.

        Args:
            collection: the collection, open.
            open_files: opens its files.
        """
        records = collection.count()  # first of all: then Chroma brings its tables up to date
        if records <= SAMPLED:
            return None
        try:
            stored = open_files()
            if stored is None or len(stored.numbers) != records:
                return None
            state = stored.state()
            # the rows of the sample that everything looks at, which is asked for once
            page, missing = stored.rows(spread_rows(records, SAMPLED))
        except _FAULTS as error:
            logger.info("%s: its files cannot be read without Chroma (%s)", collection.address, error)
            return None
        seen = collection.sample(SAMPLED)
        if list(seen.ids) != list(page.ids):
            seen = collection.records(page.ids)
        if not _same(page, missing, seen):
            logger.warning("%s: Chroma says other things than its files; reading through Chroma", collection.address)
            return None
        return cls(collection, stored, state)

    def again(self) -> ChromaRecordsInFiles | None:
        """The same, for another reader; `None` where the files were written to since. Only reads."""
        try:
            return replace(self, scanned_sha256=None) if self.stored.state() == self.state else None
        except OSError:
            return None

    def scan(self, size: int, *, contents: bool = True, vectors: bool = True) -> Iterator[Page]:
        """All records; see `stores.files.RecordsInFiles`."""
        digest = RowDigest()
        pages = self.stored.pages(size, contents=contents, vectors=vectors, digest=digest)
        while (read := self._careful(lambda: next(pages, None))) is not None:
            page, missing = read
            yield self._completed(page, missing) if missing else page
        if self.stored.state() != self.state:
            raise self._fault("they were written to meanwhile")
        self.scanned_sha256 = digest.sha256

    def contents_sha256(self) -> str:
        """Digest of all records without their vectors; see `stores.files.RecordsInFiles`."""
        return self.scanned_sha256 or self._careful(self.stored.contents_sha256)

    def _completed(self, page: Page, missing: list[int]) -> Page:
        """The page with the vectors that only Chroma knows."""
        asked = [page.ids[row] for row in missing]
        answer = self.collection.records(asked)
        if list(answer.ids) != asked:
            raise self._fault("Chroma lacks records that its tables have")
        vectors = page.vectors.copy()
        vectors[missing] = answer.vectors
        return replace(page, vectors=vectors)

    def _careful(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except _FAULTS as error:
            raise self._fault(str(error)) from None

    def _fault(self, what: str) -> DatabaseError:
        return DatabaseError(
            f"collection {self.collection.address}: its files cannot be read ({what}); run this again with  "
            "--verify full  to have everything read through Chroma"
        )


def _same(page: Page, missing: list[int], seen: Page) -> bool:
    """Whether two pages hold the same values, apart from the vectors of some rows."""
    if (list(page.ids), list(page.texts)) != (list(seen.ids), list(seen.texts)) or not _equal(page, seen):
        return False
    compared = np.setdiff1d(np.arange(len(page)), missing)
    return page.vectors.shape == seen.vectors.shape and np.array_equal(
        page.vectors[compared], seen.vectors[compared], equal_nan=True
    )


def _equal(page: Page, seen: Page) -> bool:
    """Whether payloads are the same, types included: in Python True equals 1, in a filter it does not."""
    return all(_typed(one) == _typed(other) for one, other in zip(page.payloads, seen.payloads, strict=True))


def _typed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_typed(item) for item in value]
    return type(value), value
