"""Carries what was written to a database that is files over to a copy of its backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightmigrate.errors import TooFewPairsError, VerificationError
from lightmigrate.migration.aside.pairing import Pair, paired
from lightmigrate.migration.changes import (
    MOST_PAIRS,
    Carrying,
    Changes,
    common_records,
    fit_back,
    hold_same_vectors,
    put_written,
)
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store
from lightmigrate.stores.files import FileDatabase


class _Unknown:
    """Stands for an embedding function of which a store can record nothing but that there is one."""

    def __call__(self, texts: Sequence[str]) -> None:
        raise NotImplementedError


class _WayBack:
    """How vectors of collections that have no old ones of their own come back: as those of other collections do.

    Args:
        live: the live database.
        copy: the copy, opened.
        pairs: the collections of both, under the names that both have now.
        facts: of those in the live database, and of those in the copy.
        changes: what was written since.
        page_size: records held in memory at once.
        seed: of fits.
    """

    def __init__(
        self,
        live: Store,
        copy: Store,
        pairs: Sequence[tuple[CollectionFacts, CollectionFacts]],
        changes: Sequence[Changes],
        page_size: int,
        seed: int,
    ) -> None:
        self._live, self._copy, self._page_size, self._seed = live, copy, page_size, seed
        self._pairs = [(new, old) for new, old in pairs if new.count and old.count]
        self._same: dict[Address, bool] = {}
        self._written = {each.address: frozenset((*each.added, *each.changed)) for each in changes}

    def of(self, facts: CollectionFacts) -> tuple[Projection | None, CollectionFacts] | None:
        """A projection for a collection of the live database, and an old collection that its vectors then fit.

        Without a projection they fit as they are. `None` where no collection shows the way, several differ, or too
        few records are in both databases. Of several that differ, those count whose recorded model is the same.
        """
        alike = [(new, old) for new, old in self._pairs if new.dimension == facts.dimension]
        of_model = [pair for pair in alike if pair[0].embedding_function == facts.embedding_function]
        for group in (alike, of_model if facts.embedding_function is not None else []):
            if len({(old.dimension, self._is_same(new, old)) for new, old in group}) == 1:
                return self._shown_by(group)
        return None

    def _shown_by(
        self, group: Sequence[tuple[CollectionFacts, CollectionFacts]]
    ) -> tuple[Projection | None, CollectionFacts] | None:
        like = group[0][1]
        if self._is_same(*group[0]):
            return None, like
        most = -(-MOST_PAIRS // len(group))
        common = [
            page
            for new, old in group
            for page in common_records(*self._both(new, old), self._written_to(new), self._page_size, most)
        ]
        try:
            return fit_back(common, self._seed), like
        except TooFewPairsError:
            return None

    def _is_same(self, new: CollectionFacts, old: CollectionFacts) -> bool:
        if new.address not in self._same:
            self._same[new.address] = self._hold_same(new, old)
        return self._same[new.address]

    def _hold_same(self, new: CollectionFacts, old: CollectionFacts) -> bool:
        return hold_same_vectors(*self._both(new, old), self._written_to(new), self._page_size)

    def _both(self, new: CollectionFacts, old: CollectionFacts) -> tuple[Collection, Collection]:
        return self._live.collection(new.address), self._copy.collection(old.address)

    def _written_to(self, new: CollectionFacts) -> frozenset[str]:
        return self._written.get(new.address, frozenset())


def carry_over(
    live: FileDatabase, copy: FileDatabase, changes: Sequence[Changes], page_size: int, seed: int
) -> Mapping[Address, int]:
    """Apply the changes of the live database to a copy of the backup. Writes to the copy.

    Texts and payloads are carried exactly. Vectors of a collection in the new model's space are projected back, with a
    projection fitted on the records that both databases have: approximate, not exact. A collection without old vectors
    takes that of the others of its dimension. One that was deleted is deleted, and one that was renamed is renamed.

    Returns:
        The dimension of those collections whose vectors stay as they are, because nothing shows the way back.

    Raises:
        VerificationError: the copy lacks a record that was carried over, or has one that was deleted.
        WrittenSinceError: both databases have too few records in common to fit that projection.
    """
    copy.prepare()
    pairs = paired(live, copy)
    _delete_and_rename(copy, pairs, changes)
    ours, theirs = ({facts.address: facts for facts in database.catalog()} for database in (live, copy))
    kept: dict[Address, int] = {}
    with live.open() as live_store, copy.open() as copy_store:
        both = [
            (ours[pair.live], theirs[pair.live]) for pair in pairs if pair.live is not None and pair.old is not None
        ]
        way = _WayBack(live_store, copy_store, both, changes, page_size, seed)
        for changed in changes:
            facts, old = ours.get(changed.address), theirs.get(changed.address)
            if facts is None or (old is not None and old.count):
                if old is not None:
                    source = live_store.collection(changed.address) if facts is not None else None
                    Carrying(page_size, seed).carry(source, copy_store.collection(changed.address), changed)
                continue
            source, shown = live_store.collection(changed.address), way.of(facts)
            if shown is None and facts.dimension is not None:
                kept[changed.address] = facts.dimension
            projection, like = shown or (None, None)
            target = (
                copy_store.collection(changed.address)
                if old is not None
                else copy_store.create(changed.address, source, *_vectors_of(copy_store, like or facts, facts))
            )
            put_written(source, target, changed, projection, page_size)
    noted = live.metadata()
    copy.set_metadata({each.address: noted.get(each.address, {}) for each in changes if each.metadata})
    _require_carried(copy, changes)
    copy.tidy()
    return kept


def _vectors_of(store: Store, like: CollectionFacts, facts: CollectionFacts) -> tuple[int, Mapping[str, object] | None]:
    """The dimension, and what is recorded of the model, of a collection with vectors like those of another."""
    if like is facts:
        return facts.dimension or 0, None
    return like.dimension or 0, like.embedding_function or store.describe_model(_Unknown())


def _delete_and_rename(copy: FileDatabase, pairs: Sequence[Pair], changes: Sequence[Changes]) -> None:
    """Delete collections that were deleted since, and rename those that were renamed. Writes to the copy.

    One that has records which were written to the backup later stays, and so does an empty one: nothing is lost by it.
    """
    deleted = {each.address: len(each.deleted) for each in changes}
    counts = {facts.address: facts.count for facts in copy.catalog()}
    gone = [pair.old for pair in pairs if pair.live is None and pair.old is not None]
    gone = [address for address in gone if counts[address] and counts[address] == deleted.get(address)]
    if gone:
        with copy.open() as store:
            for address in gone:
                store.delete(address)
    renamed = {
        pair.old: pair.live.name
        for pair in pairs
        if pair.old is not None and pair.live is not None and pair.old != pair.live
    }
    if renamed:
        copy.rename(renamed)


def _require_carried(copy: FileDatabase, changes: Sequence[Changes]) -> None:
    for changed in changes:
        expected, deleted = {*changed.added, *changed.changed}, set(changed.deleted)
        concerned = {record for record, _ in copy.writes(changed.address) if record in expected or record in deleted}
        if concerned != expected:
            raise VerificationError(
                f"collection {changed.address}: not all records were carried over; nothing was changed"
            )
