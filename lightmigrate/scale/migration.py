"""The migration of a folder whose files are one collection, by any number of workers; and the ways back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import (
    BackupError,
    DamagedCollectionError,
    DatabaseChangedError,
    DatabaseError,
    DiskSpaceError,
    NothingToMigrateError,
    WrittenSinceError,
)
from lightmigrate.migration.changes import OnWritten
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.results import Backup, Rollback, choose_backups
from lightmigrate.objects.scratch import local_copy
from lightmigrate.objects.system import is_object_address
from lightmigrate.progress import OnProgress, logger, reporting
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import manifest
from lightmigrate.scale.convert import Conversion, convert
from lightmigrate.scale.converting import convert_all
from lightmigrate.scale.embedding import Embedding
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.file_states import State, different, digest_of_states, sources_of, warn_of_late
from lightmigrate.scale.folder_place import FolderPlace
from lightmigrate.scale.job import UnitJob, job_of, require_no_extracts
from lightmigrate.scale.manifest import Done
from lightmigrate.scale.object_place import ObjectPlace
from lightmigrate.scale.place import Place
from lightmigrate.scale.planning import PASSES, SAMPLE, planned
from lightmigrate.scale.results import FolderCheck, FolderMigration, FolderStatus, embedded_in
from lightmigrate.scale.workspace import MARK
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitFolder
from lightmigrate.system import cores

# Files whose numbers of rows are read at the same time.
_FOOTERS_AT_ONCE = 16


class FolderMigrator:
    """One folder of files that are one collection. See `Migrator` for what its methods promise.

    Args:
        address: of the folder: a path, `file:///PATH?vector=COLUMN`, or a prefix of an object store.
        executor: what converts the files.
        on_progress: receives the progress, in vectors, over all workers.
    """

    def __init__(self, address: str, executor: Executor, on_progress: OnProgress | None = None) -> None:
        # the same for the next run, wherever it is started
        self._address = address if "://" in address else str(Path(address).expanduser().resolve())
        self._executor = executor
        self._report = reporting(on_progress)
        self._place = _place_of(self._address)
        self.path = self._place.path
        self._counted: dict[str, tuple[State, int]] = {}

    def plan(self, projection: Projection, options: MigrationOptions) -> Plan:
        """What `migrate` with a projection would do, and whether it can. Only reads.

        Raises:
            LightmigrateError: of the kind that says why not.
        """
        require_no_extracts(projection)
        return self._checked(projection, options)

    def _checked(self, projection: Projection, options: MigrationOptions) -> Plan:
        folder = self._place.folder
        units = folder.units()
        if not units:
            raise NothingToMigrateError(f"{self.path} holds no files of vectors: there is nothing to migrate")
        self._place.require_own()
        sample = folder.sample(SAMPLE)
        count = self._rows(units)
        needed, free, _ = self._place.room(None, _growth(projection), self._executor.workers)
        return planned(self.path, folder.name, count, sample.vectors, projection, options, needed=needed, free=free)

    def migrate(self, job: UnitJob | Path, options: MigrationOptions, plan: Plan | None = None) -> FolderMigration:
        """Convert all files, compare each, and put the new folder in place at once. Writes.

        What an earlier run of the same job has converted is kept. The old folder stays as it is.

        Args:
            job: what they are migrated with, or the file of a projection.
            options: `auto_backup`, `invalid_vectors` and `force` of them.
            plan: what `plan` returned a moment ago for the same; `None` has it made.

        Raises:
            FailedError: some files cannot be converted; all others were. Nothing was put in place.
            DatabaseChangedError: files were written to in every pass; or since their texts were counted.
            CostError, ProviderError: what the job embeds costs more than is allowed, or the new model fails.
            LightmigrateError: of the kind that says why.
        """
        started = time.monotonic()
        job = job_of(job)
        with self._place.locked():
            run, is_new = self._run_for(job, options.invalid_vectors)
            with local_copy(self._place.projection(run)) as file:
                projection = Projection.load(file)
            plan = plan or self._planned(run, projection, options, is_new=is_new)
            self._begin(run)
            self._require_room(run, _growth(projection))
            with job.for_workers(self._executor, self._place.whole(run)) as embedding:
                done, states, now = self._build(run, options.invalid_vectors, embedding)
            sha256 = manifest.total(done.values())
            old = self._place.exchange(run, states, sha256)
            if late := len(different(self._place.states_of(old), states)):
                warn_of_late(self.path, late, old.path)
                options = replace(options, auto_backup=True)
            if not options.auto_backup:
                self._place.delete_backup(old)
        (collection,) = plan.collections
        return FolderMigration(
            self.path, self._place.folder.path, len(done), now, sum(each.vectors for each in done.values()),
            collection.current_dim, collection.target_dim, sha256, old.path if options.auto_backup else None,
            self._executor.workers, time.monotonic() - started, *embedded_in(done.values()),
        )  # fmt: skip

    def _run_for(self, job: UnitJob, invalid_vectors: InvalidVectors) -> tuple[str, bool]:
        """The run that was interrupted with the same job, or a new one, with its projection; which it is. Writes."""
        asked = {**job.asked, "invalid_vectors": invalid_vectors, "address": self._address}
        counted = {"files": self._files_now()} if job.of_counted_texts else {}
        for run in self._place.runs():
            facts = self._place.facts(run)
            if {name: facts.get(name) for name in asked} == asked:
                if {name: facts.get(name) for name in counted} != counted:
                    job.require_unchanged()
                    self._place.note(run, {**facts, **counted})
                return run, False
        run = secrets.token_hex(8)
        with self._place.preparing(run) as (projection, whole):
            job.write(projection, whole)
            model = str(Projection.load(projection).info.target)
        self._place.note(run, {**asked, **counted, "model": model})
        return run, True

    def _planned(self, run: str, projection: Projection, options: MigrationOptions, *, is_new: bool) -> Plan:
        """What a run would do; a new one that is refused is forgotten. Writes only then."""
        try:
            return self._checked(projection, options)
        except BaseException:
            if is_new:
                self._place.discard(run)
            raise

    def _begin(self, run: str) -> None:
        """Delete what other runs have built, and what this one did not end. Writes."""
        for other in self._place.runs():
            if other != run:
                logger.warning("%s: another migration was interrupted; what it had built is deleted", self.path)
                self._place.discard(other)
        self._place.begin(run)

    def _files_now(self) -> str:
        """A digest of the states of all files with vectors. Only reads."""
        return digest_of_states(self._place.states(), self._place.folder.units())

    def _require_room(self, run: str, growth: float) -> None:
        """Raise `DiskSpaceError` where there is no room for what a run has not built yet. Only reads."""
        needed, free, where = self._place.room(run, growth, self._executor.workers)
        if free < needed:
            raise DiskSpaceError(
                f"not enough disk: {needed / 2**20:,.0f} MiB are needed {where}, {free / 2**20:,.0f} MiB are free; "
                "make room, or use a larger disk",
                needed_bytes=needed,
                free_bytes=free,
            )

    def _build(
        self, run: str, invalid_vectors: InvalidVectors, embedding: Embedding | None = None
    ) -> tuple[dict[str, Done], dict[str, State], int]:
        """Convert files until none was written to since.

        Returns:
            All that are done, all files as they were when they were converted or copied, and how many were converted
            now.
        """
        converted, counted = 0, self._place.facts(run).get("files")
        for _ in range(PASSES):
            if counted is not None and counted != self._files_now():
                raise DatabaseChangedError(
                    f"files in {self.path} were written to since their texts were counted: stop the writers, and run "
                    "this again, which counts them again; what was embedded is not paid for twice"
                )
            units = self._place.folder.units()
            done = self._done(run, units)
            missing = [unit for unit in units if unit not in done]
            if not missing:
                now = self._place.states()
                others = {name: now.get(name) for name in self._place.folder.others() if name != MARK}
                self._place.complete(run, done, others)
                states = sources_of(done) | others
                if not different(self._place.states(), states):
                    return done, states, converted
                continue
            destination, projection = self._place.destination(run), self._place.projection(run)
            folder = self._place.folder
            tasks = [Conversion(folder, unit, destination, projection, invalid_vectors, embedding) for unit in missing]
            finished = sum(each.vectors for each in done.values())
            converted += convert_all(
                self._executor,
                convert,
                tasks,
                self._report,
                finished=finished,
                rows=self._rows(units),
                units=len(units),
                what="files",
            )
        raise DatabaseChangedError(
            f"files in {self.path} were written to in every one of {PASSES} passes: nothing was migrated; stop the "
            "writers, and run this again to go on"
        )

    def _done(self, run: str, units: Sequence[str]) -> dict[str, Done]:
        """The units that are converted and whose source is still what they were made from. Only reads."""
        built, now = self._place.done(run), self._place.states()
        sources = sources_of(built)
        return {unit: built[unit] for unit in units if unit in built and now.get(unit) == sources[unit]}

    def _rows(self, units: Sequence[str]) -> int:
        """How many rows some files have; those that cannot be read have none, which their conversion says. Reads."""
        states, folder = self._place.states(), self._place.folder

        def count(unit: str) -> int:
            state = states.get(unit)
            if self._counted.get(unit, (None, 0))[0] != state or state is None:
                try:
                    self._counted[unit] = state, folder.rows(unit)
                except DamagedCollectionError:
                    self._counted[unit] = state, 0
            return self._counted[unit][1]

        with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
            return sum(pool.map(count, units))

    def verify(self) -> FolderCheck:
        """Compare each file with what the migration left. Only reads.

        Raises:
            DatabaseError: the folder in place was not migrated.
        """
        known = self._place.manifest(self._place.live_run())
        if not known:
            raise DatabaseError(f"{self.path} was not migrated, or its backup is in place: there is nothing to compare")
        units = self._place.folder.units()
        changed, checked = [], 0
        total = sum(each.vectors for each in known.values())
        with ThreadPoolExecutor(cores()) as pool:  # hashing does not hold Python's lock
            for each, sha256 in zip(known.values(), pool.map(self._place.sha256, known), strict=True):
                if sha256 != each.sha256:
                    changed.append(each.unit)
                checked += each.vectors
                self._report("verify", checked, total)
        added = sorted(set(units) - set(known))
        return FolderCheck(
            self.path, len(units), len(known), tuple(sorted(changed)), tuple(added), manifest.total(known.values())
        )

    def status(self) -> FolderStatus:
        """Whose vectors the folder holds, what an interrupted run has done, and the ways back. Only reads."""
        units, live = self._place.folder.units(), self._place.live_run()
        interrupted = [len(self._done(run, units)) for run in self._place.runs()]
        return FolderStatus(
            self.path,
            str(self._place.facts(live).get("model", "")) if live else "",
            max(interrupted) if interrupted else None,
            len(units),
            tuple(backup.name for backup in self.backups()),
            self._place.folder.path,
        )

    def backups(self) -> list[Backup]:
        """The folders that were replaced, the oldest first. Only reads."""
        return self._place.backups()

    def rollback(self, name: str | None = None, *, written: OnWritten = "refuse") -> Rollback:
        """Put a backup in place, exactly; the folder that it replaces becomes a backup. Writes.

        Args:
            name: of the backup; the newest by default.
            written: `discard` goes back although files were written to since; they stay in the replaced folder.

        Raises:
            WrittenSinceError: files were written to since the migration, or added, or deleted.
            BackupError: there is none of that name.
        """
        with self._place.locked():
            known = self.backups()
            chosen = choose_backups(known, None if name is None else [name], self.path)
            if not chosen:
                raise BackupError(f"{self.path} has no backup: nothing was migrated, or the backups were cleaned")
            if written != "discard":
                self._require_nothing_written()
            displaced = self._place.restore(chosen[-1])
        return Rollback(chosen[-1].name, displaced, (), carried=False)

    def _require_nothing_written(self) -> None:
        """Only sizes are compared, and names: reading everything can take hours."""
        known = self._place.manifest(self._place.live_run())
        if not known:
            return
        units, now = self._place.folder.units(), self._place.states()
        added, deleted = set(units) - set(known), set(known) - set(units)
        sizes = {unit: None if state is None else state[0] for unit, state in now.items()}
        changed = [unit for unit, each in known.items() if sizes.get(unit) not in (None, each.bytes)]
        if added or deleted or changed:
            raise WrittenSinceError(
                f"since the migration {len(added)} files were added to {self.path}, {len(changed)} changed and "
                f"{len(deleted)} deleted: add  --written discard  to go back without them; they stay in the replaced "
                "folder",
                added=len(added),
                changed=len(changed),
                deleted=len(deleted),
            )

    def clean(self, names: Sequence[str] | None) -> list[Backup]:
        """Delete backups; all by default. Writes.

        Raises:
            BackupError: there is none of one of the names.
        """
        with self._place.locked():
            chosen = choose_backups(self.backups(), names, self.path)
            for backup in chosen:
                self._place.delete_backup(backup)
        return chosen


def _growth(projection: Projection) -> float:
    """How much longer vectors become, at least as long as they are."""
    return max(1.0, projection.info.target.dimension / projection.info.source.dimension)


def _place_of(address: str) -> Place:
    if is_object_address(address):
        return ObjectPlace(address)
    folder = open_units(address)
    assert isinstance(folder, UnitFolder)  # noqa: S101  # see `migrators`
    return FolderPlace(folder)
