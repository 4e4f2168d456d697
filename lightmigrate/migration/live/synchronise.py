"""A collection that may be written to meanwhile is brought over to another one, and the other one kept up with it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.errors import VerificationError
from lightmigrate.migration.ahead import ahead, ahead_by
from lightmigrate.migration.baseline import SAMPLE
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.job import InvalidRows, Job, project
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.verify import Comparison, differing_rows
from lightmigrate.stores.base import Collection, Page

# The first page is by so much smaller than the others.
_FIRST = 8


@dataclass(frozen=True)
class Snapshot:
    """What a collection held when it was last read.

    Attributes:
        digests: of every record by id, over all of its columns.
    """

    digests: Mapping[str, bytes]


def bring_over(
    job: Job, target: Collection, page_size: int, on_progress: OnProgress, comparison: Comparison | None
) -> tuple[Snapshot, Page]:
    """Read the source once, write every record with its new vector, read it back. Writes to the target.

    All three go on at the same time, each on a page of its own: a server works on several requests at once. What an
    interrupted run has written is compared first, and not written again where it is right.

    Args:
        job: the source, and what its vectors go through.
        target: its counterpart.
        page_size: records in a page, of which a handful is in memory at once.
        on_progress: hears about every page.
        comparison: takes in what is read back; without it nothing is.

    Returns:
        What the source held, and a sample of it.

    Raises:
        InvalidVectorsError: vectors that mean nothing, and `job.invalid_vectors` is `refuse`.
        VerificationError: something did not arrive as it was written.
    """
    source, invalid = job.source, InvalidRows(job)
    ids, known = source.ids(), set(target.ids())
    digests: dict[str, bytes] = {}
    samples: list[Page] = []
    step = max(1, len(ids) // SAMPLE)

    def projected() -> Iterator[Page]:
        read = 0
        with each_once(source, ids, page_size) as pages:
            for page in pages:
                digests.update(zip(page.ids, record_digests(page), strict=True))
                samples.append(page.rows(range(-read % step, len(page), step)))
                read += len(page)
                if invalid.look(page):
                    yield page.with_vectors(project(job.projection, page, job.texts))

    def written(pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            part = page.rows(_differing(page, target, known))
            if len(part):
                (target.put if known.intersection(part.ids) else target.add)(part)
            yield page

    done = 0
    with ahead(projected()) as to_write, ahead(written(to_write)) as to_compare:
        for page in to_compare:
            if comparison is not None:
                comparison.add(page, target.records(page.ids))
            done += len(page)
            on_progress(Progress("project", done, len(ids), source.address.name))
    invalid.require_none(len(ids))
    target.remove([one for one in known if one not in digests])
    return Snapshot(digests), Page.joined(samples)


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
    """Read the source again and do to the target what was done to the source. Writes to the target.

    Without the vectors, which are nine tenths of what is read, all is seen but another vector for the same text and
    metadata; that is seen the next time they are read.

    Args:
        job: the source, and what its vectors go through.
        target: its counterpart.
        page_size: records in a page.
        on_progress: hears about every page.
        before: what the source held when the target was last brought up to date.
        comparison: takes in what is written, and forgets what was there.
        vectors: whether the source's vectors are read again, or only those of records that were written to.

    Returns:
        Records that were written or deleted, and what the source holds now.

    Raises:
        InvalidVectorsError: vectors that mean nothing, and `job.invalid_vectors` is `refuse`.
        VerificationError: something did not arrive as it was written.
    """
    source, changed, invalid = job.source, 0, InvalidRows(job)
    digests: dict[str, bytes] = {}
    ids = source.ids()
    with each_once(source, ids, page_size, vectors=vectors) as pages:
        for page in pages:
            stale_rows = []
            for row, (one, digest) in enumerate(zip(page.ids, record_digests(page, vectors=vectors), strict=True)):
                if (known := before.digests.get(one, b"")).startswith(digest):
                    digests[one] = known
                else:
                    stale_rows.append(row)
            stale = page.rows(stale_rows) if vectors else source.records([page.ids[row] for row in stale_rows])
            digests.update(zip(stale.ids, record_digests(stale), strict=True))
            if len(stale) and invalid.look(stale):
                moved = stale.with_vectors(project(job.projection, stale, job.texts))
                comparison.remove(target.records(moved.ids))
                target.put(moved)
                try:
                    comparison.add(moved, target.records(moved.ids))
                except VerificationError:
                    raise VerificationError(
                        f"records of {source.address} did not arrive as they were written"
                    ) from None
            changed += len(stale)
            on_progress(Progress("project", len(digests), len(ids), source.address.name))
    invalid.require_none(len(ids))
    gone = [one for one in before.digests if one not in digests]
    for start in range(0, len(gone), page_size):
        some = gone[start : start + page_size]
        comparison.remove(target.records(some))
        target.remove(some)
    return changed + len(gone), Snapshot(digests)


@contextlib.contextmanager
def each_once(source: Collection, ids: Sequence[str], size: int, *, vectors: bool = True) -> Iterator[Iterator[Page]]:
    """Those of these records that are still there, each once, up to `size` at a time and a few first; only reads.

    By place, which takes a server half as long as by id; what moved to another place, because records before it were
    deleted meanwhile, is asked for by id in the end.
    """
    left = dict.fromkeys(ids)

    def read(place: range) -> Page | None:
        return next(source.pages(len(place), place.start, vectors=vectors), None)

    def wanted(pages: Iterable[Page | None]) -> Iterator[Page]:
        for page in pages:
            rows = [row for row, one in enumerate(page.ids) if one in left] if page else []
            if page and rows:
                for row in rows:
                    del left[page.ids[row]]
                yield page if len(rows) == len(page) else page.rows(rows)
        rest = list(left)
        for start in range(0, len(rest), size):
            if len(page := source.records(rest[start : start + size])):
                yield page

    with ahead_by(read, _places(len(ids), size)) as pages:
        yield wanted(pages)


def _places(total: int, size: int) -> Iterator[range]:
    """Of all records; the first part is small, so that what is done with it can begin."""
    first = min(total, -(-size // _FIRST))
    for start, end in itertools.pairwise([0, *range(first, total, size), total]):
        if start < end:
            yield range(start, end)


def _differing(page: Page, target: Collection, known: set[str]) -> list[int]:
    """Rows of a page that the target does not hold as it should."""
    there = [row for row, one in enumerate(page.ids) if one in known]
    stale = [row for row, one in enumerate(page.ids) if one not in known]
    if there:
        ours = page.rows(there)
        theirs = target.records(ours.ids)
        if list(theirs.ids) != list(ours.ids):
            return list(range(len(page)))
        stale += [there[row] for row in differing_rows(ours, theirs)]
    return sorted(stale)
