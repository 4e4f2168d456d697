"""The order in which projected rows are embedded when the budget does not cover all of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, old_vectors_of
from lightmigrate.stores.base import Address, Collection
from lightmigrate.training.text_digest import in_random_order, text_digest
from lightmigrate.vectors import finite_rows

Order = Literal["random", "newest", "retrieved", "uncertain"]

# Each query counts this many of the documents nearest to it as retrieved.
RETRIEVED = 20

BATCH = 1000


@dataclass(frozen=True)
class ProjectedRows:
    """The projected rows of a collection, to be put in order.

    Attributes:
        address: of the collection.
        collection: an open collection; only read.
        provenance: of its database; only read.
        provider: the new model.
        queries: queries of users, for the order `retrieved`.
        seed: of every random choice.
    """

    address: Address
    collection: Collection
    provenance: Provenance
    provider: Provider
    queries: Sequence[str]
    seed: int

    def shuffled(self) -> list[str]:
        """Their ids in an order that does not depend on which rows were refined before."""
        ids = self.provenance.ids(self.address, *NOT_EXACT)
        by_digest = {text_digest(row_id): row_id for row_id in ids}
        return [by_digest[digest] for digest in in_random_order(by_digest, self.seed)]


def _newest(rows: ProjectedRows) -> list[str]:
    """The row that was added last first."""
    projected = set(rows.shuffled())
    return [row_id for row_id in reversed(rows.collection.ids()) if row_id in projected]


def _retrieved(rows: ProjectedRows) -> list[str]:
    """The rows that the queries find most often and highest first; rows they do not find in random order."""
    if not rows.queries:
        raise LightmigrateError("the order 'retrieved' needs queries of users: --queries FILE, or another --order")
    gain: defaultdict[str, float] = defaultdict(float)
    for start in range(0, len(rows.queries), BATCH):
        vectors = rows.provider.embed_each(rows.queries[start : start + BATCH], queries=True)
        vectors = vectors[finite_rows(vectors)]
        if not len(vectors):
            continue
        answers, _ = rows.collection.nearest(vectors, min(RETRIEVED, rows.collection.count()))
        for ids in answers:
            for rank, row_id in enumerate(ids):
                gain[row_id] += 1 / math.log2(rank + 2)  # the discount of nDCG
    return sorted(rows.shuffled(), key=lambda row_id: -gain[row_id])


def _uncertain(rows: ProjectedRows) -> list[str]:
    """The rows with the largest expected error of the projection first."""
    projection = rows.provenance.projections(rows.address)[0].reading_with(rows.provider.embed_each)
    shuffled, error = rows.shuffled(), dict[str, float]()
    for start in range(0, len(shuffled), BATCH):
        stored = rows.provenance.rows_by_id(rows.address, shuffled[start : start + BATCH])
        page = rows.collection.records(list(stored))
        if len(page):
            old_vectors = old_vectors_of([stored[row_id] for row_id in page.ids])
            expected = projection.uncertainty(old_vectors, page.texts)
            error.update(zip(page.ids, expected.tolist(), strict=True))
    return sorted(shuffled, key=lambda row_id: -error.get(row_id, 0.0))


ORDERS: Mapping[Order, Callable[[ProjectedRows], list[str]]] = {
    "random": ProjectedRows.shuffled,
    "newest": _newest,
    "retrieved": _retrieved,
    "uncertain": _uncertain,
}

# The orders that call no model.
WITHOUT_MODEL: frozenset[Order] = frozenset({"random", "newest"})
