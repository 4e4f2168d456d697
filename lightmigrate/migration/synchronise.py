"""A collection that may be written to meanwhile is brought over to another one, and the other one kept up with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lightmigrate.errors import VerificationError
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.job import InvalidRows, Job, project
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.verify import differing_rows
from lightmigrate.stores.base import Collection, Page


@dataclass(frozen=True)
class Snapshot:
    """What a collection held when it was last read.

    Attributes:
        digests: of every record by id, over all of its columns.
    """

    digests: Mapping[str, bytes]


def synchronise(
    job: Job, target: Collection, page_size: int, on_progress: OnProgress, before: Snapshot | None = None
) -> tuple[int, Snapshot]:
    """Read the source once and do to the target what was done to the source. Writes to the target.

    Args:
        job: the source, and what its vectors go through.
        target: its counterpart.
        page_size: records held in memory at once.
        on_progress: hears about every page.
        before: what the source held when the target was last brought up to date. Without it the target is compared
            record by record, so that what an interrupted run has written is not written again.

    Returns:
        Records that were written or deleted, and what the source held this time.

    Raises:
        InvalidVectorsError: vectors that mean nothing, and `job.invalid_vectors` is `refuse`.
    """
    source, digests, changed, invalid = job.source, {}, 0, InvalidRows(job)
    ids = source.ids()
    known = set(target.ids()) if before is None else set(before.digests)
    for start in range(0, len(ids), page_size):
        page = source.records(ids[start : start + page_size])
        own = dict(zip(page.ids, record_digests(page), strict=True))
        digests.update(own)
        if before is not None:
            stale = [row for row, one in enumerate(page.ids) if before.digests.get(one) != own[one]]
        else:
            stale = _differing(job, page, target, known)
        if stale:
            part = page.rows(stale)
            if invalid.look(part):
                moved = part.with_vectors(project(job.projection, part))
                (target.put if known.intersection(moved.ids) else target.add)(moved)
                if before is not None and _differing(job, part, target, set(part.ids)):  # no whole comparison follows
                    raise VerificationError(f"records of {source.address} did not arrive as they were written")
            changed += len(stale)
        on_progress(Progress("project", start + len(page), len(ids), source.address.name))
    invalid.require_none(len(ids))
    gone = [one for one in known if one not in digests]
    target.remove(gone)
    return changed + len(gone), Snapshot(digests)


def _differing(job: Job, page: Page, target: Collection, known: set[str]) -> list[int]:
    """Rows of a source page that the target does not hold as it should."""
    there = [row for row, one in enumerate(page.ids) if one in known]
    stale = [row for row, one in enumerate(page.ids) if one not in known]
    if there:
        ours = page.rows(there)
        theirs = target.records(ours.ids)
        if list(theirs.ids) != list(ours.ids):
            return list(range(len(page)))
        wrong = differing_rows(ours, theirs, project(job.projection, ours))
        stale += [there[row] for row in wrong]
    return sorted(stale)
