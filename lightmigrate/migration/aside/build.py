"""The new database is built aside: copy the folder, rebuild the requested collections, verify everything.

An interrupted build resumes where it stopped: the copy shows what is done, because every collection is rebuilt under a
name of this run, and takes its own name only when it is complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.files import copy_tree, sync_tree
from lightmigrate.migration.aside.compare import digests_of, records_in_files, require_catalog, with_contents
from lightmigrate.migration.aside.draft import Draft
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.distance import centre_of, keeps_vectors
from lightmigrate.migration.embed_again import WithoutVectors
from lightmigrate.migration.job import InvalidVectors, Job
from lightmigrate.migration.options import Verify
from lightmigrate.migration.plan import require_changeable
from lightmigrate.migration.recall import LOSS, LOSS_BEFORE_EXACT, NEIGHBOURS, Exact
from lightmigrate.migration.request import Request
from lightmigrate.migration.source_check import require_fitting
from lightmigrate.migration.verify import Verification, verify
from lightmigrate.progress import OnProgress, Progress, logger, reporting
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Page, Store
from lightmigrate.stores.files import FileDatabase, IndexRoute, Replacement, fingerprint
from lightmigrate.texts.chosen import texts_for, texts_of_records
from lightmigrate.texts.source import STORED
from lightmigrate.vectors import Vectors

# Collections that one step after another is done for: a store keeps only so many indexes in memory, and loading one
# takes longer than reading a small collection.
_AT_ONCE = 16

# Records from which on a graph is searched before it is kept: writing a smaller index twice takes no longer than that.
FORESEEN_FROM = 1000

# Searches after which a graph is given up that is worse than allowed by so many standard errors, or kept if better.
FIRST_SEARCHES, CERTAIN = 25, 3.0

# Records up to which the first searches decide in any case: the rest would take about as long as a new index.
QUICKLY_BUILT = 5000


@dataclass(frozen=True)
class Options:
    """How to build.

    Attributes:
        page_size: records held in memory at once.
        verify: whether every record is read back and compared; see `MigrationOptions`.
        invalid_vectors: see `Job`.
        check_fit: whether the stored vectors must look like those the projection is for.
        index: the route to begin with, see `stores.files.IndexRoute`.
        on_progress: called after every step.
        damaged: the collections whose vectors cannot be read.
    """

    page_size: int
    verify: Verify
    invalid_vectors: InvalidVectors
    check_fit: bool
    index: IndexRoute
    on_progress: OnProgress
    damaged: frozenset[Address] = frozenset()


@dataclass(frozen=True)
class Built:
    """The result of one request.

    Attributes:
        route: how its collection was replaced.
        verification: the results of the verification; `None` when it was switched off.
        lost: records without a vector of their own; see `Draft`.
        scores: how distances moved; `None` where there were none to measure.
    """

    route: IndexRoute
    verification: Verification | None
    lost: int
    scores: ScoreShift | None


def copy_database(location: Location, staging: Path, on_progress: OnProgress) -> Mapping[str, tuple[int, int]]:
    """Copy a database that no process writes to; returns its fingerprint.

    Raises:
        DatabaseChangedError: a process wrote to it while it was copied.
    """
    live = location.database
    before = fingerprint(live, location.belongs)
    total, done = sum(size for size, _ in before.values()), 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        on_progress(Progress("copy", done, total))

    copy_tree(live, staging, copied, location.belongs)
    if fingerprint(live, location.belongs) != before:
        raise DatabaseChangedError(f"{live} was written to while it was copied; stop the writer and run this again")
    if location.inside:  # the entries of both will be in one folder, so their names must differ
        location.files.at(staging).isolate()
    return before


class Build:
    """Turns a copy of the database into the new database, in place, and verifies it.

    Every collection is read once, into a draft; then the old indexes can be closed, and the new ones are built and
    read back without them. The store is closed and opened again in between also so that what is verified is what
    will be found on the disk. Only when all is verified do the old collections leave the copy.

    Args:
        copy: the copy, untouched or half built by an earlier process of the same run.
        drafts: a folder for what is to be written, likewise.
        scratch: a folder for indexes that are being built, likewise.
        run: the same for every process that builds on this copy.
        requests: what to rebuild, likewise.
        options: how.
    """

    def __init__(
        self,
        copy: FileDatabase,
        drafts: Path,
        scratch: Path,
        run: str,
        requests: Sequence[Request],
        options: Options,
    ) -> None:
        self._copy = copy
        self._drafts = drafts
        self._requests = requests
        self._options = options
        self._replacements = [
            copy.replacement(
                request.address,
                request.projection.info.target.dimension,
                request.model,
                scratch=scratch,
                run=run,
                number=number,
                page_size=options.page_size,
                on_done=partial(reporting(options.on_progress, request.address.name), "write"),
                distance=request.distance,
            )
            for number, request in enumerate(requests)
        ]

    def can_resume(self) -> bool:
        """Whether the drafts of all replacements that an earlier process began are still complete. Only reads."""
        return all(
            self._drafted(number) is not None
            for number, replacement in enumerate(self._replacements)
            if replacement.begun()
        )

    def run(self, before: Sequence[CollectionFacts], no_return: Callable[[], None]) -> list[Built]:
        """Build.

        Args:
            before: what the database itself holds.
            no_return: called before the first step after which an interrupted build cannot be resumed.

        Returns:
            The result of each request.

        Raises:
            VerificationError: the new database is not what it should be.
            InvalidVectorsError: see `Draft.write`.
            WrongSpaceError: see `require_fitting`.
        """
        requested = {request.address for request in self._requests}
        untouched = [facts for facts in before if facts.address not in requested]
        begun = [replacement.begun() for replacement in self._replacements]
        with self._copy.open() as store:
            require_changeable(store, (r for r, changed in zip(self._requests, begun, strict=True) if not changed))
            digests = self._digests(store, untouched)
            drafts = self._all_drafts(store, begun)
        sync_tree(self._drafts)  # before the first collection is replaced
        truths = [draft.exact(self._options.page_size) for draft in drafts]
        with self._replaced(drafts, truths) as (store, routes, results):
            if self._digests(store, untouched) != digests:
                raise VerificationError("a collection that was not to be migrated changed; the copy was deleted")
            no_return()
            for replacement in self._replacements:
                replacement.finish(store)
        self._copy.tidy()
        require_catalog(self._requests, before, self._copy.catalog())
        scores = [self._scores(*each) for each in zip(self._requests, drafts, truths, strict=True)]
        built = zip(routes, results, drafts, scores, strict=True)
        return [Built(route, result, draft.lost, moved) for route, result, draft, moved in built]

    def _scores(self, request: Request, draft: Draft, truth: Exact | None) -> ScoreShift | None:
        return ScoreShift.of(request.address, draft.distances, truth.distances() if truth else None)

    def _all_drafts(self, store: Store, begun: Sequence[bool]) -> list[Draft]:
        """The drafts of all requests; `begun` says which collections are replaced already."""
        drafts: list[Draft] = []
        for numbers in _portions(len(begun)):
            samples = [None if begun[number] else self._sample(store, number) for number in numbers]
            drafts += [self._draft(store, *pair) for pair in zip(numbers, samples, strict=True)]
        return drafts

    def _sample(self, store: Store, number: int) -> Page | None:
        """A sample of a collection that is not replaced yet, after checking that the projection is for its vectors."""
        request = self._requests[number]
        if request.anew:
            return None
        sample = sample_of(store.collection(request.address))
        if self._options.check_fit and len(sample) and not keeps_vectors(request.projection):
            require_fitting(request.address, request.projected(sample), request.projection)
        return sample

    def _draft(self, store: Store, number: int, sample: Page | None) -> Draft:
        """The draft of one request: the one that an earlier process left, or a new one."""
        request, options = self._requests[number], self._options
        earlier = self._drafted(number)
        if earlier is not None:
            return earlier
        source: Collection = store.collection(self._replacements[number].source())
        if request.anew:
            source = WithoutVectors(source, STORED)
            texts = texts_of_records(source, request.texts)
        else:
            texts = texts_for(request.projection, source, request.texts)
        job = Job(
            source,
            request.projection,
            options.invalid_vectors,
            texts,
            request.anew,
            request.distance,
            centre_of(sample),
        )
        in_files = None if request.anew else records_in_files(store, source.address, options.verify)
        return Draft.write(job, self._drafts, number, options.page_size, options.on_progress, sample, in_files)

    def _drafted(self, number: int) -> Draft | None:
        """The draft of one request, when a complete one is on the disk. Only reads."""
        return Draft.written(self._drafts, number, self._requests[number].projection)

    @contextlib.contextmanager
    def _replaced(
        self, drafts: Sequence[Draft], truths: Sequence[Exact | None]
    ) -> Iterator[tuple[Store, list[IndexRoute], list[Verification | None]]]:
        """Put every draft in place of its collection and verify it; yields the open store, the routes and the results.

        A kept graph whose recall is below that of the old index is replaced by a rebuilt index. That is measured before
        anything is written where it can be, and in any case afterwards. Then all is verified when that is done.
        """
        routes = [self._route(*each) for each in zip(self._requests, self._replacements, drafts, truths, strict=True)]
        while True:
            tried = zip(self._replacements, drafts, routes, strict=True)
            routes = [replacement.put(draft, route) for replacement, draft, route in tried]
            with self._copy.open() as store:
                results: list[Verification | None] = []
                again: dict[int, float | None] = {}
                for numbers in _portions(len(drafts)):
                    recalls = [self._recall(store, number, truths[number]) for number in numbers]
                    again |= {
                        number: recall
                        for number, recall in zip(numbers, recalls, strict=True)
                        if routes[number] == "keep"
                        and _finds_less(recall, drafts[number].baseline.recall, _allowed_loss(self._requests[number]))
                    }
                    if not again:
                        results += [
                            self._verify(store, number, recall, routes[number])
                            for number, recall in zip(numbers, recalls, strict=True)
                        ]
                if not again:
                    yield store, routes, results
                    return
            for number, recall in again.items():
                logger.info(
                    "%s: the graph of its index finds %.3f of the nearest, %.3f before; building a new index",
                    self._requests[number].address, recall, drafts[number].baseline.recall,
                )  # fmt: skip
                routes[number] = "rebuild"

    def _route(self, request: Request, replacement: Replacement, draft: Draft, truth: Exact | None) -> IndexRoute:
        """The first route to try.

        An index that cannot be read, holds nothing, or has another distance is not kept; nor is a graph that would find
        less.
        """
        if request.anew or not draft.count:
            return "rewrite"
        if self._options.index != "keep":
            return self._options.index
        if keeps_vectors(request.projection) and request.distance is None:
            return "rebuild"  # a new index is all that is asked for
        if request.distance not in (None, draft.baseline.space):
            return "rebuild"
        if truth is None or not truth.measurable or draft.count < FORESEEN_FROM:
            return "keep"
        loss = _allowed_loss(request)
        foreseen = _foreseen(replacement, draft, truth, loss)
        if foreseen is None or not _finds_less(*foreseen, loss):
            return "keep"
        logger.info(
            "%s: with the new vectors the graph of its index would find %.3f of the nearest, %.3f before; building a "
            "new index", request.address, *foreseen,
        )  # fmt: skip
        return "rebuild"

    def _recall(self, store: Store, number: int, truth: Exact | None) -> float | None:
        return truth.recall(store.collection(self._requests[number].address)) if truth is not None else None

    def _verify(self, store: Store, number: int, recall: float | None, route: IndexRoute) -> Verification | None:
        if not self._options.verify:
            return None
        own, size = self._requests[number].address, self._options.page_size
        draft = self._drafted(number)
        if draft is None:
            raise VerificationError(f"the draft of {own} was changed on the disk; run this again")
        rewritten, in_files = route == "rewrite", records_in_files(store, own, self._options.verify)
        pages = draft.pages(size)
        if rewritten:  # the old records are still there, and numbers in the new ones may have been rounded
            pages = with_contents(
                pages, store.collection(self._replacements[number].source()).scan(size, vectors=False)
            )
        return verify(
            draft.baseline,
            pages,
            store.collection(own),
            size,
            self._options.on_progress,
            recall=recall,
            contents=None if rewritten else draft.contents,
            in_files=in_files,
        )

    def _digests(self, store: Store, collections: Sequence[CollectionFacts]) -> dict[Address, tuple[str, str]]:
        """Digests of the collections that are not to be migrated."""
        options = self._options
        if not options.verify:
            return {}
        return {
            address: digests_of(
                store, address, options.page_size, options.verify, vectors=address not in options.damaged
            )
            for address in (facts.address for facts in collections)
        }


def _portions(count: int) -> Iterator[range]:
    return (range(start, min(count, start + _AT_ONCE)) for start in range(0, count, _AT_ONCE))


def _foreseen(replacement: Replacement, draft: Draft, truth: Exact, loss: float) -> tuple[float, float] | None:
    """What searches would find if the graph was kept, and what the same ones find now. Only reads.

    `None` where that is known only afterwards. The same queries are compared, so that a few of them say much: each
    takes about as long as linking ten records.
    """
    before = np.asarray(draft.baseline.recalls)
    searches = replacement.searches_if_kept(draft, truth.space) if len(before) else None
    if searches is None:
        return None
    found: list[Vectors] = []
    for rows in (draft.queries[:FIRST_SEARCHES], draft.queries[FIRST_SEARCHES:]):
        try:
            found.append(searches.nearest(rows, NEIGHBOURS + 1))
        except (ValueError, OSError):
            return None
        recalls = truth.recalls_of(np.concatenate(found))
        gains = recalls - before[: len(recalls)]
        error = CERTAIN * gains.std() / len(gains) ** 0.5
        certain = abs(gains.mean() + loss) > error
        if certain or draft.count <= QUICKLY_BUILT or len(recalls) == len(before):
            break  # of a graph that is kept all searches are measured again
    return float(recalls.mean()), float(before[: len(recalls)].mean())


def _allowed_loss(request: Request) -> float:
    return LOSS_BEFORE_EXACT if request.soon_exact else LOSS


def _finds_less(recall: float | None, before: float | None, loss: float) -> bool:
    """Whether an index finds less than the old one, by more than is allowed."""
    return recall is not None and before is not None and recall < before - loss
