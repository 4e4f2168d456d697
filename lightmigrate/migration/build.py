"""The new database is built aside: copy the folder, rebuild what must change, verify everything."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.files import copy_tree, give_owner_of, sync_tree
from lightmigrate.migration.progress import OnProgress, Progress
from lightmigrate.migration.rebuild import InvalidVectors, Job, rebuild
from lightmigrate.migration.record import CollectionRecord, Record
from lightmigrate.migration.verify import Verification, digest_of, verify
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, CollectionFacts, Store
from lightmigrate.stores.chroma_folder import fingerprint, read_catalog, remove_orphaned_indexes


@dataclass(frozen=True)
class Request:
    """What to do with one collection.

    Attributes:
        address: the collection.
        projection: for its vectors.
        embedding_function: `name` and `config` to record, or `None`.
    """

    address: Address
    projection: Projection
    embedding_function: Mapping[str, Any] | None


@dataclass(frozen=True)
class Options:
    """How to do it.

    Attributes:
        page_size: records held in memory at once.
        verify: whether every record is read back and compared.
        invalid_vectors: see `rebuild.Job`.
        on_progress: hears about every step.
    """

    page_size: int
    verify: bool
    invalid_vectors: InvalidVectors
    on_progress: OnProgress


def copy_database(live: Path, staging: Path, on_progress: OnProgress) -> Mapping[str, tuple[int, int]]:
    """Copy a quiet database folder; returns the fingerprint it had.

    Raises:
        DatabaseChangedError: somebody wrote to it meanwhile.
    """
    before = fingerprint(live)
    total, done = sum(size for size, _ in before.values()), 0

    def copied(size: int) -> None:
        nonlocal done
        done += size
        on_progress(Progress("copy", done, total))

    copy_tree(live, staging, copied)
    if fingerprint(live) != before:
        raise DatabaseChangedError(f"{live} was written to while it was copied; stop the writer and run this again")
    return before


def build(
    staging: Path, open_store: Any, requests: Sequence[Request], options: Options
) -> list[tuple[Request, Verification | None]]:
    """Turn a copy of the database into the new database, in place, and verify it.

    The rebuilt collections take their names before they are compared, and the store is closed and opened
    again in between, so that what is verified is what will be found on the disk. Only then do the old
    collections leave the copy.

    Args:
        staging: the copy.
        open_store: opens a folder as a `Store`.
        requests: what to rebuild.
        options: how.

    Returns:
        For each request what was verified, `None` when that was switched off.

    Raises:
        VerificationError: something is not as it should be.
        InvalidVectorsError: see `rebuild`.
    """
    catalog = read_catalog(staging)
    asked = {request.address for request in requests}
    untouched = [facts for facts in catalog if facts.address not in asked]
    token = secrets.token_hex(4)  # names no collection of the user can have by accident
    set_aside = {
        request.address: Address(f"lightmigrate-{token}-old-{number}", request.address.tenant, request.address.database)
        for number, request in enumerate(requests)
    }

    with open_store(staging) as store:
        digests = _digests(store, untouched, options) if options.verify else {}
        for number, request in enumerate(requests):
            job = _job(store, request.address, request, options)
            target = rebuild(store, job, f"lightmigrate-{token}-new-{number}", options.page_size, options.on_progress)
            job.source.rename(set_aside[request.address].name)
            target.rename(request.address.name)

    with open_store(staging) as store:
        results: list[tuple[Request, Verification | None]] = []
        for request in requests:
            job = _job(store, set_aside[request.address], request, options)
            target = store.collection(request.address)
            checked = verify(job, target, options.page_size, options.on_progress) if options.verify else None
            results.append((request, checked))
            job.source.delete()
        if options.verify and _digests(store, untouched, options) != digests:
            raise VerificationError("a collection that was not to be migrated changed; the copy was thrown away")

    remove_orphaned_indexes(staging)
    _compare_catalogs(catalog, read_catalog(staging), requests)
    return results


def finish(
    staging: Path, live: Path, results: Sequence[tuple[Request, Verification | None]], backup: Path | None
) -> None:
    """Write the record into the new database, give it the old one's owner, and flush it to the disk."""
    earlier = Record.read(live)
    collections = {(c.tenant, c.database, c.name): c for c in earlier.collections} if earlier else {}
    for request, checked in results:
        address, info = request.address, request.projection.info
        if checked is not None:
            collections[address.tenant, address.database, address.name] = CollectionRecord(
                name=address.name,
                tenant=address.tenant,
                database=address.database,
                source=info.source.to_json(),
                target=info.target.to_json(),
                records=checked.records,
                content_sha256=checked.content_sha256,
                vectors_sha256=checked.vectors_sha256,
                settings_sha256=checked.settings_sha256,
            )
    Record(
        database_name=live.name,
        migrated_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        collections=tuple(collections.values()),
        backups=((*earlier.backups,) if earlier else ()) + ((backup.name,) if backup else ()),
    ).write(staging)
    give_owner_of(live, staging)
    sync_tree(staging)


def _job(store: Store, address: Address, request: Request, options: Options) -> Job:
    return Job(store.collection(address), request.projection, request.embedding_function, options.invalid_vectors)


def _digests(store: Store, collections: Sequence[CollectionFacts], options: Options) -> dict[Address, tuple[str, str]]:
    digests = {}
    for facts in collections:
        digest = digest_of(store.collection(facts.address), options.page_size)
        digests[facts.address] = (digest.content, digest.vectors)
    return digests


def _compare_catalogs(
    before: Sequence[CollectionFacts], after: Sequence[CollectionFacts], requests: Sequence[Request]
) -> None:
    """The same collections with the same counts, and only the asked-for dimensions changed."""
    dimensions = {request.address: request.projection.info.target.dimension for request in requests}
    expected = {f.address: (f.count, dimensions.get(f.address, f.dimension)) for f in before}
    found = {f.address: (f.count, f.dimension) for f in after}
    if expected != found:
        wrong = next(a for a in expected.keys() | found.keys() if expected.get(a) != found.get(a))
        raise VerificationError(
            f"collection {wrong}: (records, dimension) should be {expected.get(wrong)} and is {found.get(wrong)}; "
            "the new database was thrown away"
        )
