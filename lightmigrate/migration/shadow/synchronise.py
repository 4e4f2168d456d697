"""Copies a collection to its shadow while it may be written to, then applies later changes to the shadow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lightmigrate.errors import VerificationError
from lightmigrate.migration.baseline import SAMPLE
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.job import InvalidRows, Job
from lightmigrate.migration.shadow.scores import ScoreMeasurement
from lightmigrate.migration.verify import Comparison, differing_rows
from lightmigrate.progress import OnProgress, Progress
from lightmigrate.stores.base import Collection, Page, Rounding
from lightmigrate.stores.read_ahead import read_ahead
from lightmigrate.stores.while_written import Stamped
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Snapshot:
    """The state of a collection when it was last read.

    Attributes:
        digests: digest of every record by id, over all of its columns.
        mark: the mark after which the store lists changes; `None` where the store cannot list them.
        complete: a mark up to which the target was seen to hold the same records; `None` for none.
        stamp: its `Stamped.stamp` before it was read; `None` for none.
    """

    digests: Mapping[str, bytes]
    mark: str | None
    complete: str | None = None
    stamp: str | None = None


def bring_over(
    job: Job,
    target: Collection,
    page_size: int,
    on_progress: OnProgress,
    comparison: Comparison | None,
    scores: ScoreMeasurement,
) -> tuple[Snapshot, Page]:
    """Read the source once, write every record with its new vector, read it back. Writes to the target.

    The three steps run at the same time, each on a page of its own, because a server handles several requests at once.
    Records that an interrupted run wrote are compared first, and only rewritten when they differ.

    Args:
        job: the source and its projection.
        target: the shadow.
        page_size: records in a page, of which a handful is in memory at once.
        on_progress: called after every page.
        comparison: receives the records that are read back; with `None` nothing is read back.
        scores: receives the old and new vectors.

    Returns:
        The state of the source, and a sample of its records.

    Raises:
        InvalidVectorsError: some vectors are invalid, and `job.invalid_vectors` is `refuse`.
        VerificationError: a record that was read back differs from what was written.
    """
    source, invalid = job.source, InvalidRows(job)
    before, stamp = source.changes(), _stamp(source)
    total, known = source.count(), set(target.ids())
    digests: dict[str, bytes] = {}
    samples: list[Page] = []
    step = max(1, total // SAMPLE)

    def projected() -> Iterator[Page]:
        read = 0
        for page in source.scan(page_size):
            digests.update(zip(page.ids, record_digests(page), strict=True))
            samples.append(page.rows(range(-read % step, len(page), step)))
            read += len(page)
            if invalid.look(page):
                moved = page.with_vectors(_as_stored(target, job.new_vectors(page)))
                scores.add(page.vectors, moved.vectors)
                yield moved

    def written(pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            part = page.rows(_differing(page, target, known))
            if len(part):
                (target.put if known.intersection(part.ids) else target.add)(part)
            yield page

    done = 0
    with read_ahead(projected()) as to_write, read_ahead(written(to_write)) as to_compare:
        for page in to_compare:
            if comparison is not None:
                comparison.add(page, target.records(page.ids))
            done += len(page)
            on_progress(Progress("project", done, max(total, done), source.address.name))
    invalid.require_none(len(digests))
    target.remove([record for record in known if record not in digests])
    return Snapshot(digests, None if before is None else before.mark, stamp=stamp), Page.joined(samples)


def synchronise(
    job: Job,
    target: Collection,
    page_size: int,
    on_progress: OnProgress,
    before: Snapshot,
    comparison: Comparison,
    *,
    vectors: bool = True,
) -> tuple[int, Snapshot]:
    """Apply the changes of the source since a snapshot to the target. Writes to the target.

    Where the store lists changes, only the changed records are read. Elsewhere the whole source is read again, usually
    without its vectors, which are nine tenths of the data; not even that if the store can tell that nobody has written.
    That misses a new vector for the same text and payload until the vectors are read again.

    Args:
        job: the source and its projection.
        target: the shadow.
        page_size: records in a page.
        on_progress: called after every page.
        before: the state of the source when the target was last brought up to date.
        comparison: adds the records that are written, and removes those they replace.
        vectors: whether all vectors of the source are read again, or only those of changed records.

    Returns:
        Number of records written or deleted, and the state of the source now.

    Raises:
        InvalidVectorsError: some vectors are invalid, and `job.invalid_vectors` is `refuse`.
        VerificationError: a record that was read back differs from what was written.
    """
    stamp = _stamp(job.source)
    if stamp is not None and stamp == before.stamp and not vectors:
        return 0, before
    update = _Update(job, target, comparison, page_size)
    changes = None if before.mark is None else job.source.changes(before.mark)
    if changes is None:
        digests: dict[str, bytes] = {}
        total = len(before.digests)
        for page in job.source.scan(page_size, vectors=vectors):
            stale_rows = []
            for row, (record, digest) in enumerate(zip(page.ids, record_digests(page, vectors=vectors), strict=True)):
                if (known := before.digests.get(record, b"")).startswith(digest):
                    digests[record] = known
                else:
                    stale_rows.append(row)
            stale = page.rows(stale_rows) if vectors else job.source.records([page.ids[row] for row in stale_rows])
            digests.update(update.write(stale))
            on_progress(Progress("project", len(digests), max(total, len(digests)), job.source.address.name))
        update.remove([record for record in before.digests if record not in digests])
        after = Snapshot(digests, before.mark, stamp=stamp)
    else:
        digests = dict(before.digests)
        candidates = list(dict.fromkeys([*changes.written, *changes.deleted]))
        for start in range(0, len(candidates), page_size):
            some = candidates[start : start + page_size]
            present = job.source.records(some)
            digests.update(update.write(present))
            gone = set(some).difference(present.ids)
            update.remove(sorted(gone))
            for record in gone:
                digests.pop(record, None)
            on_progress(Progress("project", start + len(some), len(candidates), job.source.address.name))
        after = Snapshot(digests, changes.mark)
    update.invalid.require_none(len(digests))
    return update.count, after


@dataclass
class _Update:
    """Applies changes of a source to its target, and counts the records."""

    job: Job
    target: Collection
    comparison: Comparison
    page_size: int

    def __post_init__(self) -> None:
        self.invalid = InvalidRows(self.job)
        self.count = 0

    def write(self, page: Page) -> dict[str, bytes]:
        """Project records of the source and write them to the target; returns their digests by id."""
        if len(page) and self.invalid.look(page):
            moved = page.with_vectors(_as_stored(self.target, self.job.new_vectors(page)))
            self.comparison.remove(self.target, moved.ids)
            self.target.put(moved)
            try:
                self.comparison.add(moved, self.target.records(moved.ids))
            except VerificationError:
                raise VerificationError(
                    f"records of {self.job.source.address} did not arrive as they were written"
                ) from None
        self.count += len(page)
        return dict(zip(page.ids, record_digests(page), strict=True))

    def remove(self, ids: list[str]) -> None:
        """Remove records that the source no longer holds. Writes to the target."""
        for start in range(0, len(ids), self.page_size):
            some = ids[start : start + self.page_size]
            self.comparison.remove(self.target, some)
            self.target.remove(some)
        self.count += len(ids)


def _stamp(source: Collection) -> str | None:
    return source.stamp() if isinstance(source, Stamped) else None


def _as_stored(target: Collection, vectors: Vectors) -> Vectors:
    return target.as_stored(vectors) if isinstance(target, Rounding) else vectors


def _differing(page: Page, target: Collection, known: set[str]) -> list[int]:
    """Rows of a page that are missing in the target or differ there."""
    present = [row for row, record in enumerate(page.ids) if record in known]
    stale = [row for row, record in enumerate(page.ids) if record not in known]
    if present:
        expected = page.rows(present)
        stored = target.records(expected.ids)
        if list(stored.ids) != list(expected.ids):
            return list(range(len(page)))
        stale += [present[row] for row in differing_rows(expected, stored)]
    return sorted(stale)
