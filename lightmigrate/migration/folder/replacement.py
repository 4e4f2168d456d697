"""A draft takes the place of its collection, in the copy of the database, by the shortest of three routes that is good.

keep      Only the vectors are exchanged, in the files of the index; its graph stays. Records are not touched. What the
          graph is worth with the new vectors is measured, and when that is less than it was before, the next route
          is taken.
rebuild   Chroma builds a new index from ids and vectors alone, in a database of its own, and that index takes the old
          one's place. Records are not touched.
rewrite   Chroma writes every record into a new collection, which takes the old one's name.

The first two write to Chroma's own tables and files, and are not taken where those are not just as they are known.
Whichever was taken, all is read back through Chroma afterwards.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.files import sync_folder
from lightmigrate.migration.folder.draft import Draft
from lightmigrate.migration.folder.rewrite import rewrite
from lightmigrate.migration.job import projected
from lightmigrate.migration.progress import OnProgress, Progress, logger
from lightmigrate.migration.request import Request
from lightmigrate.projection.vectors import Vectors
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.stores.chroma_folder import read_catalog
from lightmigrate.stores.chroma_layout import Layout
from lightmigrate.stores.chroma_schema import vector_indexes, with_function
from lightmigrate.stores.hnsw import HnswFiles

Route = Literal["keep", "rebuild", "rewrite"]

# Records that Chroma may hold beside an index that it builds; each takes about one more vector's room.
_IN_MEMORY = 20_000

# What an index is called in the database that it is built in.
_INDEX = Address("index-only")


@dataclass(frozen=True)
class Names:
    """The names a collection goes through when it is rewritten: its own, that of its old rows, that of its new ones.

    A run's names hold its token, so that no collection of the user can have one by accident.
    """

    own: Address
    old: Address
    new: Address

    @classmethod
    def of(cls, address: Address, run: str, number: int) -> Names:
        """For a collection of a run."""
        old, new = (
            Address(f"lightmigrate-{run}-{what}-{number}", address.tenant, address.database) for what in ("old", "new")
        )
        return cls(address, old, new)


class Replacement:
    """One collection of a copy, and what of it was done already, as can be read off the copy.

    Args:
        staging: the copy.
        scratch: a folder for indexes that are being built; need not exist.
        open_store: opens a folder as a `Store`.
        run: the same for every process that builds on this copy.
        number: of the collection within the run, likewise.
        request: what it is to become.
        page_size: records held in memory at once.
        on_progress: hears about every page.
    """

    def __init__(
        self,
        staging: Path,
        scratch: Path,
        open_store: Callable[[Path], Any],
        run: str,
        number: int,
        request: Request,
        page_size: int,
        on_progress: OnProgress,
    ) -> None:
        self.names = Names.of(request.address, run, number)
        self._staging = staging
        self._scratch = scratch / str(number)
        self._open_store = open_store
        # An index's folder is named by what it holds, so that it can be told which one is in place.
        self._kept, self._rebuilt = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {number} {how}")) for how in ("k", "r"))
        self._request = request
        self._page_size = page_size
        self._on_progress = on_progress

    def begun(self) -> bool:
        """Whether the collection is not wholly the old one any more, so that it cannot be drafted again."""
        there = self._there()
        gone = self.names.own not in there or self.names.old in there
        return gone or self._segment() in (self._kept, self._rebuilt)

    def source(self) -> Address:
        """Where the old records are."""
        return self.names.old if self.names.old in self._there() else self.names.own

    def put(self, draft: Draft, route: Route) -> Route:
        """Put the draft in place of the collection; nobody may have the copy open.

        Args:
            draft: what it is to become.
            route: where to begin; the ones after it are taken when it cannot be, or is not good.

        Returns:
            The route that was taken.
        """
        if not {self.names.old, self.names.new}.isdisjoint(self._there()):
            route = "rewrite"  # an earlier process has begun to
        if route == "keep" and self._keep(draft):
            return "keep"
        if route != "rewrite" and self._rebuild(draft):
            return "rebuild"
        self._rewrite(draft)
        return "rewrite"

    def _keep(self, draft: Draft) -> bool:
        layout = Layout.of(self._staging, self.names.own)
        if layout is None or layout.segment == self._rebuilt:
            return False
        if layout.segment != self._kept:
            try:
                self._exchange_vectors(layout, draft)
            except (ValueError, FileNotFoundError) as error:
                logger.info("%s: its index is not as it is known (%s); it is built anew", self.names.own, error)
                return False
        return True

    def _exchange_vectors(self, layout: Layout, draft: Draft) -> None:
        rows, folder = draft.rows(), self._staging / self._kept
        shutil.rmtree(folder, ignore_errors=True)
        done = 0
        if layout.indexed:
            index = HnswFiles.open(layout.index)
            labels = index.labels()
            if index.dimension != layout.dimension or not set(labels.values()) - rows.keys() <= layout.deleted():
                raise ValueError("it is of other records")

            def exchanged(of: npt.NDArray[np.uint64], old: Vectors) -> Vectors:
                nonlocal done
                known = np.array([rows.get(labels.get(label, ""), -1) for label in of.tolist()])
                new = np.empty((len(of), draft.dimension), np.float32)
                new[known >= 0] = draft.vectors_of(known[known >= 0])
                # a deleted element stays a station on the way to others
                new[known < 0] = projected(self._request.projection, old[known < 0], None)
                done += int((known >= 0).sum())
                self._report(done, draft)
                return new

            cosine = layout.space == "cosine"
            index.with_vectors(folder, draft.dimension, exchanged, normalised=cosine, at_once=self._page_size)
            sync_folder(self._staging)
        self._take_place(layout, self._kept, draft, rows, complete=False)
        self._report(draft.baseline.records, draft)

    def _rebuild(self, draft: Draft) -> bool:
        layout = Layout.of(self._staging, self.names.own)
        if layout is None:
            return False
        if layout.segment == self._rebuilt:
            return True
        folder = self._staging / self._rebuilt
        if not folder.exists():
            index = self._built(draft)
            if index is None:
                return False
            index.rename(folder)
            sync_folder(self._staging)
        self._take_place(layout, self._rebuilt, draft, draft.rows(), complete=True)
        return True

    def _built(self, draft: Draft) -> Path | None:
        """The folder of an index of all vectors of the draft, by Chroma; `None` when it is not whole on the disk."""
        with self._open_store(self._staging) as store:
            schema = store.collection(self.names.own).schema()
        together, _ = _portions(draft.baseline.records, self._page_size)
        for settings in vector_indexes(schema):  # so that it is written to the disk for the last time when all is in it
            (settings.get("hnsw") or {})["sync_threshold"] = max(2, together)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with self._open_store(self._scratch) as store:
            target = store.create_or_open(_INDEX, with_function(schema, None))
            self._fill(target, draft)
        layout = Layout.of(self._scratch, _INDEX)
        try:
            if layout is not None and len(HnswFiles.open(layout.index).labels()) == draft.baseline.records:
                return layout.index
        except (ValueError, FileNotFoundError) as error:
            logger.info("%s: Chroma left no whole index (%s); all records are written anew", self.names.own, error)
        return None

    def _fill(self, target: Collection, draft: Draft) -> None:
        done = target.count()
        _, ends = _portions(draft.baseline.records, self._page_size)
        left = [done, *(end for end in ends if end > done)]
        for page in draft.pages_of((end - start for start, end in itertools.pairwise(left)), done):
            nothing = [None] * len(page)
            target.add(Page(page.ids, page.vectors, nothing, nothing, nothing))
            done += len(page)
            self._report(done, draft)

    def _rewrite(self, draft: Draft) -> None:
        names, there = self.names, self._there()
        with self._open_store(self._staging) as store:
            if names.old not in there:
                source = store.collection(names.own)
                partial = store.collection(names.new) if names.new in there else None
                function, size = self._request.embedding_function, self._page_size
                target = rewrite(store, source, function, draft, names.new.name, size, self._on_progress, partial)
                source.rename(names.old.name)
                target.rename(names.own.name)
            elif names.own not in there:
                store.collection(names.new).rename(names.own.name)

    def _take_place(self, layout: Layout, segment: str, draft: Draft, rows: dict[str, int], *, complete: bool) -> None:
        function = self._request.embedding_function
        schema = layout.schema if function is None else with_function(layout.schema, function)

        def logged(ids: list[str]) -> Vectors:
            known = np.array([rows.get(one, -1) for one in ids])
            new = np.ones((len(ids), draft.dimension), np.float32)  # of records that were deleted since
            new[known >= 0] = draft.vectors_of(known[known >= 0])
            return new

        layout.exchange(segment, draft.dimension, schema, logged, complete=complete, at_once=self._page_size)

    def _report(self, done: int, draft: Draft) -> None:
        self._on_progress(Progress("write", done, draft.baseline.records, self.names.own.name))

    def _segment(self) -> str | None:
        layout = Layout.of(self._staging, self.names.own)
        return layout.segment if layout is not None else None

    def _there(self) -> set[Address]:
        return {facts.address for facts in read_catalog(self._staging)}


def _portions(records: int, page_size: int) -> tuple[int, list[int]]:
    """How to give Chroma the records of an index, so that it holds few beside the index and ends with all on the disk.

    It writes the whole index whenever as many records as `sync_threshold` came since the last time, looking after
    each call; until then it keeps each a second time.

    Returns:
        The threshold, and after which records a call ends: just when one portion is complete, and never a little
        before, so that the last one is complete with the last record.
    """
    portions = max(1, records // _IN_MEMORY)
    together = records // portions
    ends, start = [], 0
    for portion in range(portions):
        size = records - (portions - 1) * together if portion == 0 else together
        calls = -(-size // page_size)
        ends += [start + size * call // calls for call in range(1, calls + 1)]
        start += size
    return together, ends
