"""Several collections read as one: all collections of one embedding model teach one projection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.stores.base import Address, Collection, Cursor, Page
from lightmigrate.stores.distance import space_of
from lightmigrate.vectors import Metric, evenly


class Collections(Protocol):
    """Opens collections: a `Store`, or something before one."""

    def collection(self, address: Address) -> Collection:
        """The collection at an address; see `Store`."""


@dataclass(frozen=True)
class JoinedCollections:
    """Collections whose vectors have one dimension, read one after another. Ids may occur in several of them.

    Attributes:
        members: the open collections, at least one; nothing may write to them meanwhile.
        distance: that they will have after their migration; `None` if they keep theirs.
    """

    members: Sequence[Collection]
    distance: Metric | None = None

    @property
    def address(self) -> Address:
        """Of the only member; or a name that says how many there are."""
        return self.members[0].address if len(self.members) == 1 else Address(f"({len(self.members)} collections)")

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of records of each member, int64 `(m,)`."""
        return np.array([member.count() for member in self.members], dtype=np.int64)

    def count(self) -> int:
        """Number of records of all members."""
        return int(self.counts.sum())

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records of the first member, then of the second, and so on; cannot resume (`after` must be `None`)."""
        if after is not None:
            raise ValueError("a scan of several collections cannot resume")
        for member in self.members:
            yield from member.scan(size, vectors=vectors)

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records, from each member in proportion to its size and at least one; or all if there are fewer.

        Of more than n members only n are read.
        """
        filled = np.flatnonzero(self.counts)
        read = filled[evenly(len(filled), n)]
        total = max(1, int(self.counts[read].sum()))
        shares = {int(member): min(n, -(-n * int(self.counts[member]) // total)) for member in read}
        return Page.joined([self.members[member].sample(share, seed) for member, share in shares.items()])

    @property
    def metric(self) -> Metric:
        """The distance to judge by: the one that they will have, or that of the member with the most records."""
        return self.distance or self.present_metric

    @cached_property
    def present_metric(self) -> Metric:
        """The distance of the member with the most records; see `space_of`."""
        return space_of(self.members[int(np.argmax(self.counts))])

    def members_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of the member that holds each record, by the record's place in a scan; both int64 `(n,)`."""
        return np.searchsorted(np.cumsum(self.counts), positions, side="right").astype(np.int64)


# What is read to learn from: a collection, or several of one dimension as one.
Readable = Collection | JoinedCollections
