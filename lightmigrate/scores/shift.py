"""How the distances of one collection moved in a migration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lightmigrate.results import Result, plain
from lightmigrate.scores.distances import Distances
from lightmigrate.scores.thresholds import ThresholdShift, corresponding
from lightmigrate.stores.base import Address

# What the distances were measured from.
RECORDS = "records"
QUERIES = "queries"


@dataclass(frozen=True)
class ScoreShift(Result):
    """How the distances of one collection moved.

    Attributes:
        collection_name: the collection.
        tenant: of the collection.
        database: of the collection.
        measured_from: `records`: sampled records were searched for in place of queries, each without itself.
            `queries`: queries of users, embedded by both models.
        samples: how many.
        before: distances in the old space, in the old collection's metric.
        now: distances from the same in the new space, to the vectors that the collection got.
        share_exact: share of the rows that were exact then; `None` where it was not recorded.
        thresholds: for each threshold that was asked about, what corresponds to it now.
        vector: which vector of the collection's records; see `Address`.
        part: which of the collection's records; see `Address`.
    """

    collection_name: str
    tenant: str
    database: str
    measured_from: str
    samples: int
    before: Distances
    now: Distances
    share_exact: float | None = None
    thresholds: tuple[ThresholdShift, ...] = ()
    vector: str = ""
    part: str = ""

    @classmethod
    def of(
        cls, address: Address, before: Distances | None, now: Distances | None, measured_from: str = RECORDS
    ) -> ScoreShift | None:
        """The shift between distances from the same query vectors; `None` where there is nothing to compare."""
        if before is None or now is None or len(before) != len(now):
            return None
        kept = np.flatnonzero(_finite(before) & _finite(now)).tolist()
        if not kept or not before.neighbours.shape[1] or not now.neighbours.shape[1]:
            return None
        return cls(
            collection_name=address.name,
            tenant=address.tenant,
            database=address.database,
            measured_from=measured_from,
            samples=len(kept),
            before=before.rows(kept),
            now=now.rows(kept),
            vector=address.vector,
            part=address.part,
        )

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database, self.vector, self.part)

    def at(self, address: Address) -> ScoreShift:
        """The same for a collection that was renamed since."""
        return replace(
            self,
            collection_name=address.name,
            tenant=address.tenant,
            database=address.database,
            vector=address.vector,
            part=address.part,
        )

    def with_thresholds(self, thresholds: Sequence[float]) -> ScoreShift:
        """The same with what corresponds to some thresholds, which are distances as the old database reported them."""
        return replace(self, thresholds=corresponding(thresholds, [(self.before, self.now)]))

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; of the distances their quantiles."""
        return {name: value.to_json() if isinstance(value, Distances) else plain(value) for name, value in self.items()}


def _finite(distances: Distances) -> Any:
    return np.isfinite(distances.neighbours).all(axis=1) & np.isfinite(distances.random).all(axis=1)
