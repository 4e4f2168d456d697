"""`ChromaMigrator`: the safe move of a Chroma folder, as one object."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import BackupError, DatabaseError, FailedError, LightmigrateError, NothingToMigrateError
from lightmigrate.files import copy_tree, sync_tree, tree_bytes
from lightmigrate.migration import build, cutover
from lightmigrate.migration.backup import Backup, backups_of, find_backup, new_backup_path
from lightmigrate.migration.check import check_collection
from lightmigrate.migration.doctor import mismatches_in
from lightmigrate.migration.plan import Plan, make_plan, require_passed, require_room, require_room_for
from lightmigrate.migration.progress import LogProgress, OnProgress, logger
from lightmigrate.migration.rebuild import InvalidVectors
from lightmigrate.migration.record import Record
from lightmigrate.migration.request import Request, keep, restore
from lightmigrate.migration.results import Check, MigrationResult, Mismatch, Rollback
from lightmigrate.migration.workspace import Intention, Workspace
from lightmigrate.migration.written import OnWritten, carry_over, changes_since, require_nothing_written
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, CollectionFacts
from lightmigrate.stores.chroma_folder import (
    fingerprint,
    read_catalog,
    require_chroma_folder,
    require_unused,
)
from lightmigrate.stores.chroma_indexes import rename_indexes

PAGE_SIZE = 1000


@dataclass(frozen=True)
class CollectionJob:
    """One collection to migrate and how.

    Attributes:
        collection_name: its name.
        projection: a `Projection`, or the path of one.
        embedding_function: the new model's Chroma embedding function (or `{"name", "config"}`), recorded
            on the collection; `None` keeps what is recorded now.
        tenant: of the collection.
        database: of the collection.
    """

    collection_name: str
    projection: Projection | str | Path
    embedding_function: Any = None
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database)

    @property
    def file(self) -> Path | None:
        """Where the projection is read from, if it is."""
        return None if isinstance(self.projection, Projection) else Path(self.projection)

    def load(self) -> Projection:
        """The projection, read from its file when it is a path."""
        return self.projection if isinstance(self.projection, Projection) else Projection.load(self.projection)


class ChromaMigrator:
    """Migrates collections of an embedded Chroma folder to another embedding model.

    The new database is built in a sibling folder, verified there, and exchanged with the old one in one
    step; the old folder is the backup. Until that step nothing is written to the database.

    Creating one finishes or undoes a run that a crash interrupted, and otherwise only reads.
    """

    def __init__(self, path: str | Path, *, page_size: int = PAGE_SIZE, on_progress: OnProgress | None = None) -> None:
        """Look at a database folder.

        Args:
            path: the folder that holds `chroma.sqlite3`.
            page_size: records held in memory at once, 500 to 5,000 are sensible.
            on_progress: called after every page of a long step; by default the `lightmigrate` logger
                gets a line for every tenth.

        Raises:
            DatabaseError: no such folder, or not a Chroma folder.
        """
        self.path = Path(path).expanduser().resolve()
        self._page_size = page_size
        self._on_progress = on_progress or LogProgress()
        self._workspace = Workspace(self.path)
        self.recovered: str | None = None
        if self._workspace.folder.exists():
            with self._workspace.locked():
                self.recovered = cutover.recover(self._workspace)
        require_chroma_folder(self.path)

    def collections(self) -> list[CollectionFacts]:
        """All collections of all tenants and databases. Only reads."""
        return read_catalog(self.path)

    def check_dimensions(self, expected_dim: int) -> list[Mismatch]:
        """The collections whose vectors have another dimension than `expected_dim`. Only reads.

        Collections without a vector yet fit every model and are not listed.
        """
        return mismatches_in(self.collections(), expected_dim)

    def plan(self, jobs: Sequence[CollectionJob]) -> Plan:
        """What `migrate_collections` would do, with every check that needs no copy. Only reads.

        Raises:
            LightmigrateError: what `migrate_collections` would raise before it begins.
        """
        if not jobs:
            raise DatabaseError("no collection to migrate was named")
        projections = {job.address: job.load() for job in jobs}
        return make_plan(self._workspace.location, self.collections(), projections)

    def migrate_collection(
        self,
        collection_name: str,
        projection_path: Projection | str | Path,
        auto_backup: bool = True,
        verify: bool = True,
        *,
        embedding_function: Any = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
    ) -> MigrationResult:
        """Migrate one collection. See `migrate_collections`, which does several in one go."""
        job = CollectionJob(collection_name, projection_path, embedding_function, tenant, database)
        return self.migrate_collections([job], auto_backup, verify, invalid_vectors=invalid_vectors, force=force)[0]

    def migrate_collections(
        self,
        jobs: Sequence[CollectionJob],
        auto_backup: bool = True,
        verify: bool = True,
        *,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
    ) -> list[MigrationResult]:
        """Migrate collections: one copy, one exchange, one backup. Writes.

        Ids, documents, metadatas, uris, their order, the collection's metadata, distance function and
        index settings are kept; collections that are not named come through as they are. Chroma gives the
        new collections new internal ids.

        Args:
            jobs: the collections.
            auto_backup: keep the old folder as `chroma_backup_YYYYMMDD_HHMMSS` beside the new one. Without
                it the old folder is deleted after the exchange, and there is no rollback.
            verify: read everything back and compare it before the exchange. Without it only counts and
                dimensions are checked.
            invalid_vectors: what to do with vectors that hold NaN or infinity or are all zero.
            force: migrate even with a projection that failed the gate when it was made.

        Returns:
            One result for each job, in the same order.

        Raises:
            LightmigrateError: of the kind that says why; the database is as it was.
        """
        return self._migrate(self._requests(jobs), auto_backup, verify, invalid_vectors, force)

    @property
    def interrupted(self) -> bool:
        """Whether a migration was interrupted that `resume` can take up, or `undo` throw away."""
        return self._workspace.resumable

    def resume(self, auto_backup: bool = True, verify: bool = True, *, force: bool = False) -> list[MigrationResult]:
        """Take up an interrupted migration where it stopped. See `migrate_collections`, which does so by itself.

        Raises:
            NothingToMigrateError: none was interrupted.
            LightmigrateError: as `migrate_collections`.
        """
        intention = self._workspace.read_journal()
        if intention is None or intention.asked is None or not self.interrupted:
            raise NothingToMigrateError(f"{self.path}: no migration was interrupted, there is nothing to resume")
        requests = restore(self._workspace.request, intention.asked)
        return self._migrate(requests, auto_backup, verify, intention.asked["invalid_vectors"], force)

    def undo(self) -> bool:
        """Throw away what an interrupted migration has built; the database itself was not touched by it.

        Returns:
            Whether there was something.
        """
        with self._exclusive(unused=False):
            found = self._workspace.has_leftovers()
            self._workspace.close_journal()
            self._workspace.clear()
        return found

    def _migrate(
        self,
        requests: Sequence[Request],
        auto_backup: bool,
        verify: bool,
        invalid_vectors: InvalidVectors,
        force: bool,
    ) -> list[MigrationResult]:
        started = time.monotonic()
        with self._exclusive():
            catalog = self.collections()
            plan = make_plan(self._workspace.location, catalog, {r.address: r.projection for r in requests})
            if not force:
                require_passed(plan)
            outgoing = new_backup_path(self._workspace.location) if auto_backup else self._workspace.trash / "old"
            if not auto_backup:
                logger.warning("%s: no backup is kept, so there will be no rollback", self.path)
            intention = self._begin(plan, requests, invalid_vectors)
            results = build.build(
                self._workspace.staging,
                catalog,
                _open_chroma,
                intention.run,
                requests,
                build.Options(self._page_size, verify, invalid_vectors, self._on_progress),
                new_indexes=self._workspace.location.inside,
                no_return=lambda: self._workspace.write_journal(replace(intention, copied=None)),
            )
            build.finish(self._workspace.staging, self.path, results, outgoing if auto_backup else None)
            self._cut_over(intention.run, self._workspace.staging, outgoing, _marks(intention.copied))
        seconds = time.monotonic() - started
        return [
            MigrationResult(
                collection_name=planned.name,
                tenant=planned.tenant,
                database=planned.database,
                n_migrated=planned.count,
                previous_dim=planned.current_dim,
                current_dim=planned.target_dim,
                backup_path=outgoing if auto_backup else None,
                verification=checked,
                seconds=seconds,
            )
            for planned, (_, checked) in zip(plan.collections, results, strict=True)
        ]

    def _begin(self, plan: Plan, requests: Sequence[Request], invalid_vectors: InvalidVectors) -> Intention:
        """The journal and the copy: those of an interrupted run that was asked the same, or new ones."""
        workspace = self._workspace
        asked_again = workspace.folder / "request.again"
        shutil.rmtree(asked_again, ignore_errors=True)
        asked = keep(asked_again, requests, invalid_vectors)
        earlier = workspace.read_journal()
        if (
            earlier is not None
            and workspace.resumable
            and earlier.asked == asked
            and _marks(earlier.copied) == fingerprint(self.path, workspace.location.belongs)
        ):
            shutil.rmtree(asked_again)
            logger.info("%s: an interrupted migration goes on", self.path)
            return earlier
        if earlier is not None:
            logger.warning("%s: another migration was interrupted here; what it had built is thrown away", self.path)
        workspace.close_journal()
        workspace.clear()
        require_room(plan)
        asked_again.rename(workspace.request)
        intention = Intention(secrets.token_hex(8), False, workspace.relative(workspace.staging), "", asked)
        workspace.write_journal(intention)
        copied = build.copy_database(workspace.location, workspace.staging, self._on_progress)
        intention = replace(intention, copied=copied)
        workspace.write_journal(intention)
        return intention

    def verify(self) -> list[Check]:
        """Compare the migrated collections with what they held right after their migration.

        Opens the database with Chroma, so nobody else may have it open; changes nothing.

        Raises:
            DatabaseError: it was never migrated, or migrated with verification switched off.
            DatabaseInUseError: somebody has it open.
        """
        record = Record.read(self.path)
        if record is None or not record.collections:
            raise DatabaseError(f"{self.path} holds no verified migration to compare with; run  lightmigrate migrate")
        with self._exclusive(), _open_chroma(self.path) as store:
            return [check_collection(store, entry, self._page_size) for entry in record.collections]

    def backups(self) -> list[Backup]:
        """The backups of this database, oldest first. Only reads."""
        return backups_of(self._workspace.location)

    def rollback(self, backup: str | None = None, *, written: OnWritten = "refuse") -> Rollback:
        """Put a backup back in place, exactly, by exchange. The database it replaces becomes a backup itself.

        Args:
            backup: name of the backup; the newest by default.
            written: what to do when records were written after the migration. `discard`: they stay behind in the
                database that becomes a backup. `carry`: they come along, into a copy of the backup; their texts
                exactly, their vectors through a projection fitted to the records that both databases have.

        Raises:
            BackupError: no such backup.
            WrittenSinceError: records were written after the migration, and `written` is `refuse`.
            DatabaseInUseError: somebody has the database open.
        """
        workspace, location = self._workspace, self._workspace.location
        with self._exclusive():
            chosen = find_backup(location, backup)
            changes = changes_since(self.path, chosen.path)
            if written == "refuse":
                require_nothing_written(changes)
            incoming, run = chosen.path, secrets.token_hex(8)
            if changes and written == "carry":
                require_room_for(tree_bytes(chosen.path), location)
                incoming = workspace.staging
                workspace.write_journal(Intention(run, False, workspace.relative(incoming), ""))
                copy_tree(chosen.path, incoming, lambda size: None)
                carry_over(self.path, incoming, _open_chroma, changes, self._page_size, seed=0)
                if location.inside:
                    rename_indexes(incoming)
                sync_tree(incoming)
            displaced, seen = new_backup_path(location), fingerprint(self.path, location.belongs)
            self._cut_over(run, incoming, displaced, seen)
        counted = tuple(one.counted() for one in changes)
        return Rollback(chosen.name, displaced, counted, carried=incoming != chosen.path)

    def clean(self, names: Sequence[str] | None = None) -> list[Backup]:
        """Delete backups for good. There is no rollback to them afterwards.

        Args:
            names: of the backups; all of them by default.

        Returns:
            What was deleted.

        Raises:
            BackupError: a name that is none of this database's backups; then nothing is deleted.
        """
        with self._exclusive(unused=False):
            known = {backup.name: backup for backup in self.backups()}
            for name in names or ():
                if name not in known:
                    raise BackupError(f"{self.path} has no backup {name}; there are: {', '.join(known) or 'none'}")
            chosen = [known[name] for name in (known if names is None else names)]
            for one in chosen:
                cutover.discard(self._workspace, one.path)
        return chosen

    def _requests(self, jobs: Sequence[CollectionJob]) -> list[Request]:
        if not jobs:
            raise DatabaseError("no collection to migrate was named")
        if len({job.address for job in jobs}) < len(jobs):
            raise DatabaseError(
                f"{len(jobs)} jobs name {len({job.address for job in jobs})} collections: name each once"
            )
        return [Request(job.address, job.load(), _function_record(job.embedding_function), job.file) for job in jobs]

    @contextlib.contextmanager
    def _exclusive(self, *, unused: bool = True) -> Iterator[None]:
        """Hold the lock; runs that were interrupted, before or inside this block, are finished or undone.

        Raises:
            LocationError: the folder stands where it cannot be exchanged.
            DatabaseInUseError: another lightmigrate works on it, or somebody has it open (if `unused`).
            FailedError: the disk or Chroma failed inside the block; it says in what state the database is.
        """
        self._workspace.location.require_exchangeable()
        with self._workspace.locked():
            self.recovered = cutover.recover(self._workspace) or self.recovered
            if unused:
                require_unused(self.path)
            try:
                yield
            except LightmigrateError:
                self._workspace.forget_build()
                cutover.recover(self._workspace)
                raise
            except Exception as error:
                raise FailedError(f"{type(error).__name__}: {error}; {self._state_after_failure()}") from error
            except BaseException:  # Ctrl-C: what was built can be gone on with, an exchange must be ended
                self._state_after_failure()
                raise

    def _state_after_failure(self) -> str:
        said = cutover.recover(self._workspace) or "nothing was changed"
        if self.interrupted:
            free = shutil.disk_usage(self._workspace.location.home).free
            said += f" (lightmigrate resume, or resume --undo); {free / 2**20:,.0f} MiB are free"
        return said

    def _cut_over(self, run: str, incoming: Path, outgoing: Path, seen: Mapping[str, tuple[int, int]]) -> None:
        require_unused(self.path)
        outgoing.parent.mkdir(exist_ok=True)
        cutover.cut_over(self._workspace, run, incoming, outgoing, lambda folder: fingerprint(folder) == seen)


def _marks(copied: Mapping[str, Any] | None) -> dict[str, tuple[int, int]]:
    """A fingerprint as it was before it went through the journal."""
    return {name: (size, time) for name, (size, time) in (copied or {}).items()}


def _open_chroma(folder: Path) -> Any:
    from lightmigrate.stores.chroma import ChromaStore

    return ChromaStore(folder)


def _function_record(embedding_function: Any) -> Mapping[str, Any] | None:
    from lightmigrate.stores.chroma import describe_function

    return None if embedding_function is None else describe_function(embedding_function)
