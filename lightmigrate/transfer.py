"""From one database to another while the model changes, or with the same model: the source is only read.

A collection is filled in the target under a name that no application opens, verified record by record like every
migration, and published in one step. A run that was killed goes on: every record that is there is compared with what it
should be, and only those that differ are written again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from lightmigrate.errors import (
    AnotherRunError,
    DatabaseChangedError,
    DatabaseError,
    FailedError,
    LightmigrateError,
    RefusedError,
    VerificationError,
)
from lightmigrate.files import try_lock
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.baseline import Baseline, sample_of
from lightmigrate.migration.digest import settings_sha256
from lightmigrate.migration.distance import centre_of, keeps_vectors
from lightmigrate.migration.job import InvalidVectors, Job
from lightmigrate.migration.lock import lock_of
from lightmigrate.migration.plan import Plan, make_plan, require_passed, require_readable
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import MigrationResult
from lightmigrate.migration.shadow.scores import ScoreMeasurement
from lightmigrate.migration.shadow.synchronise import bring_over, synchronise
from lightmigrate.migration.source_check import require_fitting
from lightmigrate.migration.verify import Comparison
from lightmigrate.progress import OnProgress
from lightmigrate.server_path import ServerPath
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Page, Payload, Store, WrittenRecords
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.files import FileDatabase, require_unused, warn_if_unknown
from lightmigrate.stores.open import Database
from lightmigrate.stores.page import in_batches
from lightmigrate.stores.receive import Receiver, ReceivingFiles, ReceivingStore, Sender, from_text
from lightmigrate.stores.record_tables import RecordTable, RecordTables, as_key, of_key
from lightmigrate.stores.reshaped import Reshaped
from lightmigrate.texts.chosen import texts_for
from lightmigrate.vectors import Metric, Vectors

# Largest number of passes over a collection that is written to while it is read.
PASSES = 10


@dataclass(frozen=True)
class _Converted(Reshaped):
    """A collection of the source with ids and payloads as the target has them.

    Attributes:
        source: its store.
        target: the other one.
        originals: the ids of records that get others, by the new one.
    """

    source: Store
    target: Receiver
    originals: RecordTable

    def reshaped(self, page: Page) -> Page:
        return replace(page, ids=self._new_ids(page.ids), payloads=list(map(self._payload, page.ids, page.payloads)))

    def _new_ids(self, ids: Sequence[str]) -> list[str]:
        new = list(map(self.target.new_id, ids))
        changed = [(other, as_key(own)) for own, other in zip(ids, new, strict=True) if other != own]
        known = self.originals.get([other for other, _ in changed])
        if any(known.setdefault(other, own) != own for other, own in changed):
            raise LightmigrateError("two records would have the same id in the target: rename one of them")
        self.originals.put(known)
        return new

    def _payload(self, record: str, payload: Payload | None) -> Payload | None:
        fields = payload or {}
        own = self.source.fields(fields) if isinstance(self.source, Sender) else from_text(fields)
        return self.target.payload(record, own)

    def records(self, ids: Sequence[str]) -> Page:
        """Some records, by their new ids."""
        originals = self.originals.get(ids)
        own = [of_key(originals[record]) if record in originals else record for record in ids]
        return self.reshaped(self.collection.records(own))

    def ids(self) -> Iterator[str]:
        """All new ids."""
        return (record for ids in in_batches(self.collection.ids(), 1000) for record in self._new_ids(ids))

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Search."""
        found, distances = self.collection.nearest(vectors, k)
        return list(map(self._new_ids, found)), distances

    def changes(self, since: str | None = None) -> WrittenRecords | None:
        """What was written."""
        changes = self.collection.changes(since)
        if changes is None:
            return None
        return replace(changes, written=self._new_ids(changes.written), deleted=self._new_ids(changes.deleted))


