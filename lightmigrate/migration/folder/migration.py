"""Migration of a closed Chroma folder: the new database is built aside and takes the old one's place in one step."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError, FailedError, LightmigrateError, NothingToMigrateError
from lightmigrate.files import copy_tree, give_rights_of, sync_tree, tree_bytes
from lightmigrate.migration.backup import Backup, backups_of, choose_backups, find_backup, new_backup_path
from lightmigrate.migration.check import check_collection
from lightmigrate.migration.folder import build, cutover
from lightmigrate.migration.folder.record import Record
from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.folder.signing import sign_copy, sign_new
from lightmigrate.migration.folder.workspace import Intention, Workspace
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.plan import Plan, make_plan, require_passed, require_room, require_room_for
from lightmigrate.migration.progress import OnProgress, logger
from lightmigrate.migration.request import Asked, Request, keep, restore
from lightmigrate.migration.results import Check, MigrationResult, Rollback
from lightmigrate.migration.written import OnWritten, carry_over, changes_since, require_nothing_written
from lightmigrate.stores.base import CollectionFacts, Store
from lightmigrate.stores.chroma_folder import (
    DATABASE_FILE,
    fingerprint,
    read_catalog,
    require_chroma_folder,
    require_unused,
)
from lightmigrate.stores.chroma_indexes import rename_indexes


class FolderMigration:
    """What `ChromaMigrator` does with a folder. The old folder, whole, is the backup."""

    def __init__(self, path: Path, page_size: int, on_progress: OnProgress) -> None:
        self.path = path
        self._page_size = page_size
        self._on_progress = on_progress
        self._workspace = Workspace(path)
        self.recovered: str | None = None
        if self._workspace.folder.exists():
            with self._workspace.locked():
                self.recovered = cutover.recover(self._workspace)
        require_chroma_folder(path)

    @property
    def place(self) -> Path:
        """See `ChromaMigrator.place`."""
        return self.path

    def catalog(self) -> list[CollectionFacts]:
        """All collections of all tenants and databases. Only reads."""
        return read_catalog(self.path)

    def plan(self, requests: Sequence[Request]) -> Plan:
        """See `ChromaMigrator.plan`."""
        location = self._workspace.location
        made = make_plan(location, self.catalog(), {r.address: r.projection for r in requests})
        return made.timed(location, [r.projection for r in requests])

    @property
    def interrupted(self) -> bool:
        """See `ChromaMigrator.interrupted`."""
        return self._workspace.resumable

    @property
    def interrupted_functions(self) -> list[Mapping[str, Any] | None]:
        """See `ChromaMigrator.interrupted_functions`."""
        intention = self._workspace.read_journal()
        asked = intention.asked if intention is not None else None
        return [one["embedding_function"] for one in asked["collections"]] if asked else []

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
        """Build, verify, exchange. See `ChromaMigrator.migrate_collections`."""
        started = time.monotonic()
        with self._exclusive():
            requests = self._decided(asked) if callable(asked) else asked
            if not requests:
                return []
            catalog = self.catalog()
            plan = make_plan(self._workspace.location, catalog, {r.address: r.projection for r in requests})
            if not force:
                require_passed(plan)
            outgoing = new_backup_path(self._workspace.location) if auto_backup else self._workspace.trash / "old"
            if not auto_backup:
                logger.warning("%s: no backup is kept, so there will be no rollback", self.path)
            workspace = self._workspace
            options = build.Options(self._page_size, verify, invalid_vectors, not force, index, self._on_progress)

            def builder(run: str) -> build.Build:
                folders = workspace.staging, workspace.drafts, workspace.scratch
                return build.Build(*folders, _open_chroma, run, requests, options)

            intention = self._begin(plan, requests, invalid_vectors, lambda run: builder(run).can_go_on())
            no_return = replace(intention, copied=None)
            results = builder(intention.run).run(catalog, lambda: workspace.write_journal(no_return))
            verified = [(request, built.verification) for request, built in zip(requests, results, strict=True)]
            sign_new(workspace.staging, self.path, verified, outgoing if auto_backup else None)
            if beside is not None:
                beside(workspace.staging)
            give_rights_of(self.path, self.path / DATABASE_FILE, workspace.staging)
            sync_tree(workspace.staging)
            self._cut_over(intention.run, workspace.staging, outgoing, _marks(intention.copied))
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
                verification=built.verification,
                seconds=seconds,
                index=built.route,
            )
            for planned, built in zip(plan.collections, results, strict=True)
        ]

    def _begin(
        self,
        plan: Plan,
        requests: Sequence[Request],
        invalid_vectors: InvalidVectors,
        can_go_on: Callable[[str], bool],
    ) -> Intention:
        """The journal and the copy: those of an interrupted run that was asked the same, or new ones."""
        workspace = self._workspace
        asked_again = workspace.folder / "request.again"
        shutil.rmtree(asked_again, ignore_errors=True)
        asked = keep(asked_again, requests, invalid_vectors)
        earlier = workspace.read_journal()
        if (
            earlier is not None
            and workspace.has_copy(earlier)
            and earlier.asked in (None, asked)
            and _marks(earlier.copied) == fingerprint(self.path, workspace.location.belongs)
            and can_go_on(earlier.run)
        ):
            if earlier.asked is None:  # what was decided by looking into that copy
                require_room(plan, tree_bytes(workspace.staging))
                asked_again.rename(workspace.request)
                workspace.write_journal(replace(earlier, asked=asked))
            else:
                shutil.rmtree(asked_again)
                logger.info("%s: an interrupted migration goes on", self.path)
            return replace(earlier, asked=asked)
        if earlier is not None:
            logger.warning("%s: another migration was interrupted here; what it had built is thrown away", self.path)
        workspace.close_journal()
        workspace.clear()
        require_room(plan)
        asked_again.rename(workspace.request)
        return self._copy(Intention(secrets.token_hex(8), False, workspace.relative(workspace.staging), "", asked))

    def _decided(self, decide: Callable[[Store], Sequence[Request]]) -> Sequence[Request]:
        """What is decided by looking into a copy, which is then there to be built on."""
        workspace = self._workspace
        workspace.close_journal()
        workspace.clear()
        require_room_for(tree_bytes(self.path, workspace.location.belongs), workspace.location)
        self._copy(Intention(secrets.token_hex(8), False, workspace.relative(workspace.staging), ""))
        with _open_chroma(workspace.staging) as store:
            requests = decide(store)
        if not requests:
            workspace.close_journal()
            workspace.clear()
        return requests

    def _copy(self, intention: Intention) -> Intention:
        """Copy the database; what comes back says what it looked like, and is on the disk."""
        self._workspace.write_journal(intention)
        copied = build.copy_database(self._workspace.location, self._workspace.staging, self._on_progress)
        intention = replace(intention, copied=copied)
        self._workspace.write_journal(intention)
        return intention

    def wait(self) -> None:
        """See `ChromaMigrator.wait`."""
        self._workspace.wait()

    def resume(self, auto_backup: bool, verify: bool, force: bool, index: Route) -> list[MigrationResult]:
        """See `ChromaMigrator.resume`."""
        intention = self._workspace.read_journal()
        if intention is None or intention.asked is None or not self.interrupted:
            raise NothingToMigrateError(f"{self.path}: no migration was interrupted, there is nothing to resume")
        requests = restore(self._workspace.request, intention.asked)
        return self.migrate(requests, auto_backup, verify, intention.asked["invalid_vectors"], force, index)

    def undo(self) -> bool:
        """See `ChromaMigrator.undo`."""
        with self._exclusive(unused=False):
            found = self._workspace.has_leftovers()
            self._workspace.close_journal()
            self._workspace.clear()
        return found

    def verify(self) -> list[Check]:
        """See `ChromaMigrator.verify`."""
        record = Record.read(self.path)
        if record is None or not record.collections:
            raise DatabaseError(f"{self.path} holds no verified migration to compare with; run  lightmigrate migrate")
        with self._exclusive(), _open_chroma(self.path) as store:
            return [check_collection(store, entry, self._page_size) for entry in record.collections]

    def backups(self) -> list[Backup]:
        """See `ChromaMigrator.backups`."""
        return backups_of(self._workspace.location)

    def rollback(self, backup: str | None, written: OnWritten) -> Rollback:
        """See `ChromaMigrator.rollback`."""
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
                sign_copy(incoming, self.path, chosen.name)
                if location.inside:
                    rename_indexes(incoming)
                give_rights_of(self.path, self.path / DATABASE_FILE, incoming)
                sync_tree(incoming)
            displaced, seen = self._name_for_displaced(incoming), fingerprint(self.path, location.belongs)
            self._cut_over(run, incoming, displaced, seen)
        counted = tuple(one.counted() for one in changes)
        return Rollback(chosen.name, displaced, counted, carried=incoming != chosen.path)

    def clean(self, names: Sequence[str] | None) -> list[Backup]:
        """See `ChromaMigrator.clean`."""
        with self._exclusive(unused=False):
            chosen = choose_backups(self.backups(), names, self.path)
            for one in chosen:
                cutover.discard(self._workspace, one.path)
        return chosen

    def _name_for_displaced(self, incoming: Path) -> Path:
        """A free name by which the database that is replaced will be known as a backup of this one."""
        location = self._workspace.location
        if Record.read(self.path) is None:  # it cannot say whose it is, so that the other one's record must name it
            record = Record.read(incoming)
            for name in record.backups if record else ():
                if not (location.home / name).exists():
                    return location.home / name
        return new_backup_path(location)

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
