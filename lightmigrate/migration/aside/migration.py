"""Migration of a database that is files: the new one is built aside and takes the old one's place in one step."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import FailedError, LightmigrateError, NothingToMigrateError
from lightmigrate.files import sync_tree, tree_bytes
from lightmigrate.migration.aside import build, cutover
from lightmigrate.migration.aside.backup import backups_of, deletable, find_backup, name_for_displaced, new_backup_path
from lightmigrate.migration.aside.belonging import own_names
from lightmigrate.migration.aside.changes import changes_by_others, require_state, written_state
from lightmigrate.migration.aside.history import history_of, keep_of_backups, note_migrations
from lightmigrate.migration.aside.put_aside import forget_put_aside
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.rights import keep_rights
from lightmigrate.migration.aside.room import plan_at, require_room, require_room_for, with_seconds
from lightmigrate.migration.aside.way_back import carry_into_copy, note_what_is_left
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.migration.aside.write_record import sign_new
from lightmigrate.migration.changes import OnWritten, OwnVectors, require_nothing_written
from lightmigrate.migration.distance import keeps_vectors
from lightmigrate.migration.embed_again import require_readable
from lightmigrate.migration.history import HistoryEntry
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.options import Verify
from lightmigrate.migration.plan import Plan, require_passed
from lightmigrate.migration.request import Request, RequestSource, read_requests, write_requests
from lightmigrate.migration.results import Backup, MigrationResult, Rollback
from lightmigrate.progress import OnProgress, logger, together
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.stored import keep_scores
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store
from lightmigrate.stores.files import FileDatabase, IndexRoute, fingerprint, require_unused, warn_if_unknown
from lightmigrate.system import delete_folder, rename


class AsideMigration:
    """The operations of `Migrator` on a database that is files. The complete old folder is the backup.

    Constructing one only reads; the methods that write finish or undo an interrupted run first.

    Raises:
        DatabaseError: there is no database in the folder.
    """

    def __init__(self, files: FileDatabase, page_size: int, on_progress: OnProgress) -> None:
        self.files = files
        self.path = files.folder
        self._page_size = page_size
        self._on_progress = on_progress
        self._workspace = Workspace(files)
        self.recovered: str | None = None
        if not self._workspace.exchange_interrupted():  # then the folder may be missing for the moment
            files.require()

    @property
    def place(self) -> Path:
        """See `Migrator.place`."""
        return self.path

    @property
    def unfinished(self) -> str | None:
        """What an interrupted run left, and the command that ends it; `None` when there is nothing. Only reads."""
        workspace = self._workspace
        if workspace.busy():
            return None
        if workspace.exchange_interrupted():
            return "an exchange was interrupted:  lightmigrate resume DATABASE  finishes or undoes it"
        if workspace.resumable:
            return "a migration was interrupted:  lightmigrate resume DATABASE  goes on, or discards it with --undo"
        if workspace.has_leftovers():
            return (
                "a migration was interrupted, and the same command begins it again without paying for anything twice:  "
                "lightmigrate resume DATABASE --undo  removes what it left"
            )
        return None

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes only when there is something to do.

        Returns:
            What was interrupted and how it ended, in a sentence; `None` when there was nothing to do.

        Raises:
            AnotherRunError: another lightmigrate process holds the database.
        """
        if self._workspace.folder.exists():
            with self._workspace.locked():
                self.recovered = cutover.recover(self._workspace) or self.recovered
        self.files.require()
        return self.recovered

    def describe_model(self, embedding_function: object) -> Mapping[str, Any] | None:
        """What the store records of an embedding function; see `Store.describe_model`."""
        return self.files.describe_model(embedding_function)

    def catalog(self) -> list[CollectionFacts]:
        """All collections of all tenants and databases. Only reads."""
        return self.files.catalog()

    def ids(self, address: Address) -> Iterator[str]:
        """The ids of all records of a collection, read while they are passed over. Only reads.

        Somebody may have the database open.
        """
        return (record for record, _ in self.files.writes(address))

    def plan(self, requests: Sequence[Request]) -> Plan:
        """See `Migrator.plan`."""
        location = self._workspace.location
        return with_seconds(plan_at(location, self.catalog(), requests), location, [r.projection for r in requests])

    @property
    def interrupted(self) -> bool:
        """See `Migrator.interrupted`."""
        return self._workspace.resumable

    @property
    def interrupted_functions(self) -> list[Mapping[str, Any] | None]:
        """See `Migrator.interrupted_functions`."""
        return [collection["model"] for collection in self._interrupted_collections()]

    @property
    def interrupted_distances(self) -> list[str | None]:
        """See `Migrator.interrupted_distances`."""
        return [collection.get("distance") for collection in self._interrupted_collections()]

    def _interrupted_collections(self) -> Sequence[Mapping[str, Any]]:
        """What the journal says of the collections of an interrupted migration."""
        intention = self._workspace.read_journal()
        description = intention.description if intention is not None else None
        return description["collections"] if description else []

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
        """Build, verify, exchange. See `Migrator.migrate`."""
        started = time.monotonic()
        with self._exclusive():
            requests = self._requests_from_copy(source) if callable(source) else source
            if not requests:
                return []
            catalog = self.catalog()
            plan = plan_at(self._workspace.location, catalog, requests)
            if not force:
                require_passed(plan)
            damaged = self.files.damaged()
            require_readable(requests, damaged, shlex.quote(str(self.path)))
            outgoing = new_backup_path(self._workspace.location) if auto_backup else self._workspace.trash / "old"
            if not auto_backup and not all(keeps_vectors(request.projection) for request in requests):
                logger.warning("%s: no backup is kept, so there will be no rollback", self.path)
            workspace, copy = self._workspace, self.files.at(self._workspace.staging)
            records = sum(planned.count for planned in plan.collections)
            on_progress = together(self._on_progress, records, len(plan.collections))
            options = build.Options(
                self._page_size, verify, invalid_vectors, not force, index, on_progress, frozenset(damaged)
            )

            def builder(run: str) -> build.Build:
                return build.Build(copy, workspace.drafts, workspace.scratch, run, requests, options)

            intention = self._begin(plan, requests, invalid_vectors, lambda run: builder(run).can_resume())
            not_resumable = replace(intention, copied=None)
            results = builder(intention.run).run(catalog, lambda: workspace.write_journal(not_resumable))
            copy.put_back(workspace.unreadable)
            verified = [(request, built.verification) for request, built in zip(requests, results, strict=True)]
            backups = (*own_names(workspace.location), *([outgoing.name] if auto_backup else []))
            sign_new(copy, self.files, verified, backups)
            counts = [planned.count for planned in plan.collections]
            note_migrations(workspace.location, copy.folder, requests, counts, outgoing if auto_backup else None)
            self._keep_scores(copy, [built.scores for built in results])
            if beside is not None:
                beside(workspace.staging)
            keep_rights(workspace.location, workspace.staging)
            sync_tree(workspace.staging)
            self._cut_over(intention.run, workspace.staging, outgoing, intention.copied or {})
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
                lost_vectors=built.lost,
                scores=built.scores,
                vector=planned.vector,
                part=planned.part,
            )
            for planned, built in zip(plan.collections, results, strict=True)
        ]

    def _keep_scores(self, copy: FileDatabase, measured: Sequence[ScoreShift | None]) -> None:
        """Keep how distances moved in the new database. Writes to the copy."""
        ids = {facts.address: facts.id for facts in copy.catalog()}
        shifts = {ids[moved.address]: moved for moved in measured if moved is not None}
        keep_scores(copy.folder, shifts, set(ids.values()))

    def _begin(
        self,
        plan: Plan,
        requests: Sequence[Request],
        invalid_vectors: InvalidVectors,
        can_resume: Callable[[str], bool],
    ) -> Intention:
        """Take over the journal and the copy of an interrupted run with the same requests, or make new ones."""
        workspace = self._workspace
        folder = workspace.folder / "request.again"
        shutil.rmtree(folder, ignore_errors=True)
        description = write_requests(folder, requests, invalid_vectors)
        earlier = workspace.read_journal()
        if (
            earlier is not None
            and workspace.has_copy(earlier)
            and earlier.description in (None, description)
            and earlier.copied == fingerprint(self.path, workspace.location.belongs)
            and can_resume(earlier.run)
        ):
            if earlier.description is None:  # the requests were made from this copy
                require_room(plan, workspace.location, tree_bytes(workspace.staging))
                rename(folder, workspace.request)
                workspace.write_journal(replace(earlier, description=description))
            else:
                delete_folder(folder)
                logger.info("%s: resuming the interrupted migration", self.path)
            return replace(earlier, description=description)
        if earlier is not None:
            logger.warning("%s: deleted the unfinished build of another, interrupted migration", self.path)
        workspace.close_journal()
        workspace.clear()
        require_room(plan, workspace.location)
        rename(folder, workspace.request)
        return self._copy(
            Intention(secrets.token_hex(8), False, workspace.relative(workspace.staging), "", description)
        )

    def _requests_from_copy(self, decide: Callable[[Store], Sequence[Request]]) -> Sequence[Request]:
        """Copy the database and make the requests from the copy. The copy stays, and the build continues with it."""
        workspace = self._workspace
        workspace.close_journal()
        workspace.clear()
        require_room_for(tree_bytes(self.path, workspace.location.belongs), workspace.location)
        self._copy(Intention(secrets.token_hex(8), False, workspace.relative(workspace.staging), ""))
        with self.files.at(workspace.staging).open() as store:
            requests = decide(store)
        if not requests:
            workspace.close_journal()
            workspace.clear()
        return requests

    def _copy(self, intention: Intention) -> Intention:
        """Copy the database; what comes back says what it looked like, and is on the disk."""
        self._workspace.write_journal(intention)
        workspace = self._workspace
        copied = build.copy_database(workspace.location, workspace.staging, self._on_progress)
        copy = self.files.at(workspace.staging)
        copy.set_aside(self.files.damaged(), workspace.unreadable)
        copy.prepare()
        sync_tree(workspace.staging)  # before the journal says that it is complete
        intention = replace(intention, copied=copied)
        self._workspace.write_journal(intention)
        return intention

    def wait(self) -> None:
        """See `Migrator.wait`."""
        self._workspace.wait()

    def resume(self, auto_backup: bool, verify: Verify, force: bool, index: IndexRoute) -> list[MigrationResult]:
        """See `Migrator.resume`."""
        self.recover()
        intention = self._workspace.read_journal()
        if intention is None or intention.description is None or not self.interrupted:
            raise NothingToMigrateError(f"{self.path}: no migration was interrupted, there is nothing to resume")
        requests = read_requests(self._workspace.request, intention.description)
        return self.migrate(requests, auto_backup, verify, intention.description["invalid_vectors"], force, index)

    def undo(self) -> bool:
        """See `Migrator.undo`."""
        with self._exclusive(unused=False):
            had_leftovers = self._workspace.has_leftovers()
            self._workspace.close_journal()
            self._workspace.clear()
        return had_leftovers

    def backups(self) -> list[Backup]:
        """See `Migrator.backups`."""
        return backups_of(self._workspace.location)

    def history(self) -> list[HistoryEntry]:
        """See `Migrator.history`."""
        return history_of(self._workspace.location)

    @contextlib.contextmanager
    def before(self, dimension: int) -> Iterator[dict[Address, Collection]]:
        """The filled collections of the newest backup that has some with such vectors. Reads a temporary copy of it."""
        for backup in reversed(self.backups()):
            files = self.files.at(backup.path)
            old = [facts.address for facts in files.catalog() if facts.count and facts.dimension == dimension]
            if old:
                with open_copy(files, self._on_progress) as store:
                    yield {address: store.collection(address) for address in old}
                return
        yield {}

    def rollback(self, backup: str | None, written: OnWritten, own: OwnVectors) -> Rollback:
        """See `Migrator.rollback`."""
        workspace, location = self._workspace, self._workspace.location
        with self._exclusive():
            chosen = find_backup(location, backup)
            old, incoming, run = self.files.at(chosen.path), chosen.path, secrets.token_hex(8)
            displaced, state = name_for_displaced(location, chosen.path), written_state(self.files)
            changes = changes_by_others(self.files, old, written, own, self._page_size, self._on_progress)
            if written == "refuse":
                require_nothing_written(changes)
            carried = bool(changes) and written == "carry"
            kept: Mapping[Address, int] = {}
            if carried:
                incoming = workspace.staging
                kept = carry_into_copy(workspace, self.files, chosen.path, displaced, run, changes, self._page_size)
            note_what_is_left(self.files, incoming, displaced, () if carried else changes)
            seen = fingerprint(self.path, location.belongs)
            require_state(self.files, state)
            self._cut_over(run, incoming, displaced, seen)
            forget_put_aside(self.path)
        counted = tuple(change.counted(kept.get(change.address)) for change in changes)
        return Rollback(chosen.name, displaced, counted, carried=carried)

    def clean(self, names: Sequence[str] | None) -> list[Backup]:
        """See `Migrator.clean`."""
        with self._exclusive(unused=False):
            chosen = deletable(self._workspace.location, names)
            keep_of_backups(self._workspace.location)
            for backup in chosen:
                cutover.discard(self._workspace, backup.path)
        return chosen

    @contextlib.contextmanager
    def _exclusive(self, *, unused: bool = True) -> Iterator[None]:
        """Hold the lock, and finish or undo runs that are interrupted before or inside this block.

        Raises:
            LocationError: it cannot be exchanged at this place, or, if `unused`, a container has it mounted.
            DatabaseInUseError: another lightmigrate process holds it, or, if `unused`, any process has it open.
            FailedError: the disk or the store failed inside the block; the message names the state of the database.
        """
        self._workspace.location.require_exchangeable(renamed=unused)
        with self._workspace.locked():
            self.recovered = cutover.recover(self._workspace) or self.recovered
            forget_put_aside(self.path)
            if unused:
                require_unused(self.files)
                warn_if_unknown(self.files)
                if self._workspace.location.inside:
                    self.files.settle()
            try:
                yield
            except LightmigrateError:
                self._workspace.forget_build()
                cutover.recover(self._workspace, own=True)
                raise
            except Exception as error:
                raise FailedError(f"{type(error).__name__}: {error}; {self._state_after_failure()}") from error
            except BaseException:  # Ctrl-C: a build can be resumed later, an exchange must be ended now
                self._state_after_failure()
                raise

    def _state_after_failure(self) -> str:
        state = cutover.recover(self._workspace) or "nothing was changed"
        if self.interrupted:
            room = f"{shutil.disk_usage(self._workspace.location.home).free / 2**20:,.0f} MiB are free"
            state += f":  lightmigrate resume DATABASE  goes on, or discards it with --undo; {room}"
        return state

    def _cut_over(self, run: str, incoming: Path, outgoing: Path, seen: Mapping[str, tuple[int, int]]) -> None:
        require_unused(self.files)
        outgoing.parent.mkdir(exist_ok=True)
        cutover.cut_over(self._workspace, run, incoming, outgoing, seen)
