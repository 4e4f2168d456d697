"""Is the new collection what it should be? Everything is read back and compared; nothing is sampled away."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NoReturn

import numpy as np

from lightmigrate.errors import VerificationError
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.rebuild import Job, project
from lightmigrate.projection.vectors import Vectors
from lightmigrate.quality.metrics import neighbour_overlap, structural_similarity
from lightmigrate.results import Result
from lightmigrate.stores.base import Collection, Page
from lightmigrate.stores.probe import measured_space

_Row = tuple[str, str | None, Mapping[str, Any] | None, str | None]

# Records looked at for similarities and for searches through the index.
SAMPLE = 500
SEARCHES = 100

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
    similarity_correlation: float | None
    neighbour_overlap: float | None
    content_sha256: str
    vectors_sha256: str
    settings_sha256: str


def verify(
    job: Job, target: Collection, page_size: int, on_progress: OnProgress, *, in_order: bool = True
) -> Verification:
    """Compare a rebuilt collection with its source, record by record, and probe its index. Only reads.

    Args:
        job: the source, and what its vectors go through.
        target: the rebuilt collection.
        page_size: records held in memory at once.
        on_progress: hears about every page.
        in_order: whether the records must stand in the same order too.

    Raises:
        VerificationError: naming the first thing that is not as it should be, with both values.
    """
    source = job.source
    _require_equal("settings (their digest)", settings_sha256(source), settings_sha256(target))
    total, done, rounded, error = source.count(), 0, 0, 0.0
    _require_equal("number of records", total, target.count())
    digest = Digest()
    sample: list[tuple[Vectors, Vectors]] = []
    stride = max(1, total // SAMPLE)
    for old, new in _side_by_side(source, target, page_size, in_order):
        if old is None or new is None:
            raise VerificationError("the number of records changed while they were compared; run this again")
        rounded += compare_contents(old, new, done)
        error = max(error, _compare_vectors(project(job.projection, old), new.vectors, done))
        digest.add(new)
        rows = slice(-done % stride, None, stride)
        sample.append((old.vectors[rows].copy(), new.vectors[rows].copy()))  # a view would keep all pages alive
        done += len(old)
        on_progress(Progress("verify", done, total, target.address.name))
    before, after = (np.concatenate(side) for side in zip(*sample, strict=True))
    usable = np.isfinite(before).all(axis=1)
    before, after = before[usable], after[usable]

    space = measured_space(target)
    _require_equal("distance function", measured_space(source), space)
    found_before, found = _found(source, before[:SEARCHES]), _found(target, after[:SEARCHES])
    if found is not None and found_before is not None and found < found_before - FOUND_TOLERANCE:
        raise VerificationError(
            f"searches find {found:.0%} of the stored vectors in the new index, {found_before:.0%} in the old one; "
            "the new database was thrown away"
        )
    return Verification(
        records=done,
        largest_vector_error=error,
        floats_rounded=rounded,
        space=space,
        found=found,
        found_before=found_before,
        similarity_correlation=structural_similarity(before, after) if len(before) >= 3 else None,
        neighbour_overlap=neighbour_overlap(before, after) if len(before) > 10 else None,
        content_sha256=digest.content,
        vectors_sha256=digest.vectors,
        settings_sha256=settings_sha256(target),
    )


def _side_by_side(
    source: Collection, target: Collection, size: int, in_order: bool
) -> Iterator[tuple[Page | None, Page | None]]:
    if in_order:
        yield from zip_longest(source.pages(size), target.pages(size))
    else:
        for page in source.pages(size):
            yield page, target.records(page.ids)


class Digest:
    """Order-free digests of a collection, fed page by page: sums of the rows' SHA-256, modulo 2²⁵⁶."""

    def __init__(self) -> None:
        self._content = 0
        self._vectors = 0

    def add(self, page: Page) -> None:
        """Take in the records of a page."""
        for row, vector in zip(_rows(page), page.vectors, strict=True):
            key = row[0].encode()
            self._content += _hash(json.dumps(row, sort_keys=True).encode())
            self._vectors += _hash(len(key).to_bytes(8, "big") + key + vector.tobytes())

    @property
    def content(self) -> str:
        """Digest of ids, documents, metadatas and uris."""
        return f"{self._content % 2**256:064x}"

    @property
    def vectors(self) -> str:
        """Digest of ids and vectors."""
        return f"{self._vectors % 2**256:064x}"


def digest_of(collection: Collection, page_size: int) -> Digest:
    """The digests of a whole collection; only reads."""
    digest = Digest()
    for page in collection.pages(page_size):
        digest.add(page)
    return digest


def settings_sha256(collection: Collection) -> str:
    """Digest of all that configures a collection but its embedding function."""
    return hashlib.sha256(json.dumps(collection.settings(), sort_keys=True).encode()).hexdigest()


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")


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


def differing_rows(old: Page, new: Page, expected: Vectors) -> list[int]:
    """Rows of two pages of the same ids whose contents differ, or whose new vector is not the expected one."""
    wrong = _vector_errors(expected, new.vectors) > VECTOR_TOLERANCE
    pairs = zip(_rows(old), _rows(new), strict=True)
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


def _found(collection: Collection, vectors: Vectors) -> float | None:
    """Share of stored vectors that come back, at no distance worse than any other, when searched for."""
    vectors = vectors[vectors.any(axis=1)]
    if not len(vectors) or measured_space(collection) == "ip":  # by inner product the longest wins, not the same
        return None
    _, distances = collection.nearest(vectors, 1)
    return float(
        np.mean([row[0] <= VECTOR_TOLERANCE * max(1, v @ v) for row, v in zip(distances, vectors, strict=True)])
    )


def _require_equal(what: str, old: Any, new: Any) -> None:
    if old != new:
        raise VerificationError(f"{what}: {old} before, {new} after; the new database was thrown away")


def _fail(row: int, what: str) -> NoReturn:
    raise VerificationError(
        f"record {row} of the new collection has another {what} than the old one; the new database was thrown away"
    )
