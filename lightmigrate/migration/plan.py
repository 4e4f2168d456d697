"""What a migration would do and whether it can: read-only, before anything is copied."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import (
    CollectionNotFoundError,
    DimensionError,
    DiskSpaceError,
    FailedGateError,
    NothingToMigrateError,
    WrongDirectionError,
)
from lightmigrate.files import tree_bytes
from lightmigrate.migration.folder.location import Location
from lightmigrate.migration.pace import Work, seconds_for
from lightmigrate.projection.projection import Projection
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.chroma_folder import DATABASE_FILE

# What Chroma's index keeps per vector beside its numbers: links of the graph, label, length, id (measured
# on 1.5.9 with 16 neighbours: 300 bytes), rounded up.
INDEX_BYTES_PER_VECTOR = 400
SPARE_BYTES = 16 * 2**20
SAFETY = 1.1


@dataclass(frozen=True)
class PlannedCollection(Result):
    """One collection that would be migrated.

    Attributes:
        name: its name.
        tenant: its tenant.
        database: its database.
        count: records in it.
        current_dim: dimension now.
        target_dim: dimension afterwards.
        source_model: the model the projection takes its vectors to come from.
        target_model: the model whose space they will be in.
        quality: what the projection's maker measured; empty when nobody did.
    """

    name: str
    tenant: str
    database: str
    count: int
    current_dim: int
    target_dim: int
    source_model: str
    target_model: str
    quality: Mapping[str, Any]

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self.name, self.tenant, self.database)


@dataclass(frozen=True)
class Plan(Result):
    """What a migration would do.

    Attributes:
        path: the database.
        collections: what would be migrated.
        untouched: names of the collections that come through as they are.
        needed_bytes: room the new database takes beside the old one, at its peak.
        free_bytes: room there is.
        seconds_kept: how long it takes about, on this machine as it is now, when the graph of every index can be kept;
            `None` for a server, and in a plan that is not shown.
        seconds_rebuilt: the same when every index has to be built anew, which is known only once it was tried.
    """

    path: Path
    collections: tuple[PlannedCollection, ...]
    untouched: tuple[str, ...]
    needed_bytes: int
    free_bytes: int
    seconds_kept: float | None = None
    seconds_rebuilt: float | None = None

    def timed(self, location: Location, projections: Sequence[Projection]) -> Plan:
        """The same with the seconds it takes; probes the machine for a fifth of a second. Only reads."""
        work = Work(
            tree_bytes(location.database, location.belongs),
            [(one.count, one.current_dim, one.target_dim) for one in self.collections],
        )
        kept, rebuilt = seconds_for(work, projections)
        return replace(self, seconds_kept=kept, seconds_rebuilt=rebuilt)


def make_plan(location: Location, catalog: Sequence[CollectionFacts], jobs: Mapping[Address, Projection]) -> Plan:
    """Check every job against the database and add up what it takes. Only reads.

    Raises:
        CollectionNotFoundError, NothingToMigrateError, DimensionError, WrongDirectionError: see `check_job`.
    """
    database, by_address = location.database, {facts.address: facts for facts in catalog}
    planned = []
    for address, projection in jobs.items():
        if address not in by_address:
            known = ", ".join(str(other) for other in by_address) or "none at all"
            raise CollectionNotFoundError(f"no collection {address} in {database}; there are: {known}")
        planned.append(check_job(by_address[address], projection))
    return Plan(
        path=database,
        collections=tuple(planned),
        untouched=tuple(str(facts.address) for facts in catalog if facts.address not in jobs),
        needed_bytes=needed_bytes(location, catalog, {one.address: one.target_dim for one in planned}),
        free_bytes=shutil.disk_usage(location.home).free,
    )


def check_job(facts: CollectionFacts, projection: Projection) -> PlannedCollection:
    """Whether this projection can be applied to this collection.

    Raises:
        NothingToMigrateError: the collection is empty or has no vectors.
        WrongDirectionError: the projection leads to the dimension the collection already has.
        DimensionError: it takes vectors of another dimension.
    """
    if not facts.count:
        raise NothingToMigrateError(
            f"collection {facts.address} is empty: nothing to migrate; delete it and create it for the new model"
        )
    if facts.dimension is None:
        raise NothingToMigrateError(
            f"collection {facts.address} has {facts.count} records but no vectors; add them with the new model"
        )
    try:
        projection.check_input(facts.dimension)
    except (DimensionError, WrongDirectionError) as error:
        raise type(error)(f"collection {facts.address}: {error}", expected=error.expected, found=error.found) from None
    info = projection.info
    return PlannedCollection(
        name=facts.name,
        tenant=facts.tenant,
        database=facts.database,
        count=facts.count,
        current_dim=facts.dimension,
        target_dim=info.target.dimension,
        source_model=info.source.name,
        target_model=info.target.name,
        quality=info.quality,
    )


def needed_bytes(location: Location, catalog: Sequence[CollectionFacts], dimensions: Mapping[Address, int]) -> int:
    """Room for a copy of the folder, drafts, and what the longest route writes, with a reserve. Only reads.

    Rewriting writes tables and an index. Giving up a graph that was kept for a new index takes two indexes and the log
    of the database in which the second is built.

    Args:
        location: of the database.
        catalog: all its collections.
        dimensions: those to be migrated, with the dimension they are to have.
    """
    counts = {facts.address: facts.count for facts in catalog}
    rewritten = sum(counts[address] for address in dimensions)
    tables = (location.database / DATABASE_FILE).stat().st_size * rewritten // max(1, sum(counts.values()))
    vectors = sum(counts[address] * 4 * dim for address, dim in dimensions.items())
    drafts, indexes = tables + vectors, vectors + rewritten * INDEX_BYTES_PER_VECTOR
    copied = tree_bytes(location.database, location.belongs)
    written = indexes + max(tables, indexes + vectors)
    return int(SAFETY * (copied + drafts + written)) + SPARE_BYTES


def require_room(plan: Plan, already: int = 0) -> None:
    """Raise `DiskSpaceError` when the disk has not what the plan needs; so many bytes of it are written already."""
    _require_room(plan.path, plan.needed_bytes - already, plan.free_bytes)


def require_room_for(size: int, location: Location) -> None:
    """Raise `DiskSpaceError` when the disk has not room for a copy of so many bytes, with a reserve."""
    _require_room(location.database, int(SAFETY * size) + SPARE_BYTES, shutil.disk_usage(location.home).free)


def _require_room(database: Path, needed: int, free: int) -> None:
    if free < needed:
        raise DiskSpaceError(
            f"not enough disk: {needed / 2**20:,.0f} MiB are needed beside {database}, {free / 2**20:,.0f} MiB are "
            "free; make room or move the database to a larger disk",
            needed_bytes=needed,
            free_bytes=free,
        )


def require_passed(plan: Plan) -> None:
    """Raise `FailedGateError` when the gate said no to one of the projections."""
    for planned in plan.collections:
        if planned.quality.get("verdict") == "FAIL":
            raise FailedGateError(
                f"collection {planned.name}: its projection failed the gate: {planned.quality.get('reason')}; "
                "calibrate on more of your own documents, embed again, or force it"
            )
