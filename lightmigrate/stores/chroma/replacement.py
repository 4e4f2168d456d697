"""Write new vectors to one collection in a copy of a Chroma folder, by the fastest of three routes that is possible.

keep      Replaces only the vectors in the files of the index; its graph stays. Records are not touched. The caller
          measures how well the graph works with the new vectors.
rebuild   Chroma builds a new index from ids and vectors alone, in a separate database, and that index replaces the old
          one. Records are not touched.
rewrite   Chroma writes every record to a new collection, which gets the old one's name.

The first two write to Chroma's own tables and files, and are used only when their format is a known one. After any
route the caller reads everything back through Chroma.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import CollectionNotFoundError, VerificationError
from lightmigrate.files import sync_tree
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address, Collection, Page, Store
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.folder import existing, is_chroma_folder
from lightmigrate.stores.chroma.foresight import SearchesIfKept
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.indexes import segment_of
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.chroma.schema import recording, vector_indexes, with_function, with_space
from lightmigrate.stores.chroma.taking_up import TakingUp, is_whole
from lightmigrate.stores.files import IndexRoute, NewVectors
from lightmigrate.stores.ids import IdTable, hashed
from lightmigrate.system import rename, sync_folder
from lightmigrate.vectors import Metric, Vectors

# Records that Chroma may hold in memory besides the index that it builds; each needs about the space of a vector.
_IN_MEMORY = 20_000

# The collection that an index is built in, in a database of its own.
_INDEX = Address("index-only")

_BEGUN_ANEW = "%s: Chroma could not go on with the index that an interrupted run had begun (%s); it is begun anew"


@dataclass(frozen=True)
class Names:
    """The names used while a collection is rewritten: its own, that of the old records, that of the new ones.

    The names contain the token of the run, so that no collection of the user has one by accident.
    """

    own: Address
    old: Address
    new: Address

    @classmethod
    def of(cls, address: Address, run: str, number: int) -> Names:
        """The names for a collection of a run."""
        old, new = (
            Address(f"lightmigrate-{run}-{what}-{number}", address.tenant, address.database) for what in ("old", "new")
        )
        return cls(address, old, new)


class ChromaReplacement:
    """One collection of a copy that gets new vectors. The copy shows which steps are done. See `files.Replacement`.

    Args:
        folder: the copy.
        address: the collection.
        dimension: of the new vectors.
        model: what to record as embedding function; `None` keeps the present record.
        scratch: a folder for unfinished indexes; need not exist.
        run: the same for every process that builds on this copy.
        number: of the collection within the run; the same for every process, too.
        page_size: records held in memory at once.
        on_done: called with the number of records written and the total.
        distance: of the new index; `None` for that of the old one.
    """

    def __init__(
        self,
        folder: Path,
        address: Address,
        dimension: int,
        model: Mapping[str, Any] | None,
        *,
        scratch: Path,
        run: str,
        number: int,
        page_size: int,
        on_done: Callable[[int, int], None],
        distance: Metric | None = None,
    ) -> None:
        self._names = Names.of(address, run, number)
        self._folder = folder
        self._dimension = dimension
        self._model = model
        self._scratch = scratch / str(number)
        self._taking_up = TakingUp(scratch / f"{number}.taken-up")
        # The name of an index folder depends on its route, so that it shows which index is in place.
        self._kept, self._rebuilt = (str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {number} {how}")) for how in ("k", "r"))
        self._page_size = page_size
        self._on_done = on_done
        self._distance = distance
        self._rewritten = False

    def begun(self) -> bool:
        """Whether the collection has been changed already, so that no new draft can be made from it; only reads."""
        addresses = self._addresses()
        renamed = self._names.own not in addresses or self._names.old in addresses
        return renamed or segment_of(self._folder, self._names.own) in (self._kept, self._rebuilt)

    def source(self) -> Address:
        """The address of the old records; only reads."""
        return self._names.old if self._names.old in self._addresses() else self._names.own

    def searches_if_kept(self, draft: NewVectors, space: Metric) -> SearchesIfKept | None:
        """What searches would find if the graph was kept; only reads. See `files.Replacement`."""
        layout = Layout.of(self._folder, self._names.own)
        if layout is None or not layout.indexed or self.begun():
            return None
        try:
            return SearchesIfKept(layout, draft, space)
        except (ValueError, OSError):
            return None  # its files have an unknown layout, so the graph cannot be kept either

    def put(self, draft: NewVectors, route: IndexRoute) -> IndexRoute:
        """Replace the collection by the draft; no process may have the copy open. Writes.

        Args:
            draft: the new content of the collection.
            route: the first route to try; if it is not possible, the next ones are tried.

        Returns:
            The route that was taken.
        """
        if not {self._names.old, self._names.new}.isdisjoint(self._addresses()):
            route = "rewrite"  # an earlier process has begun this route
        if route == "keep" and self._keep(draft):
            return "keep"
        if route != "rewrite" and self._rebuild(draft):
            return "rebuild"
        self._rewritten = True
        self._rewrite(draft)
        return "rewrite"

    def _keep(self, draft: NewVectors) -> bool:
        layout = Layout.of(self._folder, self._names.own)
        if layout is None or layout.segment == self._rebuilt:
            return False
        if layout.segment == self._kept:  # Chroma may have written to it since, and died
            return is_whole(self._folder, self._names.own)
        try:
            self._exchange_vectors(layout, draft)
        except (ValueError, FileNotFoundError) as error:
            logger.info("%s: its index files have an unknown layout (%s); rebuilding the index", self._names.own, error)
            return False
        return True

    def _exchange_vectors(self, layout: Layout, draft: NewVectors) -> None:
        rows, folder = draft.rows(), self._folder / self._kept
        shutil.rmtree(folder, ignore_errors=True)
        done = 0
        if layout.indexed:
            index = HnswFiles.open(layout.index)
            labels = index.labels()
            unknown = labels.hashes[rows.of_hashes(labels.hashes) < 0]
            if index.dimension != layout.dimension or not np.isin(unknown, hashed(layout.deleted())).all():
                raise ValueError("it is of other records")

            def exchanged(of: npt.NDArray[np.uint64], old: Vectors) -> Vectors:
                nonlocal done
                hashes, named = labels.hashes_of(of)
                known = np.where(named, rows.of_hashes(hashes), -1)
                new = np.empty((len(of), draft.dimension), np.float32)
                new[known >= 0] = draft.vectors_of(known[known >= 0])
                # searches still pass through deleted elements
                new[known < 0] = draft.project(old[known < 0])
                done += int((known >= 0).sum())
                self._report(done, draft)
                return new

            cosine = layout.space == "cosine"
            index.with_vectors(folder, draft.dimension, exchanged, normalised=cosine, at_once=self._page_size)
            sync_folder(self._folder)
        self._take_place(layout, self._kept, draft, rows, complete=False)
        self._report(draft.count, draft)

    def _rebuild(self, draft: NewVectors) -> bool:
        layout = Layout.of(self._folder, self._names.own)
        if layout is None:
            return False
        if layout.segment == self._rebuilt:  # Chroma may have written to it since, and died
            return is_whole(self._folder, self._names.own)
        try:
            rows = draft.rows()
        except ValueError:
            return False
        folder = self._folder / self._rebuilt
        if not folder.exists():
            index = self._built(draft)
            if index is None:
                return False
            sync_tree(index)  # a folder of this name is taken for whole
            rename(index, folder)
            sync_folder(self._folder)
        self._take_place(layout, self._rebuilt, draft, rows, complete=True)
        return True

    def _built(self, draft: NewVectors) -> Path | None:
        """Build an index of all vectors of the draft; its folder, or `None` if it is incomplete on disk. Writes."""
        with ChromaFolderStore(self._folder) as store:
            schema = store.collection(self._names.own).schema(self._distance)
        threshold, _ = _portions(draft.count, self._page_size)
        for settings in vector_indexes(schema):  # so that the last write to disk contains all records
            (settings.get("hnsw") or {})["sync_threshold"] = max(2, threshold)
        taken_up = is_chroma_folder(self._scratch) and self._taking_up.possible(self._scratch, _INDEX)
        if not taken_up:
            self._discard_scratch()
        try:
            self._fill_scratch(schema, draft)
        except Exception as error:
            if not taken_up:
                raise
            logger.warning(_BEGUN_ANEW, self._names.own, type(error).__name__)
            self._discard_scratch()
            self._fill_scratch(schema, draft)
        layout = Layout.of(self._scratch, _INDEX)
        try:
            if layout is not None and len(HnswFiles.open(layout.index).labels()) == draft.count:
                return layout.index
        except (ValueError, FileNotFoundError) as error:
            logger.info("%s: Chroma wrote no complete index (%s); rewriting all records", self._names.own, error)
        return None

    def _discard_scratch(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._taking_up.forget()

    def _fill_scratch(self, schema: Mapping[str, Any], draft: NewVectors) -> None:
        self._scratch.mkdir(parents=True, exist_ok=True)
        with ChromaFolderStore(self._scratch) as store:
            try:
                target = store.collection(_INDEX)
            except CollectionNotFoundError:
                target = store.create_with(_INDEX, with_function(schema, None))
            _, ends = _portions(draft.count, self._page_size)
            self._fill(target, draft, ends, _without_records)

    def _fill(
        self, target: Collection, draft: NewVectors, ends: Iterable[int], content: Callable[[Page], Page]
    ) -> None:
        """Add what is missing of a draft to a collection, whose first records are the draft's: each write is atomic.

        Args:
            target: the collection.
            draft: all of its records.
            ends: the row numbers at which writes end.
            content: what is written of a page.
        """
        with contextlib.ExitStack() as trying:
            trying.enter_context(self._taking_up.trying())
            done = target.count()
            limits = itertools.chain([done], (end for end in ends if end > done))
            for page in draft.pages_of((end - start for start, end in itertools.pairwise(limits)), done):
                target.add(content(page))
                trying.close()
                done += len(page)
                self._report(done, draft)

    def _rewrite(self, draft: NewVectors) -> None:
        written = self._written()
        taken_up = written in self._addresses() and self._taking_up.possible(self._folder, written)
        if not taken_up:
            self._discard(written)
        try:
            self._write(draft)
        except Exception as error:
            if not taken_up:
                raise
            logger.warning(_BEGUN_ANEW, self._names.own, type(error).__name__)
            self._discard(self._written())
            self._write(draft)

    def _written(self) -> Address:
        """The name of the new collection, as far as it has been written; only reads."""
        return self._names.own if {self._names.old, self._names.own} <= self._addresses() else self._names.new

    def _discard(self, written: Address) -> None:
        """Delete the new collection that an interrupted process left, if any. Its index is not loaded."""
        if written in self._addresses():
            with ChromaFolderStore(self._folder) as store:
                store.delete(written)
        self._taking_up.forget()

    def _write(self, draft: NewVectors) -> None:
        """Write all records with the draft's vectors to a new collection, or go on with it, and exchange the names."""
        names, addresses = self._names, self._addresses()
        if names.old in addresses and names.own in addresses:
            return
        with ChromaFolderStore(self._folder) as store:
            source = store.collection(names.old if names.old in addresses else names.own)
            target = self._partial(store) if names.new in addresses else None
            target = target or store.create(names.new, source, self._dimension, self._model, self._distance)
            ends = itertools.count(self._page_size, self._page_size)
            self._fill(target, draft, ends, functools.partial(_with_records, source))
            if names.old not in addresses:
                source.rename(names.old.name)
            target.rename(names.own.name)

    def _partial(self, store: ChromaFolderStore) -> ChromaCollection | None:
        """The new collection that an interrupted process left; `None` where its creation may have been interrupted."""
        partial = store.collection(self._names.new)
        with self._taking_up.trying():
            if partial.count():
                return partial
        store.delete(self._names.new)
        return None

    def finish(self, store: Store) -> None:
        """Delete the old records, if the route left them in the copy. Writes. See `files.Replacement`."""
        if self._rewritten:  # to ask for a name that there is not makes Chroma list all collections
            with contextlib.suppress(CollectionNotFoundError):
                store.delete(store.collection(self._names.old).address)

    def _take_place(self, layout: Layout, segment: str, draft: NewVectors, rows: IdTable, *, complete: bool) -> None:
        schema = with_space(layout.schema, self._distance)
        if self._model is not None:
            schema = recording(schema, self._model)

        def logged(ids: list[str]) -> Vectors:
            known = rows.of(ids)
            new = np.ones((len(ids), draft.dimension), np.float32)  # for records that were deleted since
            new[known >= 0] = draft.vectors_of(known[known >= 0])
            return new

        layout.exchange(
            segment,
            draft.dimension,
            schema,
            logged,
            complete=complete,
            at_once=self._page_size,
            distance=self._distance,
        )

    def _report(self, done: int, draft: NewVectors) -> None:
        self._on_done(done, draft.count)

    def _addresses(self) -> set[Address]:
        return existing(self._folder, (self._names.own, self._names.old, self._names.new))


