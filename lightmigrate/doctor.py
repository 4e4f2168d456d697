"""Diagnosis of a database. Only reads: an interrupted migration is reported, not finished or undone."""

from __future__ import annotations

import shutil
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.backup import backups_of
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.aside.room import needed_bytes
from lightmigrate.migration.results import Backup, Mismatch
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.results import Result
from lightmigrate.server_path import ServerPath
from lightmigrate.stores.base import Address, CollectionFacts, Page, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.promises import OF_FILES, Promises, promises_of, promises_of_files
from lightmigrate.stores.users import can_see_users, may_be_open, process_name, users_of
from lightmigrate.texts.find import FoundTexts, found_in
from lightmigrate.vectors import Vectors, meaningful

# Vectors sampled from each collection: enough to detect a second model that made a twentieth of them.
SAMPLED = 500

# Records looked at for where their texts come from. In databases of more collections fields beside documents are not
# considered, which takes a second for each.
TEXTS_SAMPLED, MOST_SEARCHED = 400, 20


@dataclass(frozen=True)
class VectorSample(Result):
    """Statistics of a sample of the vectors of a collection.

    Attributes:
        vectors: number of sampled vectors.
        shortest: length of the shortest valid vector; `None` when none is valid.
        longest: length of the longest valid vector; `None` when none is valid.
        invalid: number of vectors that hold NaN or infinity or are all zero.
        of_length_one: number of vectors of length 1: all or none, unless several applications wrote them.
        models: number of vectors of each of several models, the largest first; empty when all seem to be of one model.
    """

    vectors: int
    shortest: float | None
    longest: float | None
    invalid: int
    of_length_one: int
    models: tuple[int, ...]

    @classmethod
    def of(cls, vectors: Vectors) -> VectorSample:
        """The statistics of vectors `(n, d)`."""
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
        bytes: size on disk; `None` for a server.
        free_bytes: free space on that disk; `None` for a server.
        needed_bytes: space that a migration of all collections takes, to `expected_dim` or to their own dimensions;
            `None` for a server.
        collections: all collections.
        expected_dim: dimension of the embedding model in use; `None` when it was not given.
        mismatches: collections of another dimension; empty when `expected_dim` was not given.
        used_by: names of the processes that have the database open, by process id; `None` where none is seen and
            somebody may have it open all the same.
        unfinished: what an interrupted run left, in a sentence; `lightmigrate resume` finishes or undoes it. `None`
            when there is nothing.
        backups: names of the backups.
        samples: statistics of a sample of each collection's vectors, where vectors could be read.
        models: the model of the vectors, for the collections that were migrated.
        damaged: collections whose vectors cannot be read, with what is wrong.
        refused: collections that the store cannot give new vectors, such as one whose ids it assigns, with what helps.
        unsupported: why nothing can be migrated here, such as the version of a server; `None` for nothing.
        texts: where the embedded texts come from, for the collections whose records could be read.
        distances: the collections whose metadata state another distance than their index has, with the command that
            gives them that one.
        upgrade_notice: that an older version of the store wrote the folder, which cannot use it once it is migrated,
            with the way out; `None` otherwise.
        exchange_notice: what an application has to know of the exchange of its collections; `None` for nothing.
        promises: what the database promises about migrations, and what not.
    """

    path: Path
    bytes: int | None
    free_bytes: int | None
    needed_bytes: int | None
    collections: tuple[CollectionFacts, ...]
    expected_dim: int | None
    mismatches: tuple[Mismatch, ...]
    used_by: dict[int, str] | None
    unfinished: str | None
    backups: tuple[str, ...]
    samples: dict[str, VectorSample]
    models: dict[str, str]
    damaged: dict[str, str]
    refused: dict[str, str] = field(default_factory=dict)
    unsupported: str | None = None
    texts: dict[str, FoundTexts] = field(default_factory=dict)
    distances: dict[str, str] = field(default_factory=dict)
    upgrade_notice: str | None = None
    exchange_notice: str | None = None
    promises: Promises = OF_FILES


def mismatches_in(catalog: Sequence[CollectionFacts], expected_dim: int) -> list[Mismatch]:
    """The collections whose vectors have another dimension; those without vectors are left out."""
    return [
        Mismatch(
            facts.name,
            facts.tenant,
            facts.database,
            facts.dimension,
            expected_dim,
            facts.count,
            facts.vector,
            facts.part,
        )
        for facts in catalog
        if facts.dimension not in (None, expected_dim) and facts.count
    ]


def diagnose_files(
    files: FileDatabase,
    unfinished: str | None,
    expected_dim: int | None = None,
    damaged: Mapping[Address, str] = types.MappingProxyType({}),
) -> Diagnosis:
    """Diagnose a database that is files. Only reads, and works while other processes write.

    Args:
        files: the database.
        unfinished: what an interrupted run left; see `Diagnosis`.
        expected_dim: dimension of the embedding model in use, if it is known.
        damaged: the collections whose vectors cannot be read, with what is wrong and what helps.

    Raises:
        DatabaseError: the folder does not exist, or holds no database.
    """
    catalog, location, main = files.catalog(), Location.of(files), files.folder / files.main
    users, unknown = users_of(main), may_be_open(main)
    dimensions = {f.address: expected_dim or f.dimension for f in catalog if f.dimension and f.count}
    return Diagnosis(
        path=files.folder,
        bytes=tree_bytes(files.folder, location.belongs),
        free_bytes=shutil.disk_usage(location.home).free,
        needed_bytes=needed_bytes(location, dimensions),
        collections=tuple(catalog),
        expected_dim=expected_dim,
        mismatches=tuple(mismatches_in(catalog, expected_dim)) if expected_dim else (),
        used_by={pid: process_name(pid) for pid in users} if users or (can_see_users() and not unknown) else None,
        unfinished=unfinished,
        backups=tuple(backup.name for backup in backups_of(location)),
        samples={str(address): VectorSample.of(vectors) for address, vectors in files.sample(SAMPLED).items()},
        models=_models_of(Record.read(files.folder)),
        damaged={str(address): fault for address, fault in damaged.items()},
        texts=_texts_of(files.sample_records(TEXTS_SAMPLED)),
        promises=promises_of_files(unknown),
    )


def diagnose_store(
    store: Store,
    catalog: Sequence[CollectionFacts],
    backups: Sequence[Backup],
    unfinished: str | None,
    expected_dim: int | None = None,
    damaged: Mapping[Address, str] = types.MappingProxyType({}),
) -> Diagnosis:
    """Diagnose an open database. Only reads.

    Args:
        store: the open database.
        catalog: the collections of the database.
        backups: the backups of the database.
        unfinished: what an interrupted run left; see `Diagnosis`.
        expected_dim: dimension of the embedding model in use, if it is known.
        damaged: the collections whose vectors cannot be read, with what is wrong and what helps.
    """
    readable = [facts.address for facts in catalog if facts.count and facts.address not in damaged]
    pages = {address: store.collection(address).sample(SAMPLED) for address in readable}
    return Diagnosis(
        path=ServerPath.of(store),
        bytes=None,
        free_bytes=None,
        needed_bytes=None,
        collections=tuple(catalog),
        expected_dim=expected_dim,
        mismatches=tuple(mismatches_in(catalog, expected_dim)) if expected_dim else (),
        used_by={},
        unfinished=unfinished,
        backups=tuple(backup.name for backup in backups),
        samples={str(address): VectorSample.of(page.vectors) for address, page in pages.items()},
        models={},
        damaged={str(address): fault for address, fault in damaged.items()},
        unsupported=store.unsupported(),
        texts=_texts_of(pages),
        promises=promises_of(store.capabilities),
    )


def _texts_of(pages: Mapping[Address, Page]) -> dict[str, FoundTexts]:
    """Where the embedded texts of each collection come from, by some of its records."""
    return {
        str(address): found_in(page, address, beside_documents=len(pages) <= MOST_SEARCHED)
        for address, page in pages.items()
    }


def _models_of(record: Record | None) -> dict[str, str]:
    """The models that the record of a database names, by collection."""
    if record is None:
        return {}
    named = (entry for entry in record.collections if entry.target)
    return {str(entry.address): str(entry.target.get("name", "unnamed")) for entry in named}
