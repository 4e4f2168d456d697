"""What was written to a database after its migration, and how it is carried back to the old one by a rollback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightmigrate.errors import VerificationError, WrittenSinceError
from lightmigrate.estimators.fit import fit
from lightmigrate.migration.folder.record import Record
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, Collection, Page, Store
from lightmigrate.stores.chroma_changes import writes_of
from lightmigrate.stores.chroma_folder import read_catalog

# What a rollback does with records written after the migration.
OnWritten = Literal["refuse", "carry", "discard"]

# Records in both databases that the way back into the old model's space is learned from.
MOST_PAIRS = 2000
FEWEST_PAIRS = 20


@dataclass(frozen=True)
class Written(Result):
    """What happened to one collection after its migration.

    Attributes:
        collection_name: the collection.
        added: records that the backup does not have.
        changed: records whose text, metadata or vector was written again.
        deleted: records that only the backup has.
    """

    collection_name: str
    added: int
    changed: int
    deleted: int


@dataclass(frozen=True)
class Changes:
    """The same with ids; never logged, never in a message."""

    address: Address
    added: Sequence[str]
    changed: Sequence[str]
    deleted: Sequence[str]

    def counted(self) -> Written:
        """How many of each."""
        return Written(str(self.address), len(self.added), len(self.changed), len(self.deleted))


def changes_since(live: Path, backup: Path) -> list[Changes]:
    """What was done to `live` since one of the two was made from the other, collection by collection. Only reads.

    A backup from before several migrations is compared with the state after the last one: what was changed earlier is
    not seen as a change.
    """
    now, then = writes_of(live), writes_of(backup)
    ours, theirs = Record.read(live), Record.read(backup)
    if theirs and (not ours or ours.migrated_at < theirs.migrated_at):
        # forward again, after a rollback: the backup was made from this database, and may have been written to since
        last_here, last_there = _by_address(theirs.source_writes), _by_address(theirs.last_writes)
    else:
        last_here = _by_address(ours.last_writes if ours else ())
        last_there = {address: max(numbers.values()) for address, numbers in then.items()}
    found = []
    for address in sorted(now.keys() | then.keys(), key=str):
        here, there = now.get(address, {}), then.get(address, {})
        written = [record for record, number in here.items() if number > last_here.get(address, 0)]
        known = [record for record, number in there.items() if number <= last_there.get(address, 0)]
        one = Changes(
            address,
            added=[record for record in written if record not in there],
            changed=[record for record in written if record in there],
            deleted=[record for record in known if record not in here],
        )
        if one.added or one.changed or one.deleted:
            found.append(one)
    return found


def _by_address(writes: Sequence[tuple[str, str, str, int]]) -> dict[Address, int]:
    return {Address(name, tenant, database): number for tenant, database, name, number in writes}


def require_nothing_written(changes: Sequence[Changes]) -> None:
    """Raise `WrittenSinceError` when there are changes."""
    if changes:
        added, changed, deleted = (
            sum(len(getattr(one, what)) for one in changes) for what in ("added", "changed", "deleted")
        )
        raise WrittenSinceError(
            f"after the migration {added} records were added, {changed} changed, {deleted} deleted: say whether to "
            "carry that over to the old database or to discard it (--written carry, --written discard)",
            added=added,
            changed=changed,
            deleted=deleted,
        )


def carry_over(live: Path, copy: Path, open_store: Any, changes: Sequence[Changes], page_size: int, seed: int) -> None:
    """Do to a copy of the backup what was done to the live database since. Writes to the copy.

    Texts, metadata and uris are carried exactly. Where the vectors of a collection are in the new model's space,
    they go back through a projection fitted to the records that both databases have: close, not exact.

    Raises:
        VerificationError: the copy lacks what was to be carried, or has what was deleted.
        WrittenSinceError: too few records are in both databases to learn the way back from.
    """
    there = [{facts.address for facts in read_catalog(folder)} for folder in (live, copy)]
    with open_store(live) as ours, open_store(copy) as theirs:
        for one in changes:
            source = ours.collection(one.address) if one.address in there[0] else None
            target = _counterpart(theirs, source, one.address, one.address in there[1])
            carry(source, target, one, page_size, seed)
    held = writes_of(copy)
    for one in changes:
        ids = held.get(one.address, {}).keys()
        if not ids >= {*one.added, *one.changed} or ids & set(one.deleted):
            raise VerificationError(f"collection {one.address}: not all records were carried over; nothing was changed")


def carry(source: Collection | None, target: Collection, changes: Changes, page_size: int, seed: int) -> None:
    """Do to `target` what was done to `source` since one was made from the other. See `carry_over`."""
    if source is not None:
        back = _way_back(source, target, changes, page_size, seed)
        written = [*changes.changed, *changes.added]
        for start in range(0, len(written), page_size):
            page = source.records(written[start : start + page_size])
            target.put(page if back is None else page.with_vectors(back(page)))
    target.remove(changes.deleted)


def _counterpart(store: Store, source: Collection | None, address: Address, exists: bool) -> Collection:
    if exists or source is None:
        return store.collection(address)
    return store.create_like(source, address.name, None)


def _way_back(source: Collection, target: Collection, changes: Changes, page_size: int, seed: int) -> Any:
    """From a page of the live collection to vectors for the old one; `None` where they are the same vectors."""
    written = {*changes.changed, *changes.added}
    old = next(target.pages(page_size), None)
    if old is None:
        return None
    common = source.records([record for record in old.ids if record not in written])
    if common.vectors.shape == old.vectors.shape and np.allclose(common.vectors, _vectors(old, common), atol=1e-5):
        return None
    pairs: list[tuple[Page, Page]] = []
    for page in target.pages(page_size):
        ours = source.records([record for record in page.ids if record not in written])
        pairs.append((ours, page))
        if sum(len(pair[0]) for pair in pairs) >= MOST_PAIRS:
            break
    X = np.concatenate([ours.vectors for ours, _ in pairs if len(ours)])
    Y = np.concatenate([_vectors(page, ours) for ours, page in pairs if len(ours)])
    if len(X) < FEWEST_PAIRS:
        raise WrittenSinceError(
            f"collection {changes.address}: {len(X)} records are in both databases, {FEWEST_PAIRS} are needed to carry "
            "vectors back; discard what was written, or embed it again with the old model",
            added=len(changes.added),
            changed=len(changes.changed),
            deleted=len(changes.deleted),
        )
    texts = [text for ours, _ in pairs for text in ours.documents]
    projection = fit(X, Y, texts if any(texts) else None, seed=seed)
    return lambda page: projection.apply(page.vectors, page.documents)


def _vectors(page: Page, like: Page) -> Any:
    """The vectors of those records of `page` that `like` has, in its order."""
    place = {record: row for row, record in enumerate(page.ids)}
    return page.vectors[[place[record] for record in like.ids]]
