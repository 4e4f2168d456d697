"""What was written to a collection after its migration, and how a rollback carries it back to the old one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import WrittenSinceError
from lightmigrate.estimators.fit import fit
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.results import ChangesSince
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.vectors import Vectors

# What a rollback does with records written after the migration.
OnWritten = Literal["refuse", "carry", "discard"]

# Records in both databases on which the projection back into the old model's space is fitted.
MOST_PAIRS = 2000
FEWEST_PAIRS = 20


@dataclass(frozen=True)
class Changes:
    """The ids that changed in one collection; true when there are any. Never put them in a log or a message.

    Attributes:
        address: the collection.
        added: ids of records that the backup does not have.
        changed: ids of records that were written again.
        deleted: ids of records that only the backup has.
    """

    address: Address
    added: Sequence[str]
    changed: Sequence[str]
    deleted: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted)

    def only(self, chosen: Callable[[Sequence[str]], AbstractSet[str]]) -> Changes:
        """The changes of those records that a function chooses of their ids."""
        kept = chosen([*self.added, *self.changed, *self.deleted])
        added, changed, deleted = (
            [record for record in records if record in kept] for records in (self.added, self.changed, self.deleted)
        )
        return replace(self, added=added, changed=changed, deleted=deleted)

    def counted(self) -> ChangesSince:
        """The number of added, changed and deleted records."""
        return ChangesSince(str(self.address), len(self.added), len(self.changed), len(self.deleted))


class OwnVectors(Protocol):
    """Tells the vectors that this package gave to records since a migration from those that an application wrote."""

    def knows(self, address: Address) -> bool:
        """Whether it can tell anything about a collection; only reads."""

    def held(self, address: Address, page: Page) -> npt.NDArray[np.bool_]:
        """Which records of a page hold such a vector: bool `(n,)`; only reads."""


def without_own(changes: Changes, source: Collection, target: Collection, own: OwnVectors, page_size: int) -> Changes:
    """The changes without the records to which this package alone has given another vector. Only reads.

    Args:
        changes: the changes that were made to `source`.
        source: the live collection.
        target: the backup, or a copy of it.
        own: tells the vectors of this package.
        page_size: records held in memory at once.
    """
    changed: list[str] = []
    for start in range(0, len(changes.changed), page_size):
        page = source.records(changes.changed[start : start + page_size])
        before = target.records(page.ids)
        digests = dict(zip(before.ids, record_digests(before, vectors=False), strict=True))
        held = own.held(changes.address, page).tolist()
        for record, digest, is_own in zip(page.ids, record_digests(page, vectors=False), held, strict=True):
            if not is_own or digests.get(record) != digest:
                changed.append(record)
    return replace(changes, changed=changed)


def require_nothing_written(changes: Sequence[Changes]) -> None:
    """Raise `WrittenSinceError` when there are changes."""
    if changes:
        added, changed, deleted = (
            sum(len(getattr(change, what)) for change in changes) for what in ("added", "changed", "deleted")
        )
        raise WrittenSinceError(
            f"after the migration {added} records were added, {changed} changed, {deleted} deleted: say whether to "
            "carry that over to the old database or to discard it (--written carry, --written discard)",
            added=added,
            changed=changed,
            deleted=deleted,
        )


def carry(source: Collection | None, target: Collection, changes: Changes, page_size: int, seed: int) -> None:
    """Apply to `target` the changes that were made to `source` since the migration. Writes to `target`.

    Args:
        source: the live collection; `None` when it was deleted.
        target: the backup, or a copy of it.
        changes: the changes that were made to `source`.
        page_size: records held in memory at once.
        seed: seed of the fit of the projection back into the old space.

    Raises:
        WrittenSinceError: too few records are in both databases to fit that projection.
    """
    if source is not None:
        vectors_for = _vectors_for_backup(source, target, changes, page_size, seed)
        written = [*changes.changed, *changes.added]
        for start in range(0, len(written), page_size):
            page = source.records(written[start : start + page_size])
            target.put(page if vectors_for is None else page.with_vectors(vectors_for(page)))
    target.remove(changes.deleted)


def _vectors_for_backup(
    source: Collection, target: Collection, changes: Changes, page_size: int, seed: int
) -> Callable[[Page], Vectors] | None:
    """A function from a live page to its vectors in the old space; `None` when both spaces are the same."""
    written = {*changes.changed, *changes.added}
    old = target.sample(page_size)
    if not len(old):
        return None
    common = source.records([record for record in old.ids if record not in written])
    same_space = len(common) and common.vectors.shape[1] == old.vectors.shape[1]
    if same_space and np.allclose(common.vectors, _vectors(old, common), atol=1e-5):
        return None
    pairs: list[tuple[Page, Page]] = []
    for page in target.scan(page_size):
        live = source.records([record for record in page.ids if record not in written])
        pairs.append((live, page))
        if sum(len(pair[0]) for pair in pairs) >= MOST_PAIRS:
            break
    X = np.concatenate([live.vectors for live, _ in pairs if len(live)])
    Y = np.concatenate([_vectors(page, live) for live, page in pairs if len(live)])
    if len(X) < FEWEST_PAIRS:
        raise WrittenSinceError(
            f"collection {changes.address}: {len(X)} records are in both databases, {FEWEST_PAIRS} are needed to carry "
            "vectors back; discard what was written, or embed it again with the old model",
            added=len(changes.added),
            changed=len(changes.changed),
            deleted=len(changes.deleted),
        )
    texts = [text for live, _ in pairs for text in live.texts]
    projection = fit(X, Y, texts if any(texts) else None, seed=seed)
    return lambda page: projection.apply(page.vectors, page.texts)


def _vectors(page: Page, like: Page) -> Vectors:
    """The vectors in `page` of the records of `like`, in the order of `like`."""
    place = {record: row for row, record in enumerate(page.ids)}
    return page.vectors[[place[record] for record in like.ids]]
