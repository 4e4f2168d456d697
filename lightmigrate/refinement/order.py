"""The order in which projected rows are embedded when the budget does not cover all of them."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, old_vectors_of
from lightmigrate.stores.base import Address, Collection
from lightmigrate.stores.page import in_batches
from lightmigrate.stores.record_tables import RecordTables, as_key, of_key
from lightmigrate.training.text_digest import random_key, text_digest
from lightmigrate.vectors import finite_rows

Order = Literal["random", "newest", "retrieved", "uncertain"]

# Each query counts this many of the documents nearest to it as retrieved.
RETRIEVED = 20

# Rows read at once.
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

    def shuffled(self) -> Waiting:
        """Their ids in an order that does not depend on which rows were refined before."""
        waiting = Waiting()
        for ids in in_batches(self.provenance.ids(self.address, *NOT_EXACT), BATCH):
            waiting.add({row_id: self.random_key(row_id) for row_id in ids})
        return waiting

    def random_key(self, row_id: str) -> str:
        """What a row has in a random order."""
        return random_key(text_digest(row_id), self.seed).hex()


class Waiting:
    """Ids in the order of their keys, which all have the same length, and then of the ids; kept outside of memory."""

    def __init__(self) -> None:
        self._table = RecordTables().table()

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return (of_key(row_id) for page in self._table.values(BATCH) for row_id in page)

    def add(self, keys: Mapping[str, str]) -> None:
        """Add ids with their keys, each once."""
        self._table.put({f"{key} {row_id}": as_key(row_id) for row_id, key in keys.items()})


def _newest(rows: ProjectedRows) -> Waiting:
    """The row that was added last first."""
    waiting = Waiting()
    for numbered in in_batches(enumerate(rows.collection.ids()), BATCH):
        origins = rows.provenance.origins_of(rows.address, [row_id for _, row_id in numbered])
        waiting.add({row_id: _descending(row) for row, row_id in numbered if origins.get(row_id) in NOT_EXACT})
    return waiting


def _retrieved(rows: ProjectedRows) -> Waiting:
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
    return _by(rows, lambda ids: gain)


def _uncertain(rows: ProjectedRows) -> Waiting:
    """The rows with the largest expected error of the projection first."""
    projection = rows.provenance.projections(rows.address)[0].reading_with(rows.provider.embed_each)

    def error(ids: Sequence[str]) -> Mapping[str, float]:
        stored = rows.provenance.rows_by_id(rows.address, ids)
        page = rows.collection.records(list(stored))
        if not len(page):
            return {}
        expected = projection.uncertainty(old_vectors_of([stored[row_id] for row_id in page.ids]), page.texts)
        return dict(zip(page.ids, expected.tolist(), strict=True))

    return _by(rows, error)


def _by(rows: ProjectedRows, measure: Callable[[Sequence[str]], Mapping[str, float]]) -> Waiting:
    """The rows of which most was measured first, nothing counting as 0; of the same in random order."""
    waiting = Waiting()
    for ids in in_batches(rows.provenance.ids(rows.address, *NOT_EXACT), BATCH):
        measured = measure(ids)
        waiting.add({row_id: _descending(measured.get(row_id, 0.0)) + rows.random_key(row_id) for row_id in ids})
    return waiting


def _descending(number: float) -> str:
    """A key that is the smaller, the larger a number is that is not negative."""
    return f"{2**64 - 1 - int.from_bytes(struct.pack('>d', number), 'big'):016x}"


ORDERS: Mapping[Order, Callable[[ProjectedRows], Waiting]] = {
    "random": ProjectedRows.shuffled,
    "newest": _newest,
    "retrieved": _retrieved,
    "uncertain": _uncertain,
}

# The orders that call no model.
WITHOUT_MODEL: frozenset[Order] = frozenset({"random", "newest"})
