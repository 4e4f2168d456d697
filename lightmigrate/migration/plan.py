"""The plan of a migration: what it would do and whether it can. Made before anything is copied; only reads."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import (
    CollectionNotFoundError,
    DamagedCollectionError,
    DimensionError,
    FailedGateError,
    NothingToMigrateError,
    RefusedError,
    WrongDirectionError,
)
from lightmigrate.migration.distance import SAME, keeps_vectors
from lightmigrate.migration.request import Request
from lightmigrate.projection.projection import Projection
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, CollectionFacts, Metric, Refusing, Store


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
        source_model: the projection's source model.
        target_model: the projection's target model.
        quality: the quality that was measured when the projection was made; empty when it was not measured.
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
        distance: of its index now.
        target_distance: of its index afterwards.
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
    vector: str = ""
    part: str = ""
    distance: str = ""
    target_distance: str = ""

    @property
    def keeps_vectors(self) -> bool:
        """Whether its vectors stay as they are, and only its index is built anew."""
        return self.source_model == self.target_model == SAME

    @property
    def address(self) -> Address:
        """Address of the collection."""
        return Address(self.name, self.tenant, self.database, self.vector, self.part)


@dataclass(frozen=True)
class Plan(Result):
    """What a migration would do.

    Attributes:
        path: the database.
        collections: the collections that would be migrated.
        untouched: names of the collections that stay unchanged.
        needed_bytes: disk space that the new database takes beside the old one, at its peak.
        free_bytes: free disk space.
        seconds_kept: predicted duration on this machine when the graph of every index can be kept; `None` for a server,
            and in a plan that is not shown.
        seconds_rebuilt: predicted duration when every index must be rebuilt; only the migration shows which applies.
    """

    path: Path
    collections: tuple[PlannedCollection, ...]
    untouched: tuple[str, ...]
    needed_bytes: int
    free_bytes: int
    seconds_kept: float | None = None
    seconds_rebuilt: float | None = None


def make_plan(
    path: Path, catalog: Sequence[CollectionFacts], requests: Sequence[Request], *, needed: int, free: int
) -> Plan:
    """Check every request against the database. Only reads.

    Args:
        path: the database, as messages name it.
        catalog: all collections of the database.
        requests: the collections to migrate, and how.
        needed: bytes that the migration needs; 0 where the disk cannot be seen.
        free: free bytes; 0 where the disk cannot be seen.

    Raises:
        CollectionNotFoundError, NothingToMigrateError, DimensionError, WrongDirectionError: see `check_job`.
    """
    by_address = {facts.address: facts for facts in catalog}
    planned = []
    for request in requests:
        address = request.address
        if address not in by_address:
            known = ", ".join(str(other) for other in by_address) or "none at all"
            raise CollectionNotFoundError(f"no collection {address} in {path}; there are: {known}")
        planned.append(check_job(by_address[address], request.projection, request.distance))
    chosen = {request.address for request in requests}
    return Plan(
        path=path,
        collections=tuple(planned),
        untouched=tuple(str(facts.address) for facts in catalog if facts.address not in chosen),
        needed_bytes=needed,
        free_bytes=free,
    )


def check_job(facts: CollectionFacts, projection: Projection, distance: Metric | None = None) -> PlannedCollection:
    """Check that a projection can be applied to a collection. Only reads.

    Raises:
        NothingToMigrateError: the collection has no vectors, and takes vectors of any dimension; or only the distance
            was to be changed, and it is that one already.
        WrongDirectionError: the projection leads to the dimension the collection already has.
        DimensionError: the projection takes vectors of another dimension.
    """
    kept, stated = keeps_vectors(projection), facts.stated_space or facts.space
    other_distance = distance is not None and {distance} != {facts.space, stated}
    if kept and distance is not None and not other_distance:
        raise NothingToMigrateError(f"the distance of collection {facts.address} is {distance} already")
    if not facts.count and not other_distance and facts.dimension in (None, projection.info.target.dimension):
        raise NothingToMigrateError(
            f"collection {facts.address} is empty and takes vectors of {projection.info.target.dimension} dimensions "
            "already: nothing to migrate"
        )
    if facts.dimension is None and facts.count:
        raise NothingToMigrateError(
            f"collection {facts.address} has {facts.count} records but no vectors; add them with the new model"
        )
    try:
        projection.check_input(facts.dimension or projection.info.source.dimension)
    except (DimensionError, WrongDirectionError) as error:
        raise type(error)(f"collection {facts.address}: {error}", expected=error.expected, found=error.found) from None
    info = projection.info
    return PlannedCollection(
        name=facts.name,
        tenant=facts.tenant,
        database=facts.database,
        count=facts.count,
        current_dim=facts.dimension or 0,
        target_dim=(facts.dimension or 0) if kept else info.target.dimension,
        source_model=info.source.name,
        target_model=info.target.name,
        quality=info.quality,
        vector=facts.vector,
        part=facts.part,
        distance=facts.space,
        target_distance=distance or facts.space,
    )


def require_passed(plan: Plan) -> None:
    """Raise `FailedGateError` when one of the projections failed the gate."""
    for planned in plan.collections:
        if planned.quality.get("verdict") == "FAIL":
            raise FailedGateError(
                f"collection {planned.name}: its projection failed the gate: {planned.quality.get('reason')}; "
                "calibrate on more of your own documents, embed everything, or add --force"
            )


def require_changeable(store: Store, requests: Iterable[Request]) -> None:
    """Raise `RefusedError` when a request is for another distance and the store cannot change it. Only reads."""
    for request in requests:
        address, distance = request.address, request.distance
        if distance is None or store.collection(address).facts().space == distance:
            continue
        if (reason := store.fixed_distance(address)) is not None:
            raise RefusedError(f"the distance of {address} cannot be changed to {distance}: {reason}")


def require_possible(store: Store, requests: Iterable[Request]) -> None:
    """Raise `RefusedError` when the store cannot give a collection of a request new vectors. Only reads."""
    for request in requests:
        require_dimension(store, request.address, request.projection.info.target.dimension)


def require_one_vector(store: Store, addresses: Iterable[Address]) -> None:
    """Raise `RefusedError` for two vectors of the same records where one goes over after the other. Only reads."""
    for address, first in waiting_vectors(store, addresses).items():
        raise RefusedError(
            f"{first} and {address} are vectors of the same records and go over one after the other: name one with  "
            f"-c {shlex.quote(str(first))}  and, when it is done, the next with  -c {shlex.quote(str(address))}"
        )


def waiting_vectors(store: Store, addresses: Iterable[Address]) -> dict[Address, Address]:
    """The addresses that have to wait for another vector of the same records, and for which one. Only reads.

    Where a version holds all vectors of its records, two that are built together would each hold the other one's old
    vectors.
    """
    if not store.capabilities.one_vector:
        return {}
    first: dict[Address, Address] = {}
    by_records = {address: first.setdefault(replace(address, vector=""), address) for address in addresses}
    return {address: earlier for address, earlier in by_records.items() if earlier != address}


def require_dimension(store: Store, address: Address, dimension: int | None) -> None:
    """Raise `RefusedError` when the store cannot give a collection new vectors; see `Refusing`. Only reads."""
    if (reason := refusal_of(store, address, dimension)) is not None:
        raise RefusedError(reason)


def refusal_of(store: Store, address: Address, dimension: int | None) -> str | None:
    """Why the store cannot give a collection new vectors; `None` if it can. See `Refusing`. Only reads."""
    return store.refusal(address, dimension) if isinstance(store, Refusing) else None


def require_readable(store: Store, addresses: Sequence[Address]) -> None:
    """Raise `DamagedCollectionError` when the vectors of a collection cannot be read. Only reads."""
    for address, fault in store.damaged(addresses).items():
        raise DamagedCollectionError(f"collection {address} cannot be read: {fault}; see  lightmigrate doctor DATABASE")


def require_some_possible(store: Store) -> None:
    """Raise `RefusedError` when the store can give no collection with records new vectors. Only reads."""
    if not isinstance(store, Refusing):
        return
    filled = [facts for facts in store.collections() if facts.count]
    reasons = [store.refusal(facts.address, facts.dimension or 0) for facts in filled]
    refused = [reason for reason in reasons if reason is not None]
    if refused and len(refused) == len(filled):
        raise RefusedError(refused[0])
