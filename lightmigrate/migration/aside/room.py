"""Disk space for a new database beside the old one, and the time that building it takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lightmigrate.errors import DiskSpaceError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.duration import Work, seconds_for
from lightmigrate.migration.plan import Plan, make_plan
from lightmigrate.migration.request import Request
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, CollectionFacts

SPARE_BYTES = 16 * 2**20
SAFETY = 1.1


def plan_at(location: Location, catalog: Sequence[CollectionFacts], requests: Sequence[Request]) -> Plan:
    """The plan of migrating these collections of a closed database. Only reads; raises what `make_plan` raises."""
    counts = {facts.address: facts.count for facts in catalog}
    dimensions = {r.address: r.projection.info.target.dimension for r in requests if counts.get(r.address)}
    return make_plan(
        location.database,
        catalog,
        requests,
        needed=needed_bytes(location, dimensions),
        free=free_bytes(location),
    )


def with_seconds(plan: Plan, location: Location, projections: Sequence[Projection]) -> Plan:
    """The plan with its predicted seconds; measures the machine for a fifth of a second. Only reads."""
    work = Work(
        tree_bytes(location.database, location.belongs),
        [(planned.count, planned.current_dim, planned.target_dim) for planned in plan.collections],
    )
    kept, rebuilt = seconds_for(work, projections)
    return replace(plan, seconds_kept=kept, seconds_rebuilt=rebuilt)


def needed_bytes(location: Location, dimensions: Mapping[Address, int]) -> int:
    """Bytes of a copy of the folder and of its new vectors, with a reserve. Only reads.

    Args:
        location: location of the database.
        dimensions: dimensions of the new vectors, by collection.
    """
    copied = tree_bytes(location.database, location.belongs)
    return int(SAFETY * (copied + location.files.room_needed(dimensions))) + SPARE_BYTES


def free_bytes(location: Location) -> int:
    """Free bytes on the disk of the workspace. Only reads."""
    return shutil.disk_usage(location.home).free


def require_room(plan: Plan, location: Location, already: int = 0) -> None:
    """Raise `DiskSpaceError` when the disk lacks space for the plan; `already` bytes of it are written."""
    _require_room(location, plan.needed_bytes - already, plan.free_bytes)


def require_room_for(size: int, location: Location) -> None:
    """Raise `DiskSpaceError` when the disk lacks space for a copy of `size` bytes, with a reserve."""
    _require_room(location, int(SAFETY * size) + SPARE_BYTES, free_bytes(location))


def _require_room(location: Location, needed: int, free: int) -> None:
    if free < needed:
        raise DiskSpaceError(
            f"not enough disk: {needed / 2**20:,.0f} MiB are needed beside {location.database}, {free / 2**20:,.0f} "
            "MiB are free; make room or move the database to a larger disk",
            needed_bytes=needed,
            free_bytes=free,
        )
