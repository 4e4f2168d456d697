"""Which projected rows of an open database are embedded next: those that searches returned first."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lightmigrate.errors import (
    CollectionNotFoundError,
    DatabaseChangedError,
    LightmigrateError,
    ModelMismatchError,
    RefusedError,
)
from lightmigrate.progress import logger
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.order import ProjectedRows
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance
from lightmigrate.refinement.recorded_model import require_recorded
from lightmigrate.refinement.refine import Refiner, is_loosened
from lightmigrate.refinement.turns import Turns
from lightmigrate.stores.base import Address, Page, Store
from lightmigrate.stores.record_tables import RecordTables
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.source import TextSource, form_from_json
from lightmigrate.training.request import tokens_of
from lightmigrate.training.texts import TextsFile
from lightmigrate.vectors import Vectors

# Ids that searches returned and that wait for their turn; the oldest are dropped.
MOST_SEARCHED = 10_000

# Rows looked at to see whether the collection is still the migrated one: searches wait while they are read.
COMPARED = 100

# Among the facts of a collection: how many of its rows the model cannot embed, so that no start tries them again.
WITHOUT_EMBEDDING = "rows_without_embedding"

# What ends the refinement of one collection: it is gone, another one is in its place, or it is of another model.
OF_ONE_COLLECTION = (CollectionNotFoundError, DatabaseChangedError, ModelMismatchError, RefusedError)


class PartlyRefined:
    """A collection that is being refined: one thread embeds rows, another one writes them.

    Args:
        address: of the collection.
        store: the open database.
        place: the folder of its provenance file.
        provider: the new model.
        turns: when rows may be read and written.

    Attributes:
        id: the store's own id of the collection.

    Raises:
        CollectionNotFoundError: it is gone.
        RefusedError: its vectors are not those that its migration gave it.
        ModelMismatchError: it was migrated to another model.
    """

    def __init__(self, address: Address, store: Store, place: Path, provider: Provider, turns: Turns) -> None:
        self.address, self.provider = address, provider
        self._store, self._turns = store, turns
        # a thread that only reads and one that writes, each with a connection of its own
        self._reading, self._writing = Provenance.existing(place), Provenance.existing(place)
        try:
            self._open(provider)
        except BaseException:
            self.close()
            raise
        self._searched: deque[str] = deque(maxlen=MOST_SEARCHED)
        self._begun = RecordTables().table()

    def _open(self, provider: Provider) -> None:
        address, turns, facts = self.address, self._turns, self._writing.facts(self.address)
        if not provider.in_process:  # or it is the one that the start has compared
            require_recorded(address, facts, provider)
        form, by_id = form_from_json(facts.get("text_form") or {}), TextsFile(**facts["texts_file"]).read()
        with turns.own():
            collection = with_texts(self._store.collection(address), by_id if form is None else TextSource(form, by_id))
            self.id = collection.facts().id
            self._reader = Refiner(address, collection, self._reading, provider, turns=turns)
            self._writer = Refiner(address, collection, self._writing, provider, turns=turns)
            self._reader.require_migrated(COMPARED)
        rows = ProjectedRows(address, collection, self._reading, provider, (), 0)
        self._others = iter(rows.shuffled())

    def close(self) -> None:
        """Release the provenance file."""
        self._reading.close()
        self._writing.close()

    def searched(self, ids: Sequence[str]) -> None:
        """These rows were returned by a search, the best first: they come next."""
        self._searched.extendleft(reversed(list(ids)))

    @property
    def has_searched(self) -> bool:
        """Whether rows wait that searches returned."""
        return bool(self._searched)

    def next(self, most: int) -> Page | None:
        """The next records to embed, at most so many; may be empty. `None` when there are no more. Only reads.

        Raises:
            CollectionNotFoundError: it is gone.
            DatabaseChangedError: another collection is in its place.
        """
        with self._while_same():
            return self._next(most)

    def _next(self, most: int) -> Page | None:
        ids: list[str] = []
        while self._searched and not ids:
            searched = [self._searched.popleft() for _ in range(min(most, len(self._searched)))]
            known = self._reading.rows_by_id(self.address, list(dict.fromkeys(searched)))
            ids = self._not_begun([row.id for row in known.values() if row.origin in NOT_EXACT])
        # small batches would cost more than they bring forward
        while len(ids) < most and (others := list(itertools.islice(self._others, most - len(ids)))):
            ids += (row_id for row_id in self._not_begun(others) if row_id not in ids)
        if not ids:
            return None
        self._begun.put(dict.fromkeys(ids, b""))
        return self._reader.waiting(ids)

    def _not_begun(self, ids: Sequence[str]) -> list[str]:
        begun = self._begun.get(ids)
        return [row_id for row_id in ids if row_id not in begun]

    def price(self, page: Page) -> float:
        """The dollars that embedding a page costs where nothing of it is in the cache; 0 where that is not known."""
        return self.provider.priced(tokens_of(self.provider, [text or "" for text in page.texts])).dollars or 0.0

    def embedded(self, page: Page) -> tuple[Page, Vectors]:
        """See `Refiner.embedded`."""
        return self._reader.embedded(page)

    def write(self, page: Page, vectors: Vectors) -> int:
        """See `Refiner.write`.

        Raises:
            CollectionNotFoundError: it is gone.
            DatabaseChangedError: another collection is in its place.
        """
        self._require_same()
        with self._while_same():
            return self._writer.write(page, vectors)

    def _require_same(self) -> None:
        with self._turns.own():
            present = self._store.collection(self.address).facts().id
            DatabaseChangedError.require_same(self.address, self.id, present)

    @contextlib.contextmanager
    def _while_same(self) -> Iterator[None]:
        """Around calls of the store, each of which fails in a way of its own where the collection is gone."""
        try:
            yield
        except LightmigrateError:
            raise
        except Exception:
            self._require_same()
            raise

    def finish(self, alone: Callable[[], contextlib.AbstractContextManager[None]]) -> int:
        """Note that every row was tried, and make all of them reachable by searches again. Writes.

        Args:
            alone: held around each piece of work.

        Returns:
            The number of rows that the model cannot embed.

        Raises:
            CollectionNotFoundError: it is gone.
            DatabaseChangedError: another collection is in its place.
        """

        @contextlib.contextmanager
        def alone_with_it() -> Iterator[None]:
            with alone():
                self._require_same()
                yield

        left = self._writing.not_exact().get(self.address, 0)
        self._writing.note(self.address, {WITHOUT_EMBEDDING: left})
        if not left:
            self._writing.drop_older_projections(self.address)
        with self._while_same():
            self._writer.reach_all(alone_with_it)
        return left


class Works:
    """Collections that are refined one after another, but for rows that searches returned, which come first.

    One that cannot be refined is left out, and the others go on.

    Args:
        addresses: of the collections.
        open_work: opens one of them.
        by_id: the addresses of some of them, by the store's own ids.

    Attributes:
        left_out: what ended the refinement of those that are left out. A thread that writes may add to it.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        open_work: Callable[[Address], PartlyRefined],
        by_id: Mapping[str, Address],
    ) -> None:
        self._waiting = deque(addresses)
        self._by_id = by_id
        self._open_work = open_work
        self._open: list[PartlyRefined] = []
        self._tried: list[PartlyRefined] = []
        self.left_out: dict[Address, LightmigrateError] = {}

    @property
    def reason_left_out(self) -> str:
        """Why the first collection is left out that is not just gone; empty where there is none."""
        kept = ((a, error) for a, error in self.left_out.items() if not isinstance(error, CollectionNotFoundError))
        return next((f"{address}: {error}" for address, error in kept), "")

    @contextlib.contextmanager
    def leaving_out(self, address: Address) -> Iterator[None]:
        """Around work on one collection: if that cannot be refined, it is left out from now on, and said so once."""
        try:
            yield
        except OF_ONE_COLLECTION as error:
            if address not in self.left_out:
                self.left_out[address] = error
                logger.warning("⚠ %s is left out of refining in the background: %s", address, error)

    def searched(self, collection: str, ids: Sequence[str]) -> None:
        """A search of a collection, by the store's id or of any if that is empty, returned these rows."""
        if (address := self._by_id.get(collection)) in self._waiting and address is not None:
            self._waiting.remove(address)
            self._begin(address)
        for work in self._open:
            if collection in ("", work.id):
                work.searched(ids)

    def next(self, most: int) -> tuple[PartlyRefined, Page] | None:
        """The next records to embed; `None` when there are no more. See `PartlyRefined.next`."""
        while True:
            for work in sorted(self._open, key=lambda work: not work.has_searched):
                page = None
                if work.address not in self.left_out:
                    with self.leaving_out(work.address):
                        page = work.next(most)
                if page is not None:
                    return work, page
                self._open.remove(work)
                self._tried.append(work)
            if not self._waiting:
                return None
            self._begin(self._waiting.popleft())

    def _begin(self, address: Address) -> None:
        with self.leaving_out(address):
            self._open.append(self._open_work(address))

    def finish(self, alone: Callable[[], contextlib.AbstractContextManager[None]]) -> int:
        """See `PartlyRefined.finish`, for all of them that are not left out."""
        left = 0
        for work in self._tried:
            if work.address not in self.left_out:
                with self.leaving_out(work.address):
                    left += work.finish(alone)
        return left

    def close(self) -> None:
        """Release the provenance file."""
        for work in (*self._open, *self._tried):
            work.close()


def rows_to_refine(provenance: Provenance, addresses: Sequence[Address]) -> dict[Address, int]:
    """The number of rows that are not exact and can become so, of each collection that has some. Only reads."""
    waiting = provenance.not_exact()
    return {
        address: waiting[address]
        for address in addresses
        if address in waiting and provenance.facts(address).get(WITHOUT_EMBEDDING) != waiting[address]
    }


def unfinished(provenance: Provenance, addresses: Sequence[Address]) -> dict[Address, int]:
    """The same with collections of which no row is left, but some may not be reachable by searches. Only reads."""
    recorded = set(provenance.addresses())
    loosened = [address for address in addresses if address in recorded and is_loosened(provenance, address)]
    return {**dict.fromkeys(loosened, 0), **rows_to_refine(provenance, addresses)}
