"""Shadows: new versions of a collection, built beside it and kept current while it is written to."""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.migration.baseline import Baseline, sample_of
from lightmigrate.migration.distance import centre_of, keeps_vectors
from lightmigrate.migration.job import InvalidVectors, Job
from lightmigrate.migration.request import Request, write_requests
from lightmigrate.migration.shadow.scores import ScoreMeasurement
from lightmigrate.migration.shadow.synchronise import Snapshot, bring_over, synchronise
from lightmigrate.migration.verify import Comparison, Verification
from lightmigrate.progress import OnProgress, logger
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.stores.base import Collection, Finishing, Role, Store, Version
from lightmigrate.stores.defaults import id_of
from lightmigrate.stores.record_tables import RecordTables
from lightmigrate.stores.while_written import Reconciling
from lightmigrate.texts.chosen import texts_for

# Largest number of passes over a collection that is written to while it is read.
PASSES = 10

# Changes that are left for the exchange, where writers wait meanwhile.
_FEW = 10


@dataclass(frozen=True)
class Shadow:
    """A complete shadow.

    Attributes:
        job: the job it was built for.
        target: the shadow.
        id: the store's id of the shadow.
        snapshot: the state of the source when the shadow was built.
        comparison: comparison of the shadow's records with the expected ones.
        checked: result of the verification; `None` when it was switched off.
        request: what it was built for.
        started: start of the build, in seconds of the monotonic clock.
        scores: how distances moved; `None` where there were none to measure.
    """

    job: Job
    target: Collection
    id: str
    snapshot: Snapshot
    comparison: Comparison
    checked: Verification | None
    request: Request
    started: float
    scores: ScoreShift | None


class Settling:
    """The `settle` of an exchange: see `Store.exchange` and `CatchingUp`.

    Args:
        shadows: of the database.
        shadow: that is brought up to date.
        snapshot: the state of the source when it was last.
    """

    def __init__(self, shadows: Shadows, shadow: Shadow, snapshot: Snapshot) -> None:
        self._shadows, self._shadow, self._snapshot = shadows, shadow, snapshot

    def ahead(self) -> None:
        """Bring it nearly up to date. Writes to the shadow."""
        self._snapshot = self._shadows.keep_up(self._shadow, self._snapshot)

    def __call__(self) -> None:
        """Bring it up to date for the last time. Writes to the shadow."""
        self._shadows.settle(self._shadow, self._snapshot)


