"""The new database is built aside: copy the folder, rebuild what must change, verify everything.

A build that was interrupted goes on where it stopped: what is done can be read off the copy, because every collection
is rebuilt under a name of this run, record after record, and only then takes its own name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.files import copy_tree
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.digest import digest_of
from lightmigrate.migration.fitting import require_fitting
from lightmigrate.migration.folder.draft import Draft
from lightmigrate.migration.folder.location import Location
from lightmigrate.migration.folder.replacement import Replacement, Route
from lightmigrate.migration.job import InvalidVectors, Job
from lightmigrate.migration.progress import OnProgress, Progress, logger
from lightmigrate.migration.recall import LOSS, Exact
from lightmigrate.migration.request import Request
from lightmigrate.migration.verify import Verification, verify
from lightmigrate.stores.base import Address, CollectionFacts, Page, Store
from lightmigrate.stores.chroma_folder import fingerprint, read_catalog
from lightmigrate.stores.chroma_indexes import remove_orphaned_indexes, rename_indexes


@dataclass(frozen=True)
class Options:
    """How to do it.

    Attributes:
        page_size: records held in memory at once.
        verify: whether every record is read back and compared.
        invalid_vectors: see `Job`.
        check_fit: whether the stored vectors must look like those the projection is for.
        index: the route to begin with, see `replacement.py`.
        on_progress: hears about every step.
    """

    page_size: int
    verify: bool
    invalid_vectors: InvalidVectors
    check_fit: bool
    index: Route
    on_progress: OnProgress


@dataclass(frozen=True)
class Built:
    """What was done for one request.

    Attributes:
        route: how its collection was replaced.
        verification: what was verified, `None` when that was switched off.
    """

    route: Route
    verification: Verification | None


def copy_database(location: Location, staging: Path, on_progress: OnProgress) -> Mapping[str, tuple[int, int]]:
    """Copy a quiet database; returns the fingerprint it had.

    Raises:
        DatabaseChangedError: somebody wrote to it meanwhile.
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
    if location.inside:  # both will have to lie in one folder
        rename_indexes(staging)
    return before


