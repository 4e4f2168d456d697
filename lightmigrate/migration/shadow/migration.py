"""Migration of an open database: builds a shadow of each collection, keeps it current, verifies and exchanges it."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import (
    BackupError,
    DatabaseError,
    FailedError,
    LightmigrateError,
    NothingToMigrateError,
)
from lightmigrate.files import user_folder
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.changes import OnWritten, OwnVectors, require_nothing_written
from lightmigrate.migration.distance import keeps_vectors
from lightmigrate.migration.history import HistoryEntry
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.lock import DatabaseLock
from lightmigrate.migration.options import Verify
from lightmigrate.migration.plan import (
    Plan,
    PlannedCollection,
    make_plan,
    require_changeable,
    require_one_vector,
    require_passed,
    require_possible,
    require_readable,
    require_some_possible,
)
from lightmigrate.migration.request import Request, RequestSource
from lightmigrate.migration.results import Backup, CollectionCheck, MigrationResult, Rollback, choose_backups
from lightmigrate.migration.shadow.history import ShadowHistory
from lightmigrate.migration.shadow.late_writes import LateWrites, OnCarried
from lightmigrate.migration.shadow.scores import keep_measured
from lightmigrate.migration.shadow.shadows import Settling, Shadow, Shadows
from lightmigrate.migration.shadow.since import compared
from lightmigrate.migration.shadow.way_back import CARRIED, WayBack, go_back
from lightmigrate.migration.source_check import require_fitting
from lightmigrate.progress import OnProgress, logger, together
from lightmigrate.server_path import ServerPath
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store, Version
from lightmigrate.stores.files import IndexRoute
from lightmigrate.stores.others import require_no_others
from lightmigrate.stores.timestamp import next_timestamp

# Of so many collections at most an interrupted migration is said to be.
_NAMED = 3


class ShadowMigration:
    """The migration of an open database for `Migrator`. The old collection becomes the backup.

    The constructor only reads. The methods that write first finish or undo an interrupted exchange, and carry over what
    was written just before it.
    """

    def __init__(self, store: Store, page_size: int, on_progress: OnProgress, on_carried: OnCarried) -> None:
        self._store = store
        self._page_size, self._on_progress = page_size, on_progress
        self._shadows = Shadows(store, page_size, on_progress)
        self.path = ServerPath.of(store)
        self._lock = DatabaseLock(store)
        self.recovered: str | None = None
        self._history = ShadowHistory(store, self.place)
        self._late = LateWrites(store, self.place, self._shadows, page_size, on_carried)

    @property
    def place(self) -> Path:
        """See `Migrator.place`."""
        return self._store.folder or user_folder() / "servers" / self._lock.file.name

    @property
    def unfinished(self) -> str | None:
        """What an interrupted run left, and the command that finishes or undoes it; `None` for nothing. Only reads."""
        if self._lock.is_held():
            return None
        if self._store.interrupted_exchange():
            return "an exchange was interrupted:  lightmigrate resume DATABASE  finishes or undoes it"
        if self._late.left():
            return (
                "what was written just before an exchange is not carried over yet:  lightmigrate resume DATABASE  "
                "does it"
            )
        if building := self._shadows.building():
            names = sorted({str(version.own) for version in building if version.key != CARRIED})
            named = f" ({' '.join(f'-c {shlex.quote(name)}' for name in names)})" if 0 < len(names) <= _NAMED else ""
            what = "migration" if names else "rollback"
            return (
                f"a {what} was interrupted: the same {what}{named} goes on,  lightmigrate resume DATABASE --undo "
                " discards what it built"
            )
        return None

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes only when there is something to do.

        Returns:
            What was interrupted and how it ended, in a sentence; `None` when there was nothing to do.

        Raises:
            AnotherRunError: another lightmigrate process is working on the database.
        """
        # a claim is a write; without one, there may be more to finish than an exchange
        if not self._lock.claims or self._lock.is_held() or self._store.interrupted_exchange() or self._late.left():
            with self._locked():
                pass
        return self.recovered

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """The description of an embedding function that the store records; see `Store.describe_model`."""
        return self._store.describe_model(embedding_function)

    def catalog(self) -> list[CollectionFacts]:
        """The application's collections, without shadows and backups. Only reads."""
        return self._store.collections()

    def ids(self, address: Address) -> Iterator[str]:
        """The ids of all records of a collection, read while they are passed over. Only reads."""
        return self._store.collection(address).ids()

    def plan(self, requests: Sequence[Request]) -> Plan:
        """See `Migrator.plan`. The disk of a server cannot be seen from here: 0 bytes needed, 0 free."""
        self._require_supported()
        catalog, wanted = self.catalog(), {request.address for request in requests}
        # one whose vectors cannot even be counted looks empty
        unknown = [facts.address for facts in catalog if facts.dimension is None and facts.address in wanted]
        require_readable(self._store, unknown)
        plan = make_plan(self.path, catalog, requests, needed=0, free=0)
        require_changeable(self._store, requests)
        require_possible(self._store, requests)
        require_one_vector(self._store, [request.address for request in requests])
        return plan

    @property
    def interrupted(self) -> bool:
        """See `Migrator.interrupted`."""
        return bool(self._shadows.building())

    @property
    def interrupted_functions(self) -> list[Mapping[str, Any] | None]:
        """Empty: a server stores no requests of an interrupted run."""
        return [None for _ in self._shadows.building()]

    @property
    def interrupted_distances(self) -> list[str | None]:
        """As `interrupted_functions`."""
        return [None for _ in self._shadows.building()]

    def migrate(
        self,
        source: RequestSource,
        auto_backup: bool,
        verify: Verify,
        invalid_vectors: InvalidVectors,
        force: bool,
        index: IndexRoute,
        beside: Callable[[Path], None] | None = None,
    ) -> list[MigrationResult]:
        """Build, keep current, verify, exchange. Writes. See `Migrator.migrate`."""
        self._require_supported()
        if self._lock.claims and not self._store.interrupted_exchange():
            if callable(source):  # what is refused is refused before anything is written, a claim included
                require_some_possible(self._store)
            else:
                self.plan(source)
        with self._locked():
            requests = source(self._store) if callable(source) else source
            return self._migrate(requests, auto_backup, verify, invalid_vectors, force, beside) if requests else []

    def _require_supported(self) -> None:
        """Raise `DatabaseError` when nothing can be migrated in this database."""
        if (reason := self._store.unsupported()) is not None:
            raise DatabaseError(reason)

    def wait(self) -> None:
        """See `Migrator.wait`."""
        self._lock.wait()

    def _migrate(
        self,
        requests: Sequence[Request],
        auto_backup: bool,
        verify: Verify,
        invalid_vectors: InvalidVectors,
        force: bool,
        beside: Callable[[Path], None] | None = None,
    ) -> list[MigrationResult]:
        require_no_others(self._store)
        plan = self.plan(requests)
        filled = {planned.address for planned in plan.collections if planned.count}
        for request in requests:
            if request.anew and request.address in filled:
                raise LightmigrateError(
                    f"collection {request.address} cannot be embedded again in an open database: run the same command "
                    "on the folder of a server that is stopped, or migrate with a projection"
                )
        require_readable(self._store, [planned.address for planned in plan.collections if planned.count])
        records = sum(planned.count for planned in plan.collections)
        on_progress = together(self._on_progress, records, len(plan.collections))
        self._shadows = Shadows(self._store, self._page_size, on_progress)
        if not force:
            require_passed(plan)
            for request in requests:
                sample = sample_of(self._store.collection(request.address))
                if len(sample) and not keeps_vectors(request.projection):
                    require_fitting(request.address, request.projected(sample), request.projection)
        try:
            earlier = self._shadows.building()  # once: many collections take long to list
            built = [self._shadows.build(request, bool(verify), invalid_vectors, earlier) for request in requests]
            if beside is not None:
                self.place.mkdir(parents=True, exist_ok=True)
                beside(self.place)
            stamp = self._free_stamp()
            self._history.announce(requests, [planned.count for planned in plan.collections], stamp)
            results: list[MigrationResult] = []
            try:
                for planned, shadow in zip(plan.collections, built, strict=True):
                    results.append(self._cut_over(planned, shadow, stamp, auto_backup))
            finally:
                keep_measured(self.place, self._store, results)
                self._history.settle()
            return results
        except Exception as error:
            if isinstance(error, LightmigrateError) and not isinstance(error, FailedError):
                raise
            raise FailedError.of(
                error,
                "every collection is whole, old or new: run the same migration again, it resumes where it stopped",
            ) from error

    def resume(self, auto_backup: bool, verify: Verify, force: bool, index: IndexRoute) -> list[MigrationResult]:
        """Not possible, because a server stores no projections: recovers the exchange, then raises.

        Raises:
            NothingToMigrateError: always; the same migration, run again, continues.
        """
        self.recover()
        raise NothingToMigrateError(
            f"{self.path}: run the same migration again, it resumes where it stopped; undo discards what it built"
        )

    def undo(self) -> bool:
        """See `Migrator.undo`."""
        with self._locked():
            require_no_others(self._store)
            shadows = self._shadows.building()
            for version in shadows:
                self._lock.require()
                self._store.delete(version.address)
        return bool(shadows)

    def verify(self, own: OwnVectors) -> list[CollectionCheck]:
        """Compare every migrated collection with its newest backup. Only reads. See `Migrator.verify`.

        Args:
            own: tells the vectors that this package wrote since.
        """
        newest = {backup.own: backup for backup in self._shadows.backups()}
        if not newest:
            raise DatabaseError(
                f"{self.path} holds no migration to compare with; plan one:  lightmigrate plan DATABASE "
                "--target-model MODEL"
            )
        return [compared(self._store, backup, own, self._page_size) for backup in newest.values()]

    def backups(self) -> list[Backup]:
        """See `Migrator.backups`. Each is a collection."""
        return [self._described(backup) for backup in self._shadows.backups()]

    def history(self) -> list[HistoryEntry]:
        """See `Migrator.history`."""
        return self._history.entries()

    def _described(self, backup: Version) -> Backup:
        name = _name_of(backup)
        return Backup(name, self.path / name, None, None)

    @contextlib.contextmanager
    def before(self, dimension: int) -> Iterator[dict[Address, Collection]]:
        """The newest backup with such vectors of each collection, as far as it holds records. Only reads."""
        versions = {version.own: self._store.collection(version.address) for version in self._shadows.backups()}
        facts = {own: collection.facts() for own, collection in versions.items()}
        yield {own: versions[own] for own, old in facts.items() if old.count and old.dimension == dimension}

    def rollback(self, backup: str | None, written: OnWritten, own: OwnVectors) -> Rollback:
        """Put the old collections back. See `Migrator.rollback`."""
        with self._locked():
            return self._rollback(backup, written, own)

    def _rollback(self, backup: str | None, written: OnWritten, own: OwnVectors) -> Rollback:
        backups = self._shadows.backups()
        known = [version for version in backups if backup in (None, _name_of(version))]
        if not known:
            names = ", ".join(map(_name_of, backups)) or "none"
            raise BackupError(f"{self.path} has no backup {backup or ''}; there are: {names}")
        chosen, stamp = [version for version in known if version.key == known[-1].key], self._free_stamp()
        key, left = self._history.begun_rollback()
        going = [version for version in backups if _name_of(version) in left]
        if rest := [version for version in going if version in known]:  # it was interrupted, and goes on
            chosen, stamp = rest, key
        tables = self._shadows.tables
        ways = [
            WayBack(self._store, version, written, own, self._page_size, tables, self._late)
            for version in reversed(chosen)  # what was done last is undone first
        ]
        changes = [way.changes for way in ways]
        if written == "refuse":
            require_nothing_written(changes)
        require_no_others(self._store)
        self._history.announce_rollback(going if rest else chosen, stamp)
        carried = go_back(ways, stamp, self._lock.require, lambda: bool(self._history.begun_rollback()[1]))
        displaced = self.path / _name_of(self._store.backup_of(chosen[0].own, stamp))
        if not self._history.begun_rollback()[1]:
            self._history.settle()
        counted = tuple(filter(None, (changed.counted() for changed in reversed(changes))))
        return Rollback(", ".join(map(_name_of, chosen)), displaced, counted, carried)

    def clean(self, names: Sequence[str] | None) -> list[Backup]:
        """See `Migrator.clean`. A Chroma server's disk keeps the index folders of what is deleted."""
        with self._locked():
            versions = {_name_of(version): version for version in self._shadows.backups()}
            chosen = choose_backups([self._described(version) for version in versions.values()], names, self.path)
            require_no_others(self._store)
            self._late.require_none([versions[backup.name] for backup in chosen])
            for backup in chosen:
                self._lock.require()
                self._store.delete(versions[backup.name].address)
        return chosen

    def _cut_over(self, planned: PlannedCollection, built: Shadow, stamp: str, backup: bool) -> MigrationResult:
        job, target = built.job, built.target
        snapshot = self._shadows.keep_up(built)
        settling = Settling(self._shadows, built, snapshot)
        self._lock.require()
        require_no_others(self._store)
        with self._late.noted(planned.address, stamp, snapshot, built.request):
            moved = self._store.exchange(target, job.source, stamp, function=built.request.function, settle=settling)
            old = self._store.backup_of(planned.address, stamp)
            new = self._store.collection(planned.address)
            late = self._late.carry(old, new, job, snapshot, built.comparison)
        if not backup:
            self._history.settle()  # as long as the backup tells it
            self._store.delete(old.address)
        return MigrationResult(
            collection_name=planned.name,
            tenant=planned.tenant,
            database=planned.database,
            n_migrated=new.count(),
            previous_dim=planned.current_dim,
            current_dim=planned.target_dim,
            backup_path=self.path / _name_of(old) if backup else None,
            verification=built.comparison.updated(built.checked) if built.checked else None,
            seconds=time.monotonic() - built.started,
            handles_moved=moved,
            written_late=late,
            scores=built.scores,
            vector=planned.vector,
            part=planned.part,
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the database. Finishes or undoes an interrupted exchange first."""
        with self._lock.held():
            found = [self._store.recover(), self._late.recover()]
            if recovered := "; ".join(filter(None, found)):
                logger.warning("%s: %s", self.path, recovered)
                self.recovered = recovered
            yield

    def _free_stamp(self) -> str:
        return next_timestamp(version.key for version in self._shadows.backups())


def _name_of(version: Version) -> str:
    """The name of a backup in lists and on the command line."""
    return str(version.address)