class Shadows:
    """The shadows and backups of one open database."""

    def __init__(self, store: Store, page_size: int, on_progress: OnProgress) -> None:
        self._store = store
        self._page_size = page_size
        self._on_progress = on_progress

    @cached_property
    def tables(self) -> RecordTables:
        """For what has to be known of every record of a collection."""
        return RecordTables()

    def building(self) -> list[Version]:
        """Shadows that are not yet exchanged, the oldest first. Only reads."""
        return [version for version in self._store.versions() if version.role is Role.BUILDING]

    def backups(self) -> list[Version]:
        """Collections that were replaced, the oldest first. Only reads."""
        return [version for version in self._store.versions() if version.role is Role.BACKUP]

    def build(
        self, request: Request, verified: bool, invalid_vectors: InvalidVectors, earlier: Sequence[Version]
    ) -> Shadow:
        """Build a shadow of a collection, or complete the one that an interrupted run left. Writes.

        Args:
            request: what to build.
            verified: whether every record is read back and compared.
            invalid_vectors: see `Job`.
            earlier: the shadows of earlier runs: what `building` gave before the first one of this run was built.

        Raises:
            VerificationError: the shadow is not what it should be; it was deleted.
        """
        started = time.monotonic()
        target = self._shadow_for(request, invalid_vectors, earlier)
        source = self._store.collection(request.address)
        job = self.job(request, source, target, invalid_vectors)
        comparison = Comparison(shared_records=self._store.capabilities.shared_records)
        scores = ScoreMeasurement(job)
        try:
            snapshot, sample = bring_over(
                job, target, self._page_size, self._on_progress, comparison if verified else None, scores, self.tables
            )
            if isinstance(self._store, Finishing):
                # before there are indexes, which have to note every record that is written
                _, snapshot = synchronise(
                    job, target, self._page_size, self._on_progress, snapshot, comparison, self.tables, vectors=False
                )
                self._store.finish(target)
            checked = None
            if verified:
                checked = comparison.conclude(Baseline.of(source, sample, request.distance, scores.space), target)
        except VerificationError:
            self._store.delete(target.address)
            raise
        shadow_id, moved = id_of(target), scores.shift()
        return Shadow(job, target, shadow_id, snapshot, comparison, checked, request, started, moved)

    def job(self, request: Request, source: Collection, target: Collection, invalid_vectors: InvalidVectors) -> Job:
        """The job of a request; only reads.

        Args:
            request: what to build.
            source: the collection.
            target: its new version.
            invalid_vectors: see `Job`.
        """
        return Job(
            source,
            request.projection,
            invalid_vectors,
            texts_for(request.projection, source, request.texts),
            distance=request.distance,
            centre=centre_of(sample_of(source)) if keeps_vectors(request.projection) else None,
            unit=self._store.capabilities.unit_vectors and target.facts().space == "cosine",
            moved=request.moved,
        )

    def _shadow_for(self, request: Request, invalid_vectors: InvalidVectors, earlier: Sequence[Version]) -> Collection:
        """The shadow of an earlier run with the same requests, or a new one; other shadows are deleted."""
        with tempfile.TemporaryDirectory() as folder:
            stored = write_requests(Path(folder) / "request", [request], invalid_vectors)
        description = secrets.token_hex() if stored is None else json.dumps(stored, sort_keys=True)
        key = hashlib.sha256(description.encode()).hexdigest()[:12]
        for version in earlier:
            if version.own == request.address:
                begun = self._store.collection(version.address)
                if version.key == key and begun.count():
                    return begun
                if version.key != key:
                    logger.warning("%s: another run was interrupted; what it had built is deleted", version.own)
                self._store.delete(version.address)  # it may have been created only in part
        source, dimension = self._store.collection(request.address), request.projection.info.target.dimension
        return self._store.create_version(source, key, dimension, request.model, request.distance)

    def keep_up(self, shadow: Shadow, since: Snapshot | None = None) -> Snapshot:
        """Read the source, without vectors, until a pass finds no change since the one before. Writes to the shadow.

        A short last pass leaves little time for writes before the exchange; everything is read again afterwards.
        Where the store settles within the exchange, a pass that finds few changes is enough.

        Args:
            shadow: the shadow.
            since: the state of the source when the shadow was last brought up to date; `None` after it was built.

        Raises:
            DatabaseChangedError: the source was written to in every pass.
            VerificationError: the shadow and its collection hold different records.
        """
        job, snapshot = shadow.job, since or shadow.snapshot
        promised = self._store.capabilities
        settles = promised.holds_writers or promised.settles_again
        enough = min(self._page_size, _FEW) if settles else 0
        changed, seconds, complete = 0, 0.0, snapshot.complete
        for _ in range(PASSES):
            self._require_shadow(shadow)
            started = time.monotonic()
            changed, snapshot = synchronise(
                job, shadow.target, self._page_size, self._on_progress, snapshot, shadow.comparison, self.tables,
                vectors=False,
            )  # fmt: skip
            seconds = time.monotonic() - started
            if complete is None and isinstance(self._store, Reconciling) and snapshot.mark is not None:
                self._require_equal(shadow, snapshot.mark, written=False)
                complete = snapshot.mark
            elif changed <= enough:
                return replace(snapshot, complete=complete)
        if settles:
            return replace(snapshot, complete=complete)
        raise DatabaseChangedError(
            f"collection {job.source.address} was written to in every one of {PASSES} passes, {changed} records in the "
            f"last one of {seconds:.1f} s: nothing was migrated; pause the writers, and run this again to go on"
        )

    def settle(self, shadow: Shadow, snapshot: Snapshot) -> None:
        """Bring a shadow up to date for the last time within the exchange. Writes to the shadow.

        Raises:
            VerificationError: the shadow and its collection hold different numbers of records.
        """
        job = shadow.job
        _, after = synchronise(
            job, shadow.target, self._page_size, lambda _: None, snapshot, shadow.comparison, self.tables
        )
        if snapshot.complete is not None:
            self._require_equal(shadow, snapshot.complete, written=True)
            return
        expected, stored = job.source.count(), shadow.target.count()
        if expected != stored and not self._is_written_to(job.source, after):
            raise VerificationError(
                f"collection {job.source.address} has {expected} records and its new version {stored}; nothing "
                "was changed, run this again"
            )

    def _require_equal(self, shadow: Shadow, since: str, *, written: bool) -> None:
        """Check that the shadow has the records of its collection: those that were written since, or all others."""
        source = shadow.job.source
        if not isinstance(self._store, Reconciling):
            return
        if count := self._store.unequal(source, shadow.target, since, written=written):
            raise VerificationError(
                f"{count} records are in only one of collection {source.address} and its new version; nothing was "
                "changed, run this again"
            )

    def _is_written_to(self, source: Collection, after: Snapshot) -> bool:
        """Whether somebody has written since, where writers do not wait; the store then settles again."""
        if not self._store.capabilities.settles_again or after.mark is None:
            return False
        changes = source.changes(after.mark)
        return changes is not None and bool(changes.written or changes.deleted)

    def _require_shadow(self, shadow: Shadow) -> None:
        """Check that nobody exchanged the shadow meanwhile; writing to it would then write to the live collection."""
        address = shadow.target.address
        DatabaseChangedError.require_same(address, shadow.id, id_of(self._store.collection(address)))