class Transfer:
    """Collections of one database, to be built in another one. The constructor only reads.

    Args:
        source: the database that is read. One that is files must not be in use: a copy is read.
        target: the database that is written to. One that is files must not be in use.
        page_size: records held in memory at once.
        on_progress: receives the progress of every step.

    Raises:
        DatabaseError: the target's store cannot receive collections of others.
    """

    def __init__(self, source: Database, target: Database, page_size: int, on_progress: OnProgress) -> None:
        if not _receives(target):
            raise DatabaseError(
                f"{_name(target)} cannot receive collections of another database yet: give the URL of one that can, "
                "such as postgresql://user@host/name"
            )
        if not isinstance(target, FileDatabase) and (reason := target.unsupported()) is not None:
            raise DatabaseError(reason)
        self._source, self._target = source, target
        self._page_size, self._on_progress = page_size, on_progress

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What the target would record about an embedding function; see `Store.describe_model`."""
        return self._target.describe_model(embedding_function)

    def plan(self, catalog: Sequence[CollectionFacts], requests: Sequence[Request]) -> Plan:
        """What would be done. Only reads.

        Args:
            catalog: all collections of the source.
            requests: those to transfer, with the projection of each; see `same_vectors` for none.

        Raises:
            RefusedError: the target has a collection of that name.
            LightmigrateError: see `make_plan`.
        """
        folder = self._source.folder if isinstance(self._source, FileDatabase) else ServerPath.of(self._source)
        plan = make_plan(folder, catalog, requests, needed=0, free=0)
        names = [request.address.part or request.address.name for request in requests]
        if double := {name for name in names if names.count(name) > 1}:
            raise RefusedError(
                f"{len(double)} names occur several times in the source, and {_name(self._target)} has one collection "
                "of a name: name one with --collection"
            )
        taken = self._target.collections() if isinstance(self._target, Store) else _catalog(self._target)
        for name in names:
            self._require_free(Address(name), taken)
        return plan

    def run(
        self, catalog: Sequence[CollectionFacts], requests: Sequence[Request], *, verify: bool = True,
        invalid_vectors: InvalidVectors = "refuse", force: bool = False,
    ) -> list[MigrationResult]:  # fmt: skip
        """Fill, verify and publish every collection; what an interrupted run has filled is used. Writes to the target.

        Args:
            catalog: all collections of the source.
            requests: see `plan`.
            verify: read everything back and compare it before a collection is published.
            invalid_vectors: see `MigrationOptions`.
            force: skip the checks of the gate and of the source model.

        Raises:
            AnotherRunError: another process of this machine is writing to the target.
            LightmigrateError: of the kind that says why. Collections are published one after another; one that is
                not is not there for applications.
        """
        plan = self.plan(catalog, requests)
        if not force:
            require_passed(plan)
        with self._locked(), self._opened() as store, self._receiving() as target:
            require_readable(store, [request.address for request in requests])
            if not force:
                for request in requests:
                    _require_fitting(store, request)
            try:
                return [self._transfer(store, target, request, verify, invalid_vectors) for request in requests]
            except Exception as error:
                if isinstance(error, LightmigrateError) and not isinstance(error, FailedError):
                    raise
                raise FailedError.of(
                    error, "the source is unchanged: run the same command again, it goes on where it stopped"
                ) from error

    def _transfer(
        self, store: Store, receiver: ReceivingStore, request: Request, verify: bool, invalid_vectors: InvalidVectors
    ) -> MigrationResult:
        started, own = time.monotonic(), store.collection(request.address)
        facts, distance = own.facts(), request.distance or space_of(own)
        tables = RecordTables()
        source = _Converted(own, store, receiver, tables.table())
        kept = keeps_vectors(request.projection)
        dimension = (facts.dimension or 0) if kept else request.projection.info.target.dimension
        job = Job(
            source, request.projection, invalid_vectors, texts_for(request.projection, own, request.texts),
            distance=distance, centre=centre_of(sample_of(own)) if kept else None,
            unit=receiver.capabilities.unit_vectors and distance == "cosine",
        )  # fmt: skip
        address = Address(request.address.part or request.address.name)
        target = _incoming(receiver, address, dimension, facts, request, distance)
        comparison, scores = Comparison(), ScoreMeasurement(job)
        try:
            snapshot, sample = bring_over(
                job, target, self._page_size, self._on_progress, comparison if verify else None, scores, tables
            )
            for _ in range(PASSES):
                changed, snapshot = synchronise(
                    job, target, self._page_size, self._on_progress, snapshot, comparison, tables, vectors=False
                )
                if not changed:
                    break
            else:
                raise DatabaseChangedError(
                    f"collection {request.address} was written to in every one of {PASSES} passes: nothing was "
                    "published; pause the writers, and run this again to go on"
                )
            target = receiver.complete(target)
            checked = None
            if verify:
                baseline = Baseline.of(source, sample, distance)
                # stores of two kinds share no settings; the distance is measured
                baseline = replace(baseline, new_settings_sha256=settings_sha256(target))
                checked = comparison.conclude(baseline, target)
        except VerificationError:
            receiver.delete(target.address)
            raise
        n = target.count()
        if n != own.count():
            raise DatabaseChangedError(
                f"collection {request.address} has {own.count()} records now, and {n} were transferred: nothing was "
                "published; run this again to go on"
            )
        self._require_free(address, receiver.collections())
        receiver.publish(target, address)
        return MigrationResult(
            collection_name=address.name, tenant=address.tenant, database=address.database, n_migrated=n,
            previous_dim=facts.dimension or 0, current_dim=dimension, backup_path=None, verification=checked,
            seconds=time.monotonic() - started, scores=scores.shift(),
        )  # fmt: skip

    def _require_free(self, address: Address, taken: Sequence[CollectionFacts]) -> None:
        if any(facts.name == address.name for facts in taken):
            raise RefusedError(
                f"{_name(self._target)} has a collection {address.name} already, and it is left as it is: rename or "
                "delete one of the two"
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Store]:
        """The source, to be read: a copy of one that is files, because opening writes."""
        if isinstance(self._source, FileDatabase):
            with open_copy(self._source, self._on_progress) as store:
                yield store
        else:
            yield self._source

    @contextlib.contextmanager
    def _receiving(self) -> Iterator[ReceivingStore]:
        """The target, to be written to."""
        if not isinstance(self._target, FileDatabase):
            yield cast(ReceivingStore, self._target)  # as the constructor looked
            return
        require_unused(self._target)
        warn_if_unknown(self._target)
        with cast(ReceivingFiles, self._target).receive() as store:
            yield cast(ReceivingStore, store)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = lock_of(_name(self._target))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = try_lock(path)
        if lock is None:
            raise AnotherRunError(f"another lightmigrate is working on {_name(self._target)}; wait until it has ended")
        with lock:
            yield


def _incoming(
    receiver: Receiver, address: Address, dimension: int, facts: CollectionFacts, request: Request, distance: Metric
) -> Collection:
    """What an interrupted run has filled, or a new collection."""
    earlier = receiver.incoming(address, dimension, distance)
    if earlier is not None:
        return earlier
    model = request.model or (facts.embedding_function if keeps_vectors(request.projection) else None)
    return receiver.create_incoming(address, dimension, distance, model)


def _receives(target: Database) -> bool:
    kind: type = ReceivingFiles if isinstance(target, FileDatabase) else Receiver
    return isinstance(target, kind)


def _name(database: Database) -> str:
    return str(database.folder if isinstance(database, FileDatabase) else database)


def _catalog(files: FileDatabase) -> Sequence[CollectionFacts]:
    """The collections of a database of files that need not exist yet; only reads."""
    if (instead := files.instead()) is not None:
        raise DatabaseError(instead)
    if not files.exists():
        return []
    if (notice := files.upgrade_notice()) is not None:
        raise DatabaseError(f"{files.folder} would be changed as a whole when it is opened to receive: {notice}")
    return files.catalog()


def _require_fitting(store: Store, request: Request) -> None:
    sample = sample_of(store.collection(request.address))
    if len(sample) and not keeps_vectors(request.projection):
        require_fitting(request.address, request.projected(sample), request.projection)
