"""Is the new collection what it should be? Everything is read back and compared; nothing is sampled away."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NoReturn

import numpy as np

from lightmigrate.errors import VerificationError
from lightmigrate.migration.ahead import ahead
from lightmigrate.migration.baseline import Baseline, found_by_search
from lightmigrate.migration.digest import Digest, settings_sha256
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.projection.vectors import Vectors
from lightmigrate.quality.metrics import neighbour_overlap, structural_similarity
from lightmigrate.results import Result
from lightmigrate.stores.base import Collection, Page
from lightmigrate.stores.probe import measured_space

_Row = tuple[str, str | None, Mapping[str, Any] | None, str | None]

# Chroma keeps float32, and in cosine collections a normalised vector and its length.
VECTOR_TOLERANCE = 1e-5

# A rebuilt index may find a little less than the old one by chance, not this much less.
FOUND_TOLERANCE = 0.05


@dataclass(frozen=True)
class Verification(Result):
    """What was read back from the new collection and found right. A failed check raises instead.

    Attributes:
        records: compared one by one: id, document, metadata, uri, order, and the vector recomputed.
        largest_vector_error: largest difference between a stored number and the recomputed one,
            relative to the length of its vector.
        floats_rounded: metadata numbers that changed in their last bit, which Chroma's own log does.
        space: distance function, measured on the new index and equal to the old one's.
        found: share of stored vectors that a search through the new index finds, of 100.
        found_before: the same in the old index.
        recall: recall@10 of the new index: share of what is really nearest to a stored vector that a search finds,
            against all stored vectors. `None` where it was not measured.
        recall_before: the same of the old index.
        similarity_correlation: structural similarity of a sample before and after. It says that nothing
            was torn apart, not that searches are good: see `structural_similarity`.
        neighbour_overlap: share of the 10 nearest neighbours that stay, in the same sample.
        content_sha256: order-free digest of ids, documents, metadatas and uris.
        vectors_sha256: order-free digest of ids and vectors.
        settings_sha256: digest of distance, index settings and metadata.
    """

    records: int
    largest_vector_error: float
    floats_rounded: int
    space: str | None
    found: float | None
    found_before: float | None
    recall: float | None
    recall_before: float | None
    similarity_correlation: float | None
    neighbour_overlap: float | None
    content_sha256: str
    vectors_sha256: str
    settings_sha256: str


class Comparison:
    """A new collection held against what it should be, page by page, and at the end as a whole.

    Attributes:
        records: of the new collection that are right.
    """

    def __init__(self) -> None:
        self.records = 0
        self._error, self._rounded, self._digest = 0.0, 0, Digest()

    def add(self, expected: Page, stored: Page) -> None:
        """Compare records that were read back with what they should be.

        Raises:
            VerificationError: naming the first thing that is not as it should be.
        """
        self._rounded += compare_contents(expected, stored, self.records)
        self._error = max(self._error, _compare_vectors(expected.vectors, stored.vectors, self.records))
        self._digest.add(stored)
        self.records += len(stored)

    def remove(self, stored: Page) -> None:
        """Forget records that are about to be written anew or deleted."""
        self._digest.remove(stored)
        self.records -= len(stored)

    def conclude(self, baseline: Baseline, target: Collection, recall: float | None = None) -> Verification:
        """Look at the new collection as a whole, after all its records; probe its index. Only reads.

        Args:
            baseline: what its source was.
            target: the new collection.
            recall: recall@10 of its index, where it was measured.

        Raises:
            VerificationError: naming what is not as it should be, with both values.
        """
        _require_equal("number of records", self.records, target.count())
        settings = settings_sha256(target)
        _require_equal("settings (their digest)", baseline.settings_sha256, settings)
        space = measured_space(target)
        _require_equal("distance function", baseline.space, space)
        before, after = baseline.vectors, target.records(baseline.ids).vectors
        if len(before) != len(after):
            raise VerificationError("the records changed while they were compared; run this again")
        found = found_by_search(target, after, space)
        if found is not None and baseline.found is not None and found < baseline.found - FOUND_TOLERANCE:
            raise VerificationError(
                f"searches find {found:.0%} of the stored vectors in the new index, {baseline.found:.0%} in the old "
                "one; the new database was thrown away"
            )
        return Verification(
            records=self.records,
            largest_vector_error=self._error,
            floats_rounded=self._rounded,
            space=space,
            found=found,
            found_before=baseline.found,
            recall=recall,
            recall_before=baseline.recall,
            similarity_correlation=structural_similarity(before, after) if len(before) >= 3 else None,
            neighbour_overlap=neighbour_overlap(before, after) if len(before) > 10 else None,
            content_sha256=self._digest.content,
            vectors_sha256=self._digest.vectors,
            settings_sha256=settings,
        )

    def updated(self, verification: Verification) -> Verification:
        """What was concluded before, with what was compared since."""
        return replace(
            verification,
            records=self.records,
            largest_vector_error=self._error,
            floats_rounded=self._rounded,
            content_sha256=self._digest.content,
            vectors_sha256=self._digest.vectors,
        )


def verify(
    baseline: Baseline,
    expected: Iterable[Page],
    target: Collection,
    page_size: int,
    on_progress: OnProgress,
    *,
    recall: float | None = None,
) -> Verification:
    """Compare a rebuilt collection with what it should be, record by record, and probe its index. Only reads.

    Args:
        baseline: what its source was.
        expected: the records of the source with the vectors they should have now, in order, `page_size` at a time.
        target: the rebuilt collection.
        page_size: records held in memory at once.
        on_progress: hears about every page.
        recall: recall@10 of the new index, where it was measured.

    Raises:
        VerificationError: naming the first thing that is not as it should be, with both values.
    """
    _require_equal("settings (their digest)", baseline.settings_sha256, settings_sha256(target))
    _require_equal("number of records", baseline.records, target.count())
    comparison = Comparison()
    with ahead(zip_longest(expected, target.pages(page_size))) as pairs:
        for old, new in pairs:
            if old is None or new is None:
                raise VerificationError("the number of records changed while they were compared; run this again")
            comparison.add(old, new)
            on_progress(Progress("verify", comparison.records, baseline.records, target.address.name))
    return comparison.conclude(baseline, target, recall)


def _rows(page: Page) -> Iterator[_Row]:
    return zip(page.ids, page.documents, page.metadatas, page.uris, strict=True)


def compare_contents(old: Page, new: Page, offset: int) -> int:
    """Compare two pages of records; returns how many metadata numbers changed in their last bit."""
    if list(old.ids) != list(new.ids):
        _fail(offset, "id")
    rounded = 0
    for row, (before, after) in enumerate(zip(_rows(old), _rows(new), strict=True), offset):
        different, numbers = _difference(before, after)
        if different is not None:
            _fail(row, different)
        rounded += numbers
    return rounded


def differing_rows(expected: Page, stored: Page) -> list[int]:
    """Rows of two pages of the same ids that differ in their contents or vectors."""
    wrong = _vector_errors(expected.vectors, stored.vectors) > VECTOR_TOLERANCE
    pairs = zip(_rows(expected), _rows(stored), strict=True)
    return [row for row, (before, after) in enumerate(pairs) if wrong[row] or _difference(before, after)[0] is not None]


def _difference(old: _Row, new: _Row) -> tuple[str | None, int]:
    """What differs in two records of one id, and how many metadata numbers changed in their last bit."""
    if old[1] != new[1]:
        return "document", 0
    if old[3] != new[3]:
        return "uri", 0
    rounded = _compare_metadata(old[2], new[2])
    return ("metadata", 0) if rounded is None else (None, rounded)


def _compare_metadata(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> int | None:
    """Compare values and their types: to Python True is 1 and 1 is 1.0, to a filter they are not."""
    if old is None and new is None:
        return 0
    if old is None or new is None or old.keys() != new.keys():
        return None
    rounded = 0
    for key, value in old.items():
        for one, other in zip_longest(_as_list(value), _as_list(new[key])):
            if type(one) is not type(other):
                return None
            if one != other:
                if not isinstance(one, float) or abs(one - other) > math.ulp(one):
                    return None
                rounded += 1
    return rounded


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _compare_vectors(expected: Vectors, stored: Vectors, offset: int) -> float:
    if expected.shape != stored.shape:
        raise VerificationError(f"vectors of shape {stored.shape} were stored, {expected.shape} were projected")
    errors = _vector_errors(expected, stored)
    bad = np.flatnonzero(errors > VECTOR_TOLERANCE)
    if len(bad):
        _fail(offset + int(bad[0]), "vector")
    return float(errors.max(initial=0))


def _vector_errors(expected: Vectors, stored: Vectors) -> Any:
    """The largest difference in each row relative to its length; infinite for other shapes and NaN."""
    if expected.shape != stored.shape:
        return np.full(len(expected), np.inf)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.nan_to_num(np.max(np.abs(expected - stored) / lengths, axis=1, initial=0), nan=np.inf)


def _require_equal(what: str, old: Any, new: Any) -> None:
    if old != new:
        raise VerificationError(f"{what}: {old} before, {new} after; the new database was thrown away")


def _fail(row: int, what: str) -> NoReturn:
    raise VerificationError(
        f"record {row} of the new collection has another {what} than the old one; the new database was thrown away"
    )
