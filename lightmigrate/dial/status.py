"""How much of a collection is exact, and what to expect of it now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.dial.provenance import Kind, Provenance
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result
from lightmigrate.stores.base import Address


@dataclass(frozen=True)
class Exactness(Result):
    """Where the vectors of a collection come from.

    Attributes:
        collection_name: the collection.
        tenant: of the collection.
        database: of the collection.
        model: whose space they are in.
        records: all of them.
        exact: embedded by that model, by the migration, by `refine` or by the application.
        abridged: mapped, their first words read by that model.
        mapped: mapped from the old vector alone or with the stored text.
        share_exact: in [0, 1].
        expected: nDCG@10 to expect now, as a share of what embedding everything gives. Measured on the calibration
            documents for some shares of exact rows, and read off between them.
    """

    collection_name: str
    tenant: str
    database: str
    model: str
    records: int
    exact: int
    abridged: int
    mapped: int
    share_exact: float
    expected: Estimate


def exactness(address: Address, ids: Sequence[str], provenance: Provenance) -> Exactness:
    """Where the vectors of a collection come from, by what is noted. Only reads.

    A row that the application wrote over is taken for mapped until `refine` comes across it.

    Args:
        address: of the collection.
        ids: of all its records.
        provenance: of its database.
    """
    facts, there = provenance.facts(address), set(ids)
    abridged, mapped = (len(there.intersection(provenance.ids(address, kind))) for kind in (Kind.ABRIDGED, Kind.MAPPED))
    exact = len(there) - abridged - mapped
    share = exact / max(1, len(there))
    return Exactness(
        collection_name=address.name,
        tenant=address.tenant,
        database=address.database,
        model=facts["model"],
        records=len(there),
        exact=exact,
        abridged=abridged,
        mapped=mapped,
        share_exact=share,
        expected=_expected(facts["expected"], share),
    )


def _expected(noted: Sequence[tuple[float, dict[str, float]]], share: float) -> Estimate:
    """Between what was measured for the shares around this one; at 1 the collection is a re-embedded one."""
    shares = [*(at for at, _ in noted), 1.0]
    return Estimate(*(float(np.interp(share, shares, [*(one[end] for _, one in noted), 1.0])) for end in _ENDS))


_ENDS = ("value", "low", "high")
