"""The record file of a migrated database: its migrations, digests of its contents then, and its backups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lightmigrate.errors import DatabaseError
from lightmigrate.files import replacing
from lightmigrate.migration.digest import Digest, content_of_0_1, settings_sha256
from lightmigrate.migration.results import CollectionCheck
from lightmigrate.results import read_as
from lightmigrate.stores.base import Address, Store
from lightmigrate.vectors import meaningful

RECORD_FILE = "lightmigrate.json"
FORMAT_VERSION = 2

# Tenant, database and name of collections, each with the number of the last write in it.
Writes: TypeAlias = tuple[tuple[str, str, str, int], ...]


@dataclass(frozen=True)
class CollectionRecord:
    """One migrated collection, as it was right after its migration.

    Attributes:
        name: its name.
        tenant: its tenant.
        database: its database.
        source: the model its vectors came from (`Model.to_json`).
        target: the model whose space they are in now; empty, like `source`, where only the distance was changed.
        records: how many there were.
        content_sha256: order-free digest of ids, documents, metadatas and uris.
        vectors_sha256: order-free digest of ids and vectors as they read back.
        settings_sha256: digest of distance, index settings and metadata.
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
    """

    name: str
    tenant: str
    database: str
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    records: int
    content_sha256: str
    vectors_sha256: str
    settings_sha256: str
    vector: str = ""
    part: str = ""

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(self.name, self.tenant, self.database, self.vector, self.part)


@dataclass(frozen=True)
class Record:
    """The contents of `lightmigrate.json` in a database folder.

    Attributes:
        database_name: name of the folder this database is meant to live under.
        migrated_at: UTC time, ISO 8601.
        collections: every collection migrated so far, the newest state of each.
        backups: names of the backups made on the way here, oldest first.
        last_writes: tenant, database and name of every collection that had records then, and the number that
            the store gave to the last write in it: later writes have higher numbers.
        source_writes: the same for the database that it was made from.
    """

    database_name: str
    migrated_at: str
    collections: tuple[CollectionRecord, ...]
    backups: tuple[str, ...]
    last_writes: Writes
    source_writes: Writes

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record of a database folder; `None` when it was never migrated."""
        path = folder / RECORD_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields.pop("format") != FORMAT_VERSION:
                raise DatabaseError(f"{path} was written by a newer lightmigrate; upgrade lightmigrate")
            collections = tuple(read_as(CollectionRecord, entry) for entry in fields.pop("collections"))
            return cls(
                collections=collections,
                backups=tuple(map(_plain_name, fields.pop("backups"))),
                last_writes=read_writes(fields.pop("last_writes")),
                source_writes=read_writes(fields.pop("source_writes")),
                database_name=read_as(str, fields.pop("database_name")),
                migrated_at=read_as(str, fields.pop("migrated_at")),
                **fields,
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise DatabaseError(
                f"{path} is damaged ({type(error).__name__}); move it away to go on without this database's history"
            ) from None

    def write(self, folder: Path) -> None:
        """Write the record into a database folder, aside and renamed."""
        with replacing(folder / RECORD_FILE) as file:
            file.write(json.dumps({"format": FORMAT_VERSION, **asdict(self)}, indent=1).encode())


def _plain_name(name: object) -> str:
    """The name of a folder beside the database, which leads nowhere else."""
    if type(name) is not str or name != Path(name).name or "\0" in name:
        raise ValueError("no name of a folder")
    return name


def read_writes(entries: list[list[Any]]) -> Writes:
    """Last writes as they are read from a file of JSON.

    Raises:
        ValueError, TypeError: they are none.
    """
    return tuple((str(tenant), str(database), str(name), int(last)) for tenant, database, name, last in entries)


def by_address(writes: Writes) -> dict[Address, int]:
    """Last writes by the address of the collection."""
    return {Address(name, tenant, database): number for tenant, database, name, number in writes}


def listed(writes: Mapping[Address, int]) -> Writes:
    """Last writes as a file keeps them."""
    return tuple((a.tenant, a.database, a.name, number) for a, number in writes.items())


def check_collection(store: Store, record: CollectionRecord, page_size: int) -> CollectionCheck:
    """Read a whole collection and compare it with its record. Only reads.

    Raises:
        CollectionNotFoundError: it is gone.
    """
    collection = store.collection(record.address)
    digest, invalid = Digest(), 0
    for page in collection.scan(page_size):
        digest.add(page)
        invalid += int((~meaningful(page.vectors)).sum())
    equal = digest.content == record.content_sha256
    return CollectionCheck(
        collection_name=str(collection.address),
        records=collection.count(),
        records_migrated=record.records,
        contents_equal=equal or content_of_0_1(collection, page_size) == record.content_sha256,
        vectors_equal=digest.vectors == record.vectors_sha256,
        settings_equal=settings_sha256(collection) == record.settings_sha256,
        invalid_vectors=invalid,
    )
