"""Verification of a new collection: every record is read back and compared; searches are checked on a sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NoReturn

import numpy as np

from lightmigrate.errors import VerificationError
from lightmigrate.migration.baseline import Baseline, found_by_search
from lightmigrate.migration.digest import Contents, Digest, settings_sha256
from lightmigrate.progress import OnProgress, Progress, logger
from lightmigrate.quality.metrics import neighbour_overlap, structural_similarity
from lightmigrate.results import Result
from lightmigrate.stores.base import Collection, Page, Payload
from lightmigrate.stores.distance import measured_space
from lightmigrate.stores.files import RecordsInFiles
from lightmigrate.stores.read_ahead import read_ahead
from lightmigrate.stores.scaled import SCALED, same_scaled
from lightmigrate.vectors import Metric, Vectors

_Row = tuple[str, str | None, Payload | None]

# Chroma stores float32, and in cosine collections a normalised vector and its length.
VECTOR_TOLERANCE = 1e-5

# Largest loss of `found` against the old index that chance may explain.
FOUND_TOLERANCE = 0.05

# Of a sparse graph (few links, short lists) searches may miss more of one model's vectors than of another's. An index
# that lacks vectors is told from that by a search for so many neighbours, which still misses this share of them: some
# elements of such graphs have no link that leads to them.
MANY_NEIGHBOURS, UNLINKED = 500, 0.2

# Types of payload values that are equal or not, and hold no others.
_PLAIN = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True)
class Verification(Result):
    """Result of a verification that passed. A failed one raises `VerificationError` instead.

    Attributes:
        records: number of records compared: id, text, payload, order, and the recomputed vector.
        largest_vector_error: largest difference between a stored number and the recomputed one,
            relative to the length of its vector.
        floats_rounded: numbers in payloads whose last bit changed; Chroma's own log does this.
        space: distance function, measured on the new index: the old one's, or the one that was asked for.
        space_before: distance function, measured on the old index.
        found: share of stored vectors that a search through the new index finds, of 100.
        found_before: the same in the old index.
        recall: recall@10 of the new index: share of the true nearest neighbours, among all stored vectors, that a
            search finds. `None` where it was not measured.
        recall_before: the same in the old index.
        similarity_correlation: structural similarity of a sample before and after. It shows that the structure was
            preserved, not that searches are good: see `structural_similarity`.
        neighbour_overlap: share of the 10 nearest neighbours that stay the same, in the same sample.
        content_sha256: order-free digest of ids, texts and payloads.
        vectors_sha256: order-free digest of ids and vectors.
        settings_sha256: digest of distance, index settings and metadata.
    """

    records: int
    largest_vector_error: float
    floats_rounded: int
    space: str | None
    space_before: str | None
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
    """Compares a new collection with the expected one, page by page, and at the end as a whole.

    Args:
        shared_records: whether both share ids, texts and payloads (`Capabilities`). Then only vectors are compared, and
            records may be deleted meanwhile; the records are counted later, when nobody can write.
        contents: of the old records; with them the expected pages need ids and vectors only, and texts and payloads are
            compared as a whole, at the end. Without them they are compared record by record.
        in_files: where the new records are read from, if that is the files.

    Attributes:
        records: number of records of the new collection that were compared and are right.
    """

    def __init__(
        self,
        *,
        shared_records: bool = False,
        contents: Contents | None = None,
        in_files: RecordsInFiles | None = None,
    ) -> None:
        self._shared = shared_records
        self._contents = contents
        # files that hold the same rows need not be decoded to hold the same records
        self._rows = in_files if contents is not None and contents.rows is not None else None
        self.records = 0
        self._error, self._rounded, self._digest = 0.0, 0, Digest()

    def add(self, expected: Page, stored: Page) -> None:
        """Compare the records that were read back with the expected ones.

        Raises:
            VerificationError: a record differs; the message names the first difference.
        """
        if self._shared:
            place = {record: row for row, record in enumerate(expected.ids)}
            expected = expected.rows([place[record] for record in stored.ids])
        elif self._contents is not None:
            if list(expected.ids) != list(stored.ids):
                _fail(self.records, "id")
        else:
            self._rounded += compare_contents(expected, stored, self.records)
        self._error = max(self._error, _compare_vectors(expected.vectors, stored.vectors, self.records))
        self._digest.add_vectors(stored)
        if self._rows is None:
            self._digest.add_contents(stored)
        self.records += len(stored)

    def remove(self, target: Collection, ids: Sequence[str]) -> None:
        """Subtract records that are about to be rewritten or deleted. Only reads."""
        if self._shared:
            return
        stored = target.records(ids)
        self._digest.remove(stored)
        self.records -= len(stored)

    def conclude(self, baseline: Baseline, target: Collection, recall: float | None = None) -> Verification:
        """Compare the new collection as a whole, after all its records, and search its index. Only reads.

        Args:
            baseline: the source before the migration.
            target: the new collection.
            recall: recall@10 of the new index, where it was measured.

        Raises:
            VerificationError: a value differs; the message names it with both values.
        """
        if not self._shared:
            _require_equal("number of records", self.records, target.count())
        content = self._digest.content
        if self._contents is not None:
            content = self._require_contents(self._contents)
        settings = settings_sha256(target)
        _require_equal("settings (their digest)", baseline.new_settings_sha256, settings)
        space = measured_space(target)
        if baseline.space is not None:  # the old one had vectors that could be searched for
            _require_equal("distance function", baseline.new_space, space)
        stored = target.records(baseline.ids)  # without those that an application has deleted meanwhile
        place = {record: row for row, record in enumerate(baseline.ids)}
        before, after = baseline.vectors[[place[record] for record in stored.ids]], stored.vectors
        found = found_by_search(target, after, space)
        if found is not None and baseline.found is not None and found < baseline.found - FOUND_TOLERANCE:
            _require_in_index(target, after, space, baseline.found)
            logger.warning(
                "%s: searches find %.0f%% of the stored vectors, %.0f%% before: its index settings are too sparse for "
                "the new model; raise ef_search",
                target.facts().address, 100 * found, 100 * baseline.found,
            )  # fmt: skip
        return Verification(
            records=self.records,
            largest_vector_error=self._error,
            floats_rounded=self._rounded,
            space=space,
            space_before=baseline.space,
            found=found,
            found_before=baseline.found,
            recall=recall,
            recall_before=baseline.recall,
            similarity_correlation=structural_similarity(before, after) if len(before) >= 3 else None,
            neighbour_overlap=_overlap(before, after, baseline) if len(before) > 10 else None,
            content_sha256=content,
            vectors_sha256=self._digest.vectors,
            settings_sha256=settings,
        )

    def _require_contents(self, old: Contents) -> str:
        """Compare texts and payloads of all records; returns their digest."""
        if self._rows is None:
            _require_equal("texts and metadata of its records (their digest)", old.records, self._digest.content)
        else:
            _require_equal("the tables of its records (their digest)", old.rows, self._rows.contents_sha256())
        return old.records

    @property
    def needs_contents(self) -> bool:
        """Whether the pages of the new collection need texts and payloads."""
        return self._rows is None

    def updated(self, verification: Verification) -> Verification:
        """An earlier verification, updated with the records compared since."""
        return replace(
            verification,
            records=self.records,
            largest_vector_error=self._error,
            floats_rounded=self._rounded,
            content_sha256=self._digest.content,
            vectors_sha256=self._digest.vectors,
        )


def _require_in_index(target: Collection, vectors: Vectors, space: Metric | None, before: float) -> None:
    """Raise `VerificationError` when the index lacks stored vectors: also a long search does not find them."""
    found = found_by_search(target, vectors, space, MANY_NEIGHBOURS)
    if found is not None and found < before - UNLINKED:
        raise VerificationError(
            f"searches find {found:.0%} of the stored vectors in the new index, {before:.0%} in the old one; the new "
            "database was deleted"
        )


def verify(
    baseline: Baseline,
    expected: Iterable[Page],
    target: Collection,
    page_size: int,
    on_progress: OnProgress,
    *,
    recall: float | None = None,
    contents: Contents | None = None,
    in_files: RecordsInFiles | None = None,
) -> Verification:
    """Compare a rebuilt collection with the expected one, record by record, and search its index. Only reads.

    Args:
        baseline: the source before the migration.
        expected: the records of the source with their expected vectors, in order, `page_size` at a time.
        target: the rebuilt collection.
        page_size: records held in memory at once.
        on_progress: called after every page.
        recall: recall@10 of the new index, where it was measured.
        contents: of the source, where `expected` lacks them; see `Comparison`.
        in_files: the records of the rebuilt collection in files, to be read in place of asking it for them.

    Raises:
        VerificationError: something differs; the message names the first difference.
    """
    _require_equal("settings (their digest)", baseline.new_settings_sha256, settings_sha256(target))
    _require_equal("number of records", baseline.records, target.count())
    comparison = Comparison(contents=contents, in_files=in_files)
    stored = in_files.scan(page_size, contents=comparison.needs_contents) if in_files else target.scan(page_size)
    with read_ahead(zip_longest(expected, stored)) as pairs:
        for old, new in pairs:
            if old is None or new is None:
                raise VerificationError("the number of records changed while they were compared; run this again")
            comparison.add(old, new)
            on_progress(Progress("verify", comparison.records, baseline.records, target.address.name))
    return comparison.conclude(baseline, target, recall)


def _overlap(before: Vectors, after: Vectors, baseline: Baseline) -> float:
    """The neighbours that stay the same, those of the old vectors by the old distance and the others by the new one."""
    old, new = baseline.space or "cosine", baseline.new_space or "cosine"
    return neighbour_overlap(before, after, metric=new, metric_before=old)


def _rows(page: Page) -> Iterator[_Row]:
    return zip(page.ids, page.texts, page.payloads, strict=True)


def compare_contents(old: Page, new: Page, offset: int) -> int:
    """Compare two pages of records; returns how many numbers in payloads changed in their last bit.

    Raises:
        VerificationError: an id, a text or a payload differs.
    """
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
    """The rows in which two pages of the same ids differ in contents or vectors."""
    wrong = _vector_errors(expected.vectors, stored.vectors) > VECTOR_TOLERANCE
    pairs = zip(_rows(expected), _rows(stored), strict=True)
    return [row for row, (before, after) in enumerate(pairs) if wrong[row] or _difference(before, after)[0] is not None]


def _difference(old: _Row, new: _Row) -> tuple[str | None, int]:
    """The field in which two records of one id differ, and how many payload numbers changed in their last bit."""
    if old[1] != new[1]:
        return "text", 0
    before, after = old[2] or {}, new[2] or {}
    rounded = 0
    for field in (*before, *(field for field in after if field not in before)):
        if field == SCALED:
            if not same_scaled(before, after, VECTOR_TOLERANCE):
                return field, 0
            continue
        changed = _rounded(before.get(field), after.get(field)) if field in before and field in after else None
        if changed is None:
            return field, 0
        rounded += changed
    return None, rounded


def _rounded(old: object, new: object) -> int | None:
    """How many numbers of two values of a payload differ in their last bit; `None` when the values differ otherwise.

    Types count: in Python True equals 1 and 1 equals 1.0, in a filter they differ.
    """
    if type(old) is not type(new):
        return None
    if type(old) in _PLAIN:  # nearly all values: asking whether they are mappings takes most of the time
        return 0 if old == new else None
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if old.keys() != new.keys():
            return None
        pairs = [(value, new[key]) for key, value in old.items()]
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        if len(old) != len(new):
            return None
        pairs = list(zip(old, new, strict=True))
    elif old == new:
        return 0
    elif isinstance(old, float) and isinstance(new, float) and abs(old - new) <= math.ulp(old):
        return 1
    else:
        return None
    parts = [_rounded(before, after) for before, after in pairs]
    return None if None in parts else sum(part or 0 for part in parts)


def _compare_vectors(expected: Vectors, stored: Vectors, offset: int) -> float:
    if expected.shape != stored.shape:
        raise VerificationError(f"vectors of shape {stored.shape} were stored, {expected.shape} were projected")
    errors = _vector_errors(expected, stored)
    bad = np.flatnonzero(errors > VECTOR_TOLERANCE)
    if len(bad):
        _fail(offset + int(bad[0]), "vector")
    return float(errors.max(initial=0))


def _vector_errors(expected: Vectors, stored: Vectors) -> Any:
    """The largest difference in each row, relative to the row's length; infinite for NaN and for unequal shapes."""
    if expected.shape != stored.shape:
        return np.full(len(expected), np.inf)
    lengths = np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.nan_to_num(np.max(np.abs(expected - stored) / lengths, axis=1, initial=0), nan=np.inf)


def _require_equal(what: str, old: Any, new: Any) -> None:
    if old != new:
        raise VerificationError(f"{what}: {old} before, {new} after; the new database was deleted")


def _fail(row: int, what: str) -> NoReturn:
    raise VerificationError(
        f"record {row} of the new collection has another {what} than the old one; the new database was deleted"
    )