class Build:
    """Turns a copy of the database into the new database, in place, and verifies it.

    Every collection is read once, into a draft; then the old indexes can be closed, and the new ones are built and
    read back without them. The store is closed and opened again in between also so that what is verified is what
    will be found on the disk. Only when all is verified do the old collections leave the copy.

    Args:
        staging: the copy, untouched or half built by an earlier process of the same run.
        drafts: a folder for what is to be written, likewise.
        scratch: a folder for indexes that are being built, likewise.
        open_store: opens a folder as a `Store`.
        run: the same for every process that builds on this copy.
        requests: what to rebuild, likewise.
        options: how.
    """

    def __init__(
        self,
        staging: Path,
        drafts: Path,
        scratch: Path,
        open_store: Callable[[Path], Any],
        run: str,
        requests: Sequence[Request],
        options: Options,
    ) -> None:
        self._staging = staging
        self._drafts = drafts
        self._open_store = open_store
        self._requests = requests
        self._options = options
        size, on_progress = options.page_size, options.on_progress
        self._replacements = [
            Replacement(staging, scratch, open_store, run, number, request, size, on_progress)
            for number, request in enumerate(requests)
        ]

    def can_go_on(self) -> bool:
        """Whether all that an earlier process began to replace is still there as it had drafted it."""
        return all(
            Draft.written(self._drafts, number) is not None
            for number, replacement in enumerate(self._replacements)
            if replacement.begun()
        )

    def run(self, before: Sequence[CollectionFacts], no_return: Callable[[], None]) -> list[Built]:
        """Build.

        Args:
            before: what the database itself holds.
            no_return: called before the first step that an interrupted build cannot be taken up after.

        Returns:
            What was done for each request.

        Raises:
            VerificationError: something is not as it should be.
            InvalidVectorsError: see `Draft.write`.
            WrongSpaceError: see `require_fitting`.
        """
        asked = {request.address for request in self._requests}
        untouched = [facts for facts in before if facts.address not in asked]
        with self._open_store(self._staging) as store:
            samples = [self._sample(store, number) for number in range(len(self._requests))]
            digests = self._digests(store, untouched)
            drafts = [self._draft(store, *pair) for pair in enumerate(samples)]
        with self._replaced(drafts) as (store, routes, recalls):
            results = [self._verify(store, *pair) for pair in enumerate(recalls)]
            if self._digests(store, untouched) != digests:
                raise VerificationError("a collection that was not to be migrated changed; the copy was thrown away")
            no_return()
            for replacement, route in zip(self._replacements, routes, strict=True):
                if route == "rewrite":
                    store.collection(replacement.names.old).delete()
        remove_orphaned_indexes(self._staging)
        _compare_catalogs(before, read_catalog(self._staging), self._requests)
        return [Built(route, result) for route, result in zip(routes, results, strict=True)]

    def _sample(self, store: Store, number: int) -> Page | None:
        """Of a collection that nothing was done to yet, when its vectors are those that the projection is for."""
        if self._replacements[number].begun():
            return None
        request = self._requests[number]
        sample = sample_of(store.collection(request.address))
        if self._options.check_fit:
            require_fitting(request.address, sample.vectors, request.projection)
        return sample

    def _draft(self, store: Store, number: int, sample: Page | None) -> Draft:
        """What one request comes to: as an earlier process has left it, or drafted now."""
        request, options = self._requests[number], self._options
        left = Draft.written(self._drafts, number)
        if left is not None:
            return left
        source = store.collection(self._replacements[number].source())
        job = Job(source, request.projection, request.embedding_function, options.invalid_vectors, request.texts)
        return Draft.write(job, self._drafts, number, options.page_size, options.on_progress, sample)

    @contextlib.contextmanager
    def _replaced(self, drafts: Sequence[Draft]) -> Iterator[tuple[Any, list[Route], list[float | None]]]:
        """Every draft in place of its collection, the store open: by which routes, and the recall of the indexes.

        A graph that was kept and finds less than the old index is given up for an index that is built anew.
        """
        truths, routes = [draft.exact(self._options.page_size) for draft in drafts], [self._options.index] * len(drafts)
        while True:
            tried = zip(self._replacements, drafts, routes, strict=True)
            routes = [replacement.put(draft, route) for replacement, draft, route in tried]
            with self._open_store(self._staging) as store:
                recalls = [self._recall(store, *pair) for pair in enumerate(truths)]
                worse = [
                    recall is not None and draft.baseline.recall is not None and recall < draft.baseline.recall - LOSS
                    for recall, draft in zip(recalls, drafts, strict=True)
                ]
                again = [number for number, route in enumerate(routes) if route == "keep" and worse[number]]
                if not again:
                    yield store, routes, recalls
                    return
            for number in again:
                logger.info(
                    "%s: with the new vectors its index finds %.3f of the nearest, before %.3f; it is built anew",
                    self._requests[number].address, recalls[number], drafts[number].baseline.recall,
                )  # fmt: skip
                routes[number] = "rebuild"

    def _recall(self, store: Store, number: int, truth: Exact | None) -> float | None:
        return truth.recall(store.collection(self._requests[number].address)) if truth is not None else None

    def _verify(self, store: Store, number: int, recall: float | None) -> Verification | None:
        if not self._options.verify:
            return None
        own, size = self._requests[number].address, self._options.page_size
        draft = Draft.written(self._drafts, number)
        if draft is None:
            raise VerificationError(f"what was projected of {own} changed on the disk; run this again")
        pages, target = draft.pages(size), store.collection(own)
        return verify(draft.baseline, pages, target, size, self._options.on_progress, recall=recall)

    def _digests(self, store: Store, collections: Sequence[CollectionFacts]) -> dict[Address, tuple[str, str]]:
        if not self._options.verify:
            return {}
        found = (
            (facts.address, digest_of(store.collection(facts.address), self._options.page_size))
            for facts in collections
        )
        return {address: (digest.content, digest.vectors) for address, digest in found}


def _compare_catalogs(
    before: Sequence[CollectionFacts], after: Sequence[CollectionFacts], requests: Sequence[Request]
) -> None:
    """The same collections with the same counts, and only the asked-for dimensions changed."""
    dimensions = {request.address: request.projection.info.target.dimension for request in requests}
    expected = {f.address: (f.count, dimensions.get(f.address, f.dimension)) for f in before}
    found = {f.address: (f.count, f.dimension) for f in after}
    if expected != found:
        wrong = next(a for a in expected.keys() | found.keys() if expected.get(a) != found.get(a))
        raise VerificationError(
            f"collection {wrong}: (records, dimension) should be {expected.get(wrong)} and is {found.get(wrong)}; "
            "the new database was thrown away"
        )
