"""Migration through an open client: a shadow collection in the same database, kept up, verified, renamed into place.

The names are the journal. Beside a collection NAME there can be

    NAME.lightmigrate-new-KEY     a shadow that is being built; KEY stands for what was asked
    NAME.lightmigrate-ready-KEY   a whole collection that is about to become NAME
    NAME.lightmigrate-old-STAMP   a backup

A collection becomes NAME in three renames: to `ready`, NAME away to `old`, `ready` to NAME. Each is one transaction of
the database, so that whoever finds a `ready` one after a crash knows what to do: finish when NAME is gone, undo when
it is still there.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import (
    AnotherRunError,
    BackupError,
    CollectionNotFoundError,
    DatabaseChangedError,
    DatabaseError,
    FailedError,
    LightmigrateError,
    NothingToMigrateError,
)
from lightmigrate.files import try_lock, user_folder, wait_for
from lightmigrate.migration.backup import Backup, choose_backups
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.digest import Digest, digest_of, settings_sha256
from lightmigrate.migration.fitting import require_fitting
from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.live.names import Kind, Names
from lightmigrate.migration.live.shadow import PASSES, Shadow, Shadows
from lightmigrate.migration.live.synchronise import synchronise
from lightmigrate.migration.moment import is_moment, next_moment
from lightmigrate.migration.plan import Plan, PlannedCollection, check_job, require_passed
from lightmigrate.migration.progress import OnProgress, logger
from lightmigrate.migration.request import Asked, Request
from lightmigrate.migration.results import Check, MigrationResult, Rollback
from lightmigrate.migration.written import OnWritten, require_nothing_written
from lightmigrate.projection.vectors import meaningful
from lightmigrate.stores.base import Collection, CollectionFacts


class LiveMigration:
    """What `ChromaMigrator` does with an open client."""

    def __init__(self, client: Any, page_size: int, on_progress: OnProgress) -> None:
        from lightmigrate.stores.chroma_live import LiveChromaStore

        self._store = LiveChromaStore(client)
        self._page_size = page_size
        self._shadows = Shadows(self._store, page_size, on_progress)
        self.path = Path(str(self._store))
        what = f"{self.path}\0{self._store.address('')}"
        self._lock = user_folder() / "locks" / hashlib.sha256(what.encode()).hexdigest()[:16]
        self.recovered: str | None = None
        with contextlib.suppress(AnotherRunError), self._alone():
            pass  # whoever holds it is in the middle of what would be mended here

    def catalog(self) -> list[CollectionFacts]:
        """The collections of the client's database, without shadows and backups. Only reads."""
        return [facts for facts in self._store.catalog() if Names.parse(facts.name).kind is Kind.OWN]

    def plan(self, requests: Sequence[Request]) -> Plan:
        """See `ChromaMigrator.plan`. Room on a server's disk cannot be seen from here: 0 bytes needed, 0 free."""
        by_address = {facts.address: facts for facts in self.catalog()}
        planned = []
        for request in requests:
            if request.address not in by_address:
                known = ", ".join(map(str, by_address)) or "none at all"
                raise CollectionNotFoundError(f"no collection {request.address} in {self.path}; there are: {known}")
            planned.append(check_job(by_address[request.address], request.projection))
        asked = {request.address for request in requests}
        untouched = tuple(str(address) for address in by_address if address not in asked)
        return Plan(self.path, tuple(planned), untouched, needed_bytes=0, free_bytes=0)

    @property
    def interrupted(self) -> bool:
        """See `ChromaMigrator.interrupted`."""
        return bool(self._shadows.named(Kind.NEW))

    @property
    def interrupted_functions(self) -> list[Mapping[str, Any] | None]:
        """A server keeps none of what was asked."""
        return [None for _ in self._shadows.named(Kind.NEW)]

    @property
    def place(self) -> Path:
        """See `ChromaMigrator.place`."""
        return self.path if self.path.is_dir() else user_folder() / "servers" / self._lock.name

    def migrate(
        self,
        asked: Asked,
        auto_backup: bool,
        verify: bool,
        invalid_vectors: InvalidVectors,
        force: bool,
        index: Route,
        beside: Callable[[Path], None] | None = None,
    ) -> list[MigrationResult]:
        """Build, keep up, verify, rename. See `ChromaMigrator.migrate_collections`."""
        with self._alone():
            requests = asked(self._store) if callable(asked) else asked
            return self._migrate(requests, auto_backup, verify, invalid_vectors, force, beside) if requests else []

    def wait(self) -> None:
        """See `ChromaMigrator.wait`."""
        wait_for(self._lock)

    def _migrate(
        self,
        requests: Sequence[Request],
        auto_backup: bool,
        verify: bool,
        invalid_vectors: InvalidVectors,
        force: bool,
        beside: Callable[[Path], None] | None = None,
    ) -> list[MigrationResult]:
        plan = self.plan(requests)
        if not force:
            require_passed(plan)
            for request in requests:
                sample = sample_of(self._shadows.open(request.address.name))
                require_fitting(request.address, sample.vectors, request.projection)
        try:
            built = [self._shadows.build(request, verify, invalid_vectors) for request in requests]
            if beside is not None:
                self.place.mkdir(parents=True, exist_ok=True)
                beside(self.place)
            stamp = self._free_stamp()
            return [
                self._cut_over(planned, one, stamp, auto_backup)
                for planned, one in zip(plan.collections, built, strict=True)
            ]
        except LightmigrateError:
            raise
        except Exception as error:
            raise FailedError(
                f"{type(error).__name__}: {' '.join(str(error).split())}; every collection is whole, old or new: run "
                "the same migration again, it goes on where it stopped"
            ) from error

    def resume(self, auto_backup: bool, verify: bool, force: bool, index: Route) -> list[MigrationResult]:
        """A server keeps no projections: only who has them can go on."""
        raise NothingToMigrateError(
            f"{self.path}: run the same migration again, it goes on where it stopped; undo throws away what it built"
        )

    def undo(self) -> bool:
        """See `ChromaMigrator.undo`."""
        with self._alone():
            shadows = self._shadows.named(Kind.NEW)
            for names in shadows:
                self._shadows.open(names.name).delete()
        return bool(shadows)

    def verify(self) -> list[Check]:
        """Compare every migrated collection with its newest backup. See `ChromaMigrator.verify`."""
        found = []
        for own, backup in self._newest_backups().items():
            live, old = self._shadows.open(own), self._shadows.open(backup)
            invalid, digest, dimensions = 0, Digest(), set()
            for page in live.pages(self._page_size):
                digest.add(page)
                invalid += int((~meaningful(page.vectors)).sum())
                dimensions.add(page.vectors.shape[1])
            found.append(
                Check(
                    collection_name=own,
                    records=live.count(),
                    records_migrated=old.count(),
                    contents_equal=digest.content == digest_of(old, self._page_size).content,
                    vectors_equal=invalid == 0 and len(dimensions) <= 1,
                    settings_equal=settings_sha256(live) == settings_sha256(old),
                    invalid_vectors=invalid,
                )
            )
        if not found:
            raise DatabaseError(f"{self.path} holds no migration to compare with; run  lightmigrate migrate")
        return found

    def backups(self) -> list[Backup]:
        """See `ChromaMigrator.backups`. Each is a collection."""
        return [Backup(names.name, self.path / names.name, None, None) for names in self._shadows.named(Kind.OLD)]

    def rollback(self, backup: str | None, written: OnWritten) -> Rollback:
        """Rename the old collections back. See `ChromaMigrator.rollback`."""
        with self._alone():
            return self._rollback(backup, written)

    def _rollback(self, backup: str | None, written: OnWritten) -> Rollback:
        known = [names for names in self._shadows.named(Kind.OLD) if backup in (None, names.name)]
        if not known:
            there = ", ".join(one.name for one in self.backups()) or "none"
            raise BackupError(f"{self.path} has no backup {backup or ''}; there are: {there}")
        chosen = [names for names in known if names.key == known[-1].key]
        changes = [self._shadows.changes(names) for names in chosen]
        changes = [one for one in changes if one.added or one.changed or one.deleted]
        if written == "refuse":
            require_nothing_written(changes)
        by_name = {one.address.name: one for one in changes}
        stamp, carried = self._free_stamp(), False
        for names in chosen:
            incoming = self._shadows.open(names.name)
            if written == "carry" and names.own in by_name:
                incoming, carried = self._shadows.carried(incoming, by_name[names.own]), True
            self._put_in_place(incoming, names.own, stamp)
            displaced_one = self._shadows.open(Names(names.own, Kind.OLD, stamp).name)
            self._store.move_handles(displaced_one, self._shadows.open(names.own), None)
        displaced = self.path / Names(chosen[0].own, Kind.OLD, stamp).name
        counted = tuple(one.counted() for one in changes)
        return Rollback(", ".join(names.name for names in chosen), displaced, counted, carried)

    def clean(self, names: Sequence[str] | None) -> list[Backup]:
        """See `ChromaMigrator.clean`. The server's disk keeps the index folders of what is deleted."""
        chosen = choose_backups(self.backups(), names, self.path)
        for one in chosen:
            self._shadows.open(one.name).delete()
        return chosen

    def _cut_over(self, planned: PlannedCollection, built: Shadow, stamp: str, backup: bool) -> MigrationResult:
        job, target = built.job, built.target
        snapshot = self._shadows.keep_up(built)
        self._put_in_place(target, planned.name, stamp, job.source)
        old, new = self._store.collection(job.source.address), self._store.collection(planned.address)
        moved = self._store.move_handles(old, new, built.function)
        late = 0
        for _ in range(PASSES):
            changed, snapshot = synchronise(
                replace(job, source=old), new, self._page_size, lambda _: None, snapshot, built.comparison
            )
            late += changed
            if not changed:
                break
        if late:
            logger.warning(
                "%s: %d records of the old collection were written to after they had been read and were carried over; "
                "clients that opened it before must open it again", planned.name, late,
            )  # fmt: skip
        if not backup:
            old.delete()
        return MigrationResult(
            collection_name=planned.name,
            tenant=planned.tenant,
            database=planned.database,
            n_migrated=new.count(),
            previous_dim=planned.current_dim,
            current_dim=planned.target_dim,
            backup_path=self.path / old.address.name if backup else None,
            verification=built.comparison.updated(built.checked) if built.checked else None,
            seconds=time.monotonic() - built.started,
            handles_moved=moved,
            written_late=late,
        )

    def _put_in_place(self, incoming: Collection, own: str, stamp: str, source: Any = None) -> None:
        """Three renames; `_recover` knows what to do after any of them."""
        live = self._shadows.open(own)
        if source is not None and live.handle.id != source.handle.id:
            raise DatabaseChangedError(f"collection {own} was replaced by somebody else meanwhile; nothing was changed")
        incoming.rename(Names(own, Kind.READY, Names.parse(incoming.address.name).key).name)
        (source or live).rename(Names(own, Kind.OLD, stamp).name)
        incoming.rename(own)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One migrator of this machine at a time for each database; a crash lets go of it."""
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = try_lock(self._lock)
        if lock is None:
            raise AnotherRunError(f"another lightmigrate is working on {self.path}; wait until it has ended")
        with lock:
            self.recovered = self._recover() or self.recovered
            yield

    def _recover(self) -> str | None:
        """Finish or undo what a crash interrupted."""
        said = None
        there = set(self._store.names())
        for names in self._shadows.named(Kind.READY):
            if names.own in there:
                back = Kind.OLD if is_moment(names.key) else Kind.NEW
                self._shadows.open(names.name).rename(Names(names.own, back, names.key).name)
                said = "an interrupted exchange was undone: the old collection is in place"
            else:
                self._shadows.open(names.name).rename(names.own)
                said = "an interrupted exchange was finished: the new collection is in place"
            logger.warning("%s: %s", names.own, said)
        return said

    def _newest_backups(self) -> dict[str, str]:
        return {names.own: names.name for names in self._shadows.named(Kind.OLD)}

    def _free_stamp(self) -> str:
        return next_moment(names.key for names in self._shadows.named(Kind.OLD))
