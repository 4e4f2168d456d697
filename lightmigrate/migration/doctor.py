"""What state a database is in, without touching it: not even an interrupted migration is ended."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.files import tree_bytes
from lightmigrate.migration.backup import backups_of
from lightmigrate.migration.baseline import scattered
from lightmigrate.migration.folder.record import Record
from lightmigrate.migration.folder.workspace import Workspace
from lightmigrate.migration.plan import needed_bytes
from lightmigrate.migration.results import Mismatch
from lightmigrate.projection.vectors import Vectors, meaningful
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.chroma_folder import can_see_users, process_name, read_catalog, users_of
from lightmigrate.stores.chroma_sample import sample_vectors

# Vectors of each collection that are looked at: enough to find a twentieth of another model's.
LOOKED_AT = 500


@dataclass(frozen=True)
class Look(Result):
    """What the vectors of a collection look like.

    Attributes:
        vectors: how many were looked at.
        shortest: length of the shortest that means something; `None` when none does.
        longest: length of the longest.
        invalid: how many hold NaN or infinity or are all zero.
        of_length_one: how many were scaled to length 1: all of them or none, unless applications differ.
        models: how many are of each of several models, the most first; empty where all seem to be of one.
    """

    vectors: int
    shortest: float | None
    longest: float | None
    invalid: int
    of_length_one: int
    models: tuple[int, ...]

    @classmethod
    def at(cls, vectors: Vectors) -> Look:
        """At `(n, d)`."""
        lengths = np.linalg.norm(vectors[meaningful(vectors)], axis=1)
        shortest, longest = (float(lengths.min()), float(lengths.max())) if len(lengths) else (None, None)
        mixture = find_mixture(vectors)
        return cls(
            vectors=len(vectors),
            shortest=shortest,
            longest=longest,
            invalid=len(vectors) - len(lengths),
            of_length_one=int(np.isclose(lengths, 1, atol=1e-3).sum()),
            models=mixture.counts if mixture else (),
        )


@dataclass(frozen=True)
class Diagnosis(Result):
    """The state of a database.

    Attributes:
        path: the folder, or the server's address.
        bytes: what it takes on disk; `None` where that cannot be seen.
        free_bytes: room on that disk, likewise.
        needed_bytes: room that migrating all of it (to `expected_dim`, or to the dimensions it has) takes, likewise.
        collections: all of them.
        expected_dim: what the embedding model in use produces, when that was said.
        mismatches: collections of another dimension; empty when nothing was said.
        used_by: the processes that have it open, by id; `None` where the system does not tell.
        interrupted: whether a migration was interrupted; the next command that writes ends it.
        backups: names of its backups.
        looks: what a sample of a collection's vectors looks like, where some could be read.
        models: the model whose space a collection's vectors are in, for those that were migrated here.
    """

    path: Path
    bytes: int | None
    free_bytes: int | None
    needed_bytes: int | None
    collections: tuple[CollectionFacts, ...]
    expected_dim: int | None
    mismatches: tuple[Mismatch, ...]
    used_by: dict[int, str] | None
    interrupted: bool
    backups: tuple[str, ...]
    looks: dict[str, Look]
    models: dict[str, str]


def mismatches_in(catalog: list[CollectionFacts], expected_dim: int) -> list[Mismatch]:
    """The collections whose vectors have another dimension; those without a vector yet fit every model."""
    return [
        Mismatch(facts.name, facts.tenant, facts.database, facts.dimension, expected_dim, facts.count)
        for facts in catalog
        if facts.dimension not in (None, expected_dim) and facts.count
    ]


def diagnose(path: Path, expected_dim: int | None = None) -> Diagnosis:
    """Look at a database folder. Only reads, also while others write.

    Args:
        path: the folder that holds `chroma.sqlite3`.
        expected_dim: what the embedding model in use produces, if it is known.

    Raises:
        DatabaseError: no such folder, or not a Chroma folder.
    """
    path = path.expanduser().resolve()
    workspace, catalog = Workspace(path), read_catalog(path)
    location = workspace.location
    dimensions = {f.address: expected_dim or f.dimension for f in catalog if f.dimension and f.count}
    return Diagnosis(
        path=path,
        bytes=tree_bytes(path, location.belongs),
        free_bytes=shutil.disk_usage(location.home).free,
        needed_bytes=needed_bytes(location, catalog, dimensions),
        collections=tuple(catalog),
        expected_dim=expected_dim,
        mismatches=tuple(mismatches_in(catalog, expected_dim)) if expected_dim else (),
        used_by={pid: process_name(pid) for pid in users_of(path)} if can_see_users() else None,
        interrupted=workspace.has_leftovers(),
        backups=tuple(backup.name for backup in backups_of(location)),
        looks={str(address): Look.at(vectors) for address, vectors in sample_vectors(path, LOOKED_AT).items()},
        models=models_of(Record.read(path)),
    )


def diagnose_open(migrator: Any, client: Any, expected_dim: int | None = None) -> Diagnosis:
    """Look at a database through a client of it, and the migrator of that client. Only reads."""
    from lightmigrate.stores.chroma_live import LiveChromaStore

    catalog, store = migrator.collections(), LiveChromaStore(client)
    samples = {f.address: scattered(store.collection(f.address), LOOKED_AT).vectors for f in catalog if f.count}
    return Diagnosis(
        path=migrator.path,
        bytes=None,
        free_bytes=None,
        needed_bytes=None,
        collections=tuple(catalog),
        expected_dim=expected_dim,
        mismatches=tuple(mismatches_in(catalog, expected_dim)) if expected_dim else (),
        used_by={},
        interrupted=migrator.interrupted,
        backups=tuple(backup.name for backup in migrator.backups()),
        looks={str(address): Look.at(vectors) for address, vectors in samples.items()},
        models={},
    )


def models_of(record: Record | None) -> dict[str, str]:
    """The models that the record of a database names, by collection."""
    if record is None:
        return {}
    return {
        str(Address(entry.name, entry.tenant, entry.database)): str(entry.target.get("name", "unnamed"))
        for entry in record.collections
    }
