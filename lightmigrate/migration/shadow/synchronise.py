"""Copies a collection to its shadow while it may be written to, then applies later changes to the shadow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.errors import VerificationError
from lightmigrate.migration.baseline import SAMPLE
from lightmigrate.migration.digest import agreeing, contents_of, record_digests, same_contents
from lightmigrate.migration.job import InvalidRows, Job
from lightmigrate.migration.shadow.scores import ScoreMeasurement
from lightmigrate.migration.verify import Comparison, differing_rows
from lightmigrate.progress import OnProgress, Progress, logger
from lightmigrate.stores.base import Collection, Page, Rounding
from lightmigrate.stores.page import batches
from lightmigrate.stores.read_ahead import read_ahead
from lightmigrate.stores.record_tables import RecordTable, RecordTables
from lightmigrate.stores.while_written import Stamped
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Snapshot:
    """The state of a collection when it was last read.

    Attributes:
        digests: digest of every record by id, over all of its columns: of the state when the target was last brought up
            to date, also where that was after this one. `None` where the store lists changes.
        mark: the mark after which the store lists changes; `None` where the store cannot list them.
        complete: a mark up to which the target was seen to hold the same records; `None` for none.
        stamp: its `Stamped.stamp` before it was read; `None` for none.
    """

    digests: RecordTable | None
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
    tables: RecordTables,
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
        tables: for what has to be known of every record.

    Returns:
        The state of the source, and a sample of its records.

    Raises:
        InvalidVectorsError: some vectors are invalid, and `job.invalid_vectors` is `refuse`.
        VerificationError: a record that was read back differs from what was written.
    """
    source, invalid = job.source, InvalidRows(job)
    before, stamp = source.changes(), _stamp(source)
    total, begun = source.count(), target.count() > 0
    # a store that lists changes is asked for them, but not for what an earlier run wrote and nobody has any more
    digests = tables.table() if before is None or begun else None
    samples: list[Page] = []
    step = max(1, total // SAMPLE)

    def projected() -> Iterator[Page]:
        read = 0
        for page in source.scan(page_size):
            if digests is not None:
                digests.put(_digests_of(page))
            if chosen := range(-read % step, len(page), step):
                samples.append(page.rows(chosen))
            read += len(page)
            if invalid.look(page):
                moved = page.with_vectors(_as_stored(target, job.new_vectors(page)))
                scores.add(page.vectors, moved.vectors)
                if job.moved is not None:
                    job.moved(page, moved.vectors)
                yield moved
        invalid.require_none(read)

    def written(pages: Iterable[Page]) -> Iterator[Page]:
        for page in pages:
            stored = target.records(page.ids) if begun else page.rows([])
            part = page.rows(_differing(page, stored))
            if len(part):
                (target.put if set(stored.ids).intersection(part.ids) else target.add)(part)
            yield page

    done = 0
    with read_ahead(projected()) as to_write, read_ahead(written(to_write)) as to_compare:
        for page in to_compare:
            if comparison is not None:
                comparison.add(page, target.records(page.ids))
            done += len(page)
            on_progress(Progress("project", done, max(total, done), source.address.name))
    if digests is not None and begun:
        for ids in _lacking(target, digests, page_size):
            target.remove(ids)
    if before is not None and digests is not None:
        digests.clear()
    known = digests if before is None else None
    return Snapshot(known, None if before is None else before.mark, stamp=stamp), Page.joined(samples)


def synchronise(
    job: Job,
    target: Collection,
    page_size: int,
    on_progress: OnProgress,
    before: Snapshot,
    comparison: Comparison,
    tables: RecordTables,
    *,
    vectors: bool = True,
    live: bool = False,
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
        tables: for what has to be known of every record.
        vectors: whether all vectors of the source are read again, or only those of changed records.
        live: whether applications write to the target, too: what they wrote there stays.

    Returns:
        Number of records written or deleted, and the state of the source now.

    Raises:
        InvalidVectorsError: some vectors are invalid, and `job.invalid_vectors` is `refuse`.
        VerificationError: a record that was read back differs from what was written.
    """
    stamp = _stamp(job.source)
    if stamp is not None and stamp == before.stamp and not vectors:
        return 0, before
    update = _Update(job, target, comparison, page_size, live)
    changes = None if before.mark is None else job.source.changes(before.mark)
    if changes is None:
        # the log of a store that kept one may have gone meanwhile: then every record counts as changed
        digests = tables.table() if before.digests is None else before.digests
        _read_again(update, digests, on_progress, vectors=vectors)
        if before.digests is None:
            for ids in _lacking(target, digests, page_size):
                update.remove(ids)
        after = Snapshot(digests, before.mark, stamp=stamp)
    else:
        candidates = list(dict.fromkeys([*changes.written, *changes.deleted]))
        for number, some in enumerate(batches(candidates, page_size)):
            update.apply(some)
            done = number * page_size + len(some)
            on_progress(Progress("project", done, len(candidates), job.source.address.name))
        after = Snapshot(None, changes.mark)
    if update.invalid.ids:
        update.invalid.require_none(job.source.count())
    return update.count, after


def _read_again(update: _Update, digests: RecordTable, on_progress: OnProgress, *, vectors: bool) -> None:
    """Apply what differs from the digests of an earlier state, and make them those of now. Writes to the target."""
    source, size, done, total = update.job.source, update.page_size, 0, len(digests)
    round_ = digests.round()
    for page in source.scan(size, vectors=vectors):
        known = round_.meet(page.ids)
        now = [*zip(page.ids, record_digests(page, vectors=vectors), strict=True)]
        stale = [row for row, (record, digest) in enumerate(now) if not known.get(record, b"").startswith(digest)]
        if vectors:
            by_vector = [row for row in stale if same_contents(known.get(now[row][0], b""), now[row][1])]
            held = update.held(page, by_vector)
            differing = [row for row in stale if row not in held]
            own = update.own([now[row][0] for row in differing], known, dict(now))
            update.write(page.rows([row for row in differing if now[row][0] in own]))
            digests.put(_digests_of(page.rows(stale)))
        else:
            changed = {now[row][0]: now[row][1] for row in stale}
            own = update.own(list(changed), known, changed)
            written, gone = update.apply([record for record in changed if record in own])
            digests.put({**changed, **written})
            digests.remove(gone)
        done += len(page)
        on_progress(Progress("project", done, max(total, done), source.address.name))
    for ids in round_.missed(size):
        own = update.own(ids, digests.get(ids), {})
        update.remove([record for record in ids if record in own])
        digests.remove(ids)


def _lacking(target: Collection, digests: RecordTable, page_size: int) -> Iterator[list[str]]:
    """The records of the target that nothing is known of, some at a time; they may be removed meanwhile."""
    for page in target.scan(page_size, vectors=False):
        known = digests.get(page.ids)
        if ids := [record for record in page.ids if record not in known]:
            yield ids


@dataclass
class _Update:
    """Applies changes of a source to its target, and counts the records."""

    job: Job
    target: Collection
    comparison: Comparison
    page_size: int
    live: bool

    def __post_init__(self) -> None:
        self.invalid = InvalidRows(self.job)
        self.count = 0

    def apply(self, ids: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
        """Write or remove some records, as the source has them now; the digests of some by id, and the others."""
        present = self.job.source.records(ids)
        digests = self.write(present)
        gone = sorted(set(ids).difference(present.ids))
        self.remove(gone)
        return digests, gone

    def own(self, ids: Sequence[str], known: Mapping[str, bytes], now: Mapping[str, bytes]) -> set[str]:
        """Those of some records that are to be written to the target or removed from it; only reads.

        In a live one these are the records that nobody else has written, and that a run that was killed has not yet.

        Args:
            ids: of the records.
            known: their digests in the state to which the target was brought last.
            now: those that the source has now.
        """
        if not self.live:
            return set(ids)
        held = contents_of(self.target, ids, self.page_size)
        own = agreeing(ids, held, known)
        if others := len(set(ids) - own - agreeing(ids, held, now)):
            logger.warning(
                "%s: %d records were written to it and, later than they had been read, to what it has replaced; they "
                "stay as they are", self.target.address, others,
            )  # fmt: skip
        return own

    def held(self, page: Page, rows: Sequence[int]) -> set[int]:
        """Which of some rows, whose vectors alone differ from what was read, the target holds all the same; only reads.

        A store may scale the vectors that it holds anew in every search, so that last bits change when nobody writes.
        """
        if not rows:
            return set()
        moved = self._moved(page.rows(rows))
        differing = set(_differing(moved, self.target.records(moved.ids)))
        return {row for place, row in enumerate(rows) if place not in differing}

    def write(self, page: Page) -> dict[str, bytes]:
        """Project records of the source and write them to the target; returns their digests by id."""
        if len(page) and self.invalid.look(page):
            moved = self._moved(page)
            if self.job.moved is not None:
                self.job.moved(page, moved.vectors)
            self.comparison.remove(self.target, moved.ids)
            self.target.put(moved)
            try:
                self.comparison.add(moved, self.target.records(moved.ids))
            except VerificationError:
                raise VerificationError(
                    f"records of {self.job.source.address} did not arrive as they were written"
                ) from None
        self.count += len(page)
        return _digests_of(page)

    def _moved(self, page: Page) -> Page:
        return page.with_vectors(_as_stored(self.target, self.job.new_vectors(page)))

    def remove(self, ids: Sequence[str]) -> None:
        """Remove records that the source no longer holds. Writes to the target."""
        if ids:
            self.comparison.remove(self.target, ids)
            self.target.remove(ids)
        self.count += len(ids)


def _digests_of(page: Page) -> dict[str, bytes]:
    return dict(zip(page.ids, record_digests(page), strict=True))


def _stamp(source: Collection) -> str | None:
    return source.stamp() if isinstance(source, Stamped) else None


def _as_stored(target: Collection, vectors: Vectors) -> Vectors:
    return target.as_stored(vectors) if isinstance(target, Rounding) else vectors


def _differing(page: Page, stored: Page) -> list[int]:
    """Rows of a page that are missing among its stored records or differ from them."""
    known = set(stored.ids)
    present = [row for row, record in enumerate(page.ids) if record in known]
    stale = [row for row, record in enumerate(page.ids) if record not in known]
    if present:
        stale += [present[row] for row in differing_rows(page.rows(present), stored)]
    return sorted(stale)
