"""A collection that may be written to meanwhile is brought over to another one, and the other one kept up with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.errors import VerificationError
from lightmigrate.migration.ahead import ahead
from lightmigrate.migration.baseline import SAMPLE
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.job import InvalidRows, Job, project
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.verify import Comparison, differing_rows
from lightmigrate.stores.base import Collection, Page


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
        with ahead(each_once(source, ids, page_size)) as pages:
            for page in pages:
                digests.update(zip(page.ids, record_digests(page), strict=True))
                samples.append(page.rows(range(-read % step, len(page), step)))
                read += len(page)
                if invalid.look(page):
                    yield page.with_vectors(project(job.projection, page))

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
    job: Job, target: Collection, page_size: int, on_progress: OnProgress, before: Snapshot, comparison: Comparison
) -> tuple[int, Snapshot]:
    """Read the source again and do to the target what was done to the source. Writes to the target.

    Args:
        job: the source, and what its vectors go through.
        target: its counterpart.
        page_size: records in a page.
        on_progress: hears about every page.
        before: what the source held when the target was last brought up to date.
        comparison: takes in what is written, and forgets what was there.

    Returns:
        Records that were written or deleted, and what the source holds now.

    Raises:
        InvalidVectorsError: vectors that mean nothing, and `job.invalid_vectors` is `refuse`.
        VerificationError: something did not arrive as it was written.
    """
    source, changed, invalid = job.source, 0, InvalidRows(job)
    digests: dict[str, bytes] = {}
    ids = source.ids()
    with ahead(each_once(source, ids, page_size)) as pages:
        for page in pages:
            own = dict(zip(page.ids, record_digests(page), strict=True))
            digests.update(own)
            stale = page.rows([row for row, one in enumerate(page.ids) if before.digests.get(one) != own[one]])
            if len(stale) and invalid.look(stale):
                moved = stale.with_vectors(project(job.projection, stale))
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


def each_once(source: Collection, ids: Sequence[str], size: int) -> Iterator[Page]:
    """Those of these records that are still there, each once, about `size` at a time; only reads.

    By place, which takes a server half as long as by id; what moved to another place, because records before it were
    deleted meanwhile, is asked for by id in the end.
    """
    left = dict.fromkeys(ids)
    for page in source.pages(size):
        wanted = [row for row, one in enumerate(page.ids) if one in left]
        for row in wanted:
            del left[page.ids[row]]
        if wanted:
            yield page if len(wanted) == len(page) else page.rows(wanted)
    rest = list(left)
    for start in range(0, len(rest), size):
        if len(page := source.records(rest[start : start + size])):
            yield page


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