def _with_records(source: ChromaCollection, page: Page) -> Page:
    """A page of a draft with the texts and payloads of the source."""
    contents = source.records(page.ids, vectors=False)
    if list(contents.ids) != list(page.ids):
        raise VerificationError(f"{source.address} lacks records that were read from it; run this again")
    return contents.with_vectors(page.vectors)


def _without_records(page: Page) -> Page:
    """Ids and vectors alone."""
    return Page(page.ids, page.vectors, [None] * len(page), [None] * len(page))


def _portions(records: int, page_size: int) -> tuple[int, list[int]]:
    """The batches in which to add the records of an index, so that Chroma needs little memory and writes all of them.

    After a call Chroma writes the whole index when at least `sync_threshold` records were added since the last write.
    Until then it holds a second copy of each of these records.

    Returns:
        The threshold, and the row numbers at which calls end. Each portion ends with a call, so that the last portion
        is complete, and written, with the last record.
    """
    portions = max(1, records // _IN_MEMORY)
    threshold = records // portions
    ends, start = [], 0
    for portion in range(portions):
        size = records - (portions - 1) * threshold if portion == 0 else threshold
        calls = -(-size // page_size)
        ends += [start + size * call // calls for call in range(1, calls + 1)]
        start += size
    return threshold, ends
