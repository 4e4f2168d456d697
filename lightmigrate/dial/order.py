"""Which mapped documents are embedded first when there is not money for all."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lightmigrate.dial.known import digest_of_text
from lightmigrate.dial.pay import in_random_order
from lightmigrate.dial.provenance import Kind, Provenance, sources_of
from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import Address, Collection

Order = Literal["random", "newest", "retrieved", "uncertain"]

# How many of the documents each query finds are counted as retrieved by it.
RETRIEVED = 20

BATCH = 1000


@dataclass(frozen=True)
class Rows:
    """The rows of a collection that are to be put in order.

    Attributes:
        address: of the collection.
        collection: it, open.
        provenance: what is known of its rows.
        provider: the new model.
        queries: what users asked, for `retrieved`.
        seed: of every random choice.
    """

    address: Address
    collection: Collection
    provenance: Provenance
    provider: Provider
    queries: Sequence[str]
    seed: int

    def shuffled(self) -> list[str]:
        """The ids of all rows that are mapped, in an order that does not depend on what was refined before."""
        ids = self.provenance.ids(self.address, Kind.MAPPED, Kind.ABRIDGED)
        by_digest = {digest_of_text(one): one for one in ids}
        return [by_digest[digest] for digest in in_random_order(list(by_digest), self.seed)]


def _newest(rows: Rows) -> list[str]:
    """What was added last comes first."""
    mapped = set(rows.shuffled())
    return [one for one in reversed(rows.collection.ids()) if one in mapped]


def _retrieved(rows: Rows) -> list[str]:
    """What the users' queries find most often and highest comes first; what they never find is in random order."""
    if not rows.queries:
        raise LightmigrateError("the order 'retrieved' needs what users asked: --queries FILE, or another order")
    found: defaultdict[str, float] = defaultdict(float)
    for start in range(0, len(rows.queries), BATCH):
        asked = rows.provider.embed_queries(rows.queries[start : start + BATCH])
        ids, _ = rows.collection.nearest(asked, min(RETRIEVED, rows.collection.count()))
        for answer in ids:
            for rank, one in enumerate(answer):
                found[one] += 1 / math.log2(rank + 2)  # what a place is worth, as in nDCG
    return sorted(rows.shuffled(), key=lambda one: -found[one])


def _uncertain(rows: Rows) -> list[str]:
    """What the map expects to be furthest off comes first."""
    projection = rows.provenance.maps(rows.address)[0].reading_with(rows.provider.embed)
    shuffled, error = rows.shuffled(), dict[str, float]()
    for start in range(0, len(shuffled), BATCH):
        noted = rows.provenance.some(rows.address, shuffled[start : start + BATCH])
        page = rows.collection.records(list(noted))
        if len(page):
            expected = projection.uncertainty(sources_of([noted[one] for one in page.ids]), page.documents)
            error.update(zip(page.ids, expected.tolist(), strict=True))
    return sorted(shuffled, key=lambda one: -error.get(one, 0.0))


ORDERS: Mapping[Order, Callable[[Rows], list[str]]] = {
    "random": Rows.shuffled,
    "newest": _newest,
    "retrieved": _retrieved,
    "uncertain": _uncertain,
}
