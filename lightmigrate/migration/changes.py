"""What was written to a collection after its migration, and how a rollback carries it back to the old one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import TooFewPairsError, WrittenSinceError
from lightmigrate.estimators.fit import fit
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.results import ChangesSince
from lightmigrate.projection.projection import Projection
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
        touched: number of other records of which something else was written, which the backup shares.
        gone: number of records that were deleted in the backup, too, because versions share their records.
        was: where the backup has the collection, if at another address.
        metadata: whether the collection has other metadata.
    """

    address: Address
    added: Sequence[str]
    changed: Sequence[str]
    deleted: Sequence[str]
    touched: int = 0
    gone: int = 0
    was: Address | None = None
    metadata: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted or self.was or self.metadata)

    def only(self, chosen: Callable[[Sequence[str]], AbstractSet[str]]) -> Changes:
        """The changes of those records that a function chooses of their ids."""
        kept = chosen([*self.added, *self.changed, *self.deleted])
        added, changed, deleted = (
            [record for record in records if record in kept] for records in (self.added, self.changed, self.deleted)
        )
        return replace(self, added=added, changed=changed, deleted=deleted)

    def counted(self, kept_dimension: int | None = None) -> ChangesSince:
        """The number of added, changed and deleted records, as far as the backup differs in them; and of those gone."""
        counts = len(self.added), len(self.changed), len(self.deleted), self.gone
        was = str(self.was or "")
        return ChangesSince(str(self.address), *counts, was=was, metadata=self.metadata, kept_dimension=kept_dimension)

    def counted_all(self) -> ChangesSince:
        """The same, with the records of which something was written that the backup shares."""
        return replace(self.counted(), changed=len(self.changed) + self.touched)


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
    """Raise `WrittenSinceError` when there are changes that a rollback can carry or discard."""
    if any(changes):
        added, changed, deleted = (
            sum(len(getattr(change, what)) for change in changes) for what in ("added", "changed", "deleted")
        )
        gone = sum(change.gone for change in changes)
        deleted += gone
        renamed = sum(change.was is not None for change in changes)
        noted = sum(change.metadata for change in changes)
        also = f" ({gone} of them for good, because both databases share these rows)" if gone else ""
        also += f", {renamed} collections renamed" if renamed else ""
        also += f", {noted} collections given other metadata" if noted else ""
        raise WrittenSinceError(
            f"after the migration {added} records were added, {changed} changed, {deleted} deleted{also}: say whether "
            "to carry that over to the old database or to discard it (--written carry, --written discard)",
            added=added,
            changed=changed,
            deleted=deleted,
        )


class Carrying:
    """Carries changes to the old database; all vectors with one projection back into the space of the old model.

    Args:
        page_size: records held in memory at once.
        seed: seed of the fit of that projection.
    """

    def __init__(self, page_size: int, seed: int) -> None:
        self._page_size, self._seed = page_size, seed
        self._fitted: tuple[Projection | None] | None = None

    def fit(self, source: Collection, target: Collection, changes: Changes) -> None:
        """Fit that projection, once: what may be refused is refused before anything is written. Only reads.

        Args:
            source: the live collection.
            target: the backup.
            changes: the changes that were made to `source`.

        Raises:
            WrittenSinceError: too few records are in both databases to fit it.
        """
        written = frozenset([*changes.changed, *changes.added])
        if self._fitted is not None or not written:
            return
        try:
            self._fitted = (projection_between(source, target, written, self._page_size, self._seed),)
        except TooFewPairsError as error:
            raise WrittenSinceError(
                f"collection {changes.address}: {error}; discard what was written, or embed it again with the old "
                "model",
                added=len(changes.added),
                changed=len(changes.changed),
                deleted=len(changes.deleted),
            ) from None

    def carry(self, source: Collection | None, target: Collection, changes: Changes) -> None:
        """Apply to `target` the changes that were made to `source` since the migration. Writes to `target`.

        Args:
            source: the live collection; `None` when it was deleted.
            target: the backup, or a copy of it.
            changes: the changes that were made to `source`.

        Raises:
            WrittenSinceError: see `fit`; nothing was written.
        """
        if source is not None:
            self.fit(source, target, changes)
            (projection,) = self._fitted or (None,)
            put_written(source, target, changes, projection, self._page_size)
        target.remove(changes.deleted)


def put_written(
    source: Collection, target: Collection, changes: Changes, projection: Projection | None, page_size: int
) -> None:
    """Write what was added and changed to another collection, projected where there is a projection. Writes there."""
    written = [*changes.changed, *changes.added]
    for start in range(0, len(written), page_size):
        page = source.records(written[start : start + page_size])
        vectors = page.vectors if projection is None else projection.apply(page.vectors, page.texts)
        target.put(page.with_vectors(vectors))


def projection_between(
    source: Collection, target: Collection, written: AbstractSet[str], page_size: int, seed: int
) -> Projection | None:
    """A projection of the vectors of one collection to those of another that holds the same records. Only reads.

    Args:
        source: the collection with the vectors that are projected.
        target: the one that shows where they belong.
        written: records that one of them has in another state.
        page_size: records held in memory at once.
        seed: of the fit.

    Returns:
        The projection; `None` where both hold the same vectors, or `target` is empty.

    Raises:
        TooFewPairsError: too few records are in both.
    """
    old = target.sample(page_size)
    if not len(old) or _same_vectors(source, old, written):
        return None
    return fit_back(common_records(source, target, written, page_size), seed)


def hold_same_vectors(source: Collection, target: Collection, written: AbstractSet[str], page_size: int) -> bool:
    """Whether two collections hold the same vectors of the records that both have, by a sample. Only reads."""
    return _same_vectors(source, target.sample(page_size), written)


def _same_vectors(source: Collection, old: Page, written: AbstractSet[str]) -> bool:
    common = source.records([record for record in old.ids if record not in written])
    same_dimension = len(common) and common.vectors.shape[1] == old.vectors.shape[1]
    return bool(same_dimension and np.allclose(common.vectors, _vectors(old, common), atol=1e-5))


def common_records(
    source: Collection, target: Collection, written: AbstractSet[str], page_size: int, most: int = MOST_PAIRS
) -> list[tuple[Page, Page]]:
    """Pages of records that both collections have, with those of `target` that hold them, up to `most`. Only reads."""
    pairs: list[tuple[Page, Page]] = []
    for page in target.scan(page_size):
        live = source.records([record for record in page.ids if record not in written])
        if len(live):
            pairs.append((live, page))
        if sum(len(pair[0]) for pair in pairs) >= most:
            break
    return pairs


def fit_back(pairs: Sequence[tuple[Page, Page]], seed: int) -> Projection:
    """A projection of the vectors of `common_records` of one collection, or of several of one model, to the old ones.

    Raises:
        TooFewPairsError: there are too few.
    """
    if (count := sum(len(live) for live, _ in pairs)) < FEWEST_PAIRS:
        raise TooFewPairsError(
            f"{count} records are in both databases, {FEWEST_PAIRS} are needed to carry vectors over"
        )
    X = np.concatenate([live.vectors for live, _ in pairs])
    Y = np.concatenate([_vectors(page, live) for live, page in pairs])
    texts = [text for live, _ in pairs for text in live.texts]
    return fit(X, Y, texts if any(texts) else None, seed=seed)


def _vectors(page: Page, like: Page) -> Vectors:
    """The vectors in `page` of the records of `like`, in the order of `like`."""
    place = {record: row for row, record in enumerate(page.ids)}
    return page.vectors[[place[record] for record in like.ids]]
