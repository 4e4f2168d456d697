"""Checks of migrated collections that know what `refine` wrote: only what others wrote counts as a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.migration.aside.record import CollectionRecord, check_collection
from lightmigrate.migration.results import CollectionCheck
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.refinement.vector_fingerprint import matches
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Page, Store

# Among the facts of a collection: how many rows were exact right after its migration.
EXACT_WHEN_MIGRATED = "exact_when_migrated"


def check_with_refinement(
    store: Store, record: CollectionRecord, provenance: Provenance | None, page_size: int
) -> CollectionCheck:
    """Compare a migrated collection with its record and with what `refine` wrote since. Only reads.

    Args:
        store: the open database, or a copy of it.
        record: what the collection held after its migration.
        provenance: of the database; `None` when nothing was migrated by a plan.
        page_size: records held in memory at once.
    """
    try:
        check = check_collection(store, record, page_size)
    except CollectionNotFoundError:  # the others are compared all the same
        return _gone(record)
    address = Address(record.name, record.tenant, record.database)
    refined = refined_rows(provenance, address)
    if not refined or provenance is None:
        return check
    equal = check.vectors_equal or _as_refined(store.collection(address), provenance, address, page_size)
    return replace(check, vectors_equal=equal, refined=refined)


def _gone(record: CollectionRecord) -> CollectionCheck:
    return CollectionCheck(
        collection_name=str(record.address),
        records=0,
        records_migrated=record.records,
        contents_equal=False,
        vectors_equal=False,
        settings_equal=False,
        invalid_vectors=0,
        gone=True,
    )


def refined_rows(provenance: Provenance | None, address: Address) -> int:
    """How many rows `refine` embedded since the migration of a collection. Only reads."""
    if provenance is None or address not in provenance.addresses():
        return 0
    before = provenance.facts(address).get(EXACT_WHEN_MIGRATED)
    return 0 if before is None else max(0, provenance.counts(address)[VectorOrigin.EXACT] - int(before))


def shares_when_migrated(provenance: Provenance, catalog: Sequence[CollectionFacts]) -> dict[Address, float]:
    """The share of the rows that were exact right after the migration, by collection, where it is known. Only reads.

    A collection that has another dimension now was migrated again, or rolled back.
    """
    dimensions = {facts.address: facts.dimension for facts in catalog}
    shares = {}
    for address in provenance.addresses():
        facts = provenance.facts(address)
        if EXACT_WHEN_MIGRATED in facts and facts["dimension"] == dimensions.get(address):
            rows = sum(provenance.counts(address).values())
            shares[address] = min(1.0, int(facts[EXACT_WHEN_MIGRATED]) / max(1, rows))
    return shares


@dataclass(frozen=True)
class ProvenVectors:
    """The vectors that a migration by a plan or `refine` gave to records, by the provenance file. See `OwnVectors`.

    Attributes:
        place: the folder of the file; it need not exist. It is open only during a call, because it may be exchanged.
    """

    place: Path

    def knows(self, address: Address) -> bool:
        """Whether the file holds rows of a collection; only reads."""
        if not Provenance.file_in(self.place).exists():
            return False
        with Provenance.existing(self.place) as provenance:
            return address in provenance.addresses()

    def held(self, address: Address, page: Page) -> npt.NDArray[np.bool_]:
        """Which records of a page hold the vector that this package gave them last: bool `(n,)`; only reads."""
        with Provenance.existing(self.place) as provenance:
            rows = provenance.rows_by_id(address, page.ids)
        return matches(page.vectors, [rows[record].fingerprints if record in rows else b"" for record in page.ids])


def _as_refined(collection: Collection, provenance: Provenance, address: Address, page_size: int) -> bool:
    """Whether every row holds the vector that the migration or `refine` gave it last, by its fingerprint."""
    for page in collection.scan(page_size):
        rows = provenance.rows_by_id(address, page.ids)
        if len(rows) < len(page):
            return False
        if not matches(page.vectors, [rows[record].fingerprints for record in page.ids]).all():
            return False
    return True
