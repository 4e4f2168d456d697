"""The migration of a folder whose files are one collection, by any number of workers; and the ways back."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
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
    RefusedError,
    WrittenSinceError,
)
from lightmigrate.files import tree_bytes, write_json
from lightmigrate.migration.changes import OnWritten
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.results import Backup, Rollback, choose_backups
from lightmigrate.progress import OnProgress, logger, reporting
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import manifest
from lightmigrate.scale.convert import TEMPORARY, Conversion, convert
from lightmigrate.scale.converting import convert_all
from lightmigrate.scale.embedding import Embedding
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.file_states import State, digest_of_states, sha256_of, size_of, sources_of, state_of, written_in
from lightmigrate.scale.job import UnitJob, job_of, require_no_extracts
from lightmigrate.scale.manifest import Done
from lightmigrate.scale.planning import PASSES, SAMPLE, planned
from lightmigrate.scale.results import FolderCheck, FolderMigration, FolderStatus, embedded_in
from lightmigrate.scale.workspace import MARK, Workspace
from lightmigrate.stores.open import open_units, other_database_in
from lightmigrate.stores.units import UnitFolder
from lightmigrate.system import cores, sync_file


class FolderMigrator:
    """One folder of files that are one collection. See `Migrator` for what its methods promise.

    Args:
        address: of the folder: a path, or `file:///PATH?vector=COLUMN`.
        executor: what converts the files.
        on_progress: receives the progress, in vectors, over all workers.
    """

    def __init__(self, address: str, executor: Executor, on_progress: OnProgress | None = None) -> None:
        # the same for the next run, wherever it is started
        self._address = address if "://" in address else str(Path(address).expanduser().resolve())
        self._executor = executor
        self._report = reporting(on_progress)
        folder = open_units(self._address)
        assert isinstance(folder, UnitFolder)  # noqa: S101  # see `migrators`
        self._folder = folder
        self.path = self._folder.path.resolve()
        self._workspace = Workspace(self.path)
        self._counted: dict[str, tuple[State, int]] = {}

    def plan(self, projection: Projection, options: MigrationOptions) -> Plan:
        """What `migrate` with a projection would do, and whether it can. Only reads.

        Raises:
            LightmigrateError: of the kind that says why not.
        """
        require_no_extracts(projection)
        return self._checked(projection, options)

    def _checked(self, projection: Projection, options: MigrationOptions) -> Plan:
        units = self._folder.units()
        if not units:
            raise NothingToMigrateError(f"{self.path} holds no files of vectors: there is nothing to migrate")
        if (other := other_database_in(self.path, self._folder.others())) is not None:
            raise RefusedError(
                f"{other[0]} is a {other[1]} database, which an application may have open while {self.path} is "
                f"exchanged as a whole: move one of them elsewhere, and run this again"
            )
        sample = self._folder.sample(SAMPLE)
        count = sum(self._rows(unit) for unit in units)
        info = projection.info
        needed = int(tree_bytes(self.path) * max(1.0, info.target.dimension / info.source.dimension))
        free = shutil.disk_usage(self.path.parent).free
        return planned(self.path, self.path.name, count, sample.vectors, projection, options, needed=needed, free=free)

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
        with self._workspace.locked():
            run = self._run_for(job, options.invalid_vectors)
            plan = plan or self._planned(run, options)
            self._begin(run)
            free = shutil.disk_usage(self._workspace.home).free + tree_bytes(self._workspace.new(run))
            if free < plan.needed_bytes:
                raise DiskSpaceError(
                    f"not enough disk: {plan.needed_bytes / 2**20:,.0f} MiB are needed beside {self.path}, "
                    f"{free / 2**20:,.0f} MiB are free; make room or move the folder to a larger disk",
                    needed_bytes=plan.needed_bytes,
                    free_bytes=free,
                )
            with job.for_workers(self._executor, self._workspace.whole(run)) as embedding:
                done, others, now = self._build(run, options.invalid_vectors, embedding)
            states = sources_of(done) | others
            backup = self._workspace.new_backup()
            self._workspace.exchange(self._workspace.new(run), backup)
            old = self._workspace.home / backup
            if late := len(written_in(old, states)):
                logger.warning(
                    "%s: %d files were written to in the last moment before the exchange; what was written is only in "
                    "%s, which is kept", self.path, late, old,
                )  # fmt: skip
                options = replace(options, auto_backup=True)
            if not options.auto_backup:
                self._workspace.delete_backup(old)
        (collection,) = plan.collections
        return FolderMigration(
            self.path, len(done), now, sum(each.vectors for each in done.values()), collection.current_dim,
            collection.target_dim, manifest.total(done.values()), old if options.auto_backup else None,
            self._executor.workers, time.monotonic() - started, *embedded_in(done.values()),
        )  # fmt: skip

    def _run_for(self, job: UnitJob, invalid_vectors: InvalidVectors) -> str:
        """The run that was interrupted with the same job, or a new one, with its projection. Writes."""
        asked = {**job.asked, "invalid_vectors": invalid_vectors, "address": self._address}
        counted = {"files": self._files_now()} if job.of_counted_texts else {}
        for run in self._workspace.runs():
            facts = self._workspace.facts(run)
            if {name: facts.get(name) for name in asked} == asked:
                if {name: facts.get(name) for name in counted} != counted:
                    job.require_unchanged()
                    write_json(self._workspace.facts_file(run), {**facts, **counted})
                return run
        run = secrets.token_hex(8)
        job.write(self._workspace.projection(run), self._workspace.whole(run))
        model = str(Projection.load(self._workspace.projection(run)).info.target)
        write_json(self._workspace.facts_file(run), {**asked, **counted, "model": model})
        return run

    def _planned(self, run: str, options: MigrationOptions) -> Plan:
        """What a run would do; a new one that is refused is forgotten. Writes only then."""
        try:
            return self._checked(Projection.load(self._workspace.projection(run)), options)
        except BaseException:
            if run not in self._workspace.runs():
                self._workspace.discard(run)
            raise

    def _begin(self, run: str) -> None:
        """Delete what other runs have built, and what this one did not end. Writes."""
        for other in self._workspace.runs():
            if other != run:
                logger.warning("%s: another migration was interrupted; what it had built is deleted", self.path)
                self._workspace.discard(other)
        new = self._workspace.new(run)
        new.mkdir(exist_ok=True)
        for path in new.rglob(f"{TEMPORARY}*"):
            path.unlink()

    def _files_now(self) -> str:
        """A digest of the sizes and times of all files with vectors. Only reads."""
        return digest_of_states(self.path, self._folder.units())

    def _build(
        self, run: str, invalid_vectors: InvalidVectors, embedding: Embedding | None = None
    ) -> tuple[dict[str, Done], dict[str, State], int]:
        """Convert files until none was written to since.

        Returns:
            All that are done, the other files as they were when they were copied, and how many were converted now.
        """
        new, converted = self._workspace.new(run), 0
        counted = self._workspace.facts(run).get("files")
        for _ in range(PASSES):
            if counted is not None and counted != self._files_now():
                raise DatabaseChangedError(
                    f"files in {self.path} were written to since their texts were counted: stop the writers, and run "
                    "this again, which counts them again; what was embedded is not paid for twice"
                )
            units = self._folder.units()
            done = self._done(run, units)
            missing = [unit for unit in units if unit not in done]
            if not missing:
                others = self._complete(run, done)
                if not written_in(self.path, sources_of(done) | others):
                    return done, others, converted
                continue
            tasks = [
                Conversion(
                    self._address, unit, new, self._workspace.projection(run), self._workspace.manifest(run),
                    invalid_vectors, embedding,
                )
                for unit in missing
            ]  # fmt: skip
            finished = sum(each.vectors for each in done.values())
            rows = sum(self._rows(unit) for unit in units)
            converted += convert_all(
                self._executor,
                convert,
                tasks,
                self._report,
                finished=finished,
                rows=rows,
                units=len(units),
                what="files",
            )
        raise DatabaseChangedError(
            f"files in {self.path} were written to in every one of {PASSES} passes: nothing was migrated; stop the "
            "writers, and run this again to go on"
        )

    def _done(self, run: str, units: Sequence[str]) -> dict[str, Done]:
        """The units that are converted and whose source is still what they were made from. Only reads."""
        new, known = self._workspace.new(run), manifest.read(self._workspace.manifest(run), Done)
        written = {unit: known[unit] for unit in units if unit in known and size_of(new / unit) == known[unit].bytes}
        unchanged = {unit for unit, state in sources_of(written).items() if state_of(self.path / unit) == state}
        return {unit: each for unit, each in written.items() if unit in unchanged}

    def _rows(self, unit: str) -> int:
        """How many rows a file has; 0 for one that cannot be read, whose conversion will say so. Only reads."""
        state = state_of(self.path / unit)
        if self._counted.get(unit, (None, 0))[0] != state or state is None:
            try:
                self._counted[unit] = state, self._folder.rows(unit)
            except DamagedCollectionError:
                self._counted[unit] = state, 0
        return self._counted[unit][1]

    def _complete(self, run: str, done: Mapping[str, Done]) -> dict[str, State]:
        """Bring all other files into the new folder, and none that is no longer in the old one. Writes.

        Returns:
            The other files, each as it was before it was copied.
        """
        new = self._workspace.new(run)
        others = {name: state_of(self.path / name) for name in self._folder.others() if name != MARK}
        for name, state in others.items():
            if state is not None:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.path / name, new / name)
                sync_file(new / name)
        wanted = {*done, *others, MARK}
        for path in sorted(new.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(new).as_posix() not in wanted:
                path.unlink()
        shutil.copystat(self.path, new)
        write_json(new / MARK, {"run": run, "model": self._workspace.facts(run).get("model", "")})
        return others

    def verify(self) -> FolderCheck:
        """Compare each file with what the migration left. Only reads.

        Raises:
            DatabaseError: the folder in place was not migrated.
        """
        known = manifest.read(self._workspace.manifest(self._workspace.live_run()), Done)
        if not known:
            raise DatabaseError(f"{self.path} was not migrated, or its backup is in place: there is nothing to compare")
        units = self._folder.units()
        changed, checked = [], 0
        total = sum(each.vectors for each in known.values())
        with ThreadPoolExecutor(cores()) as pool:  # hashing does not hold Python's lock
            paths = (self.path / each.unit for each in known.values())
            for each, sha256 in zip(known.values(), pool.map(sha256_of, paths), strict=True):
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
        units, live = self._folder.units(), self._workspace.live_run()
        interrupted = [len(self._done(run, units)) for run in self._workspace.runs()]
        return FolderStatus(
            self.path,
            str(self._workspace.facts(live).get("model", "")) if live else "",
            max(interrupted) if interrupted else None,
            len(units),
            tuple(backup.name for backup in self.backups()),
        )

    def backups(self) -> list[Backup]:
        """The folders that were replaced, the oldest first. Only reads."""
        return [Backup(path.name, path, tree_bytes(path), None) for path in self._workspace.backups()]

    def rollback(self, name: str | None = None, *, written: OnWritten = "refuse") -> Rollback:
        """Put a backup in place, exactly; the folder that it replaces becomes a backup. Writes.

        Args:
            name: of the backup; the newest by default.
            written: `discard` goes back although files were written to since; they stay in the replaced folder.

        Raises:
            WrittenSinceError: files were written to since the migration, or added, or deleted.
            BackupError: there is none of that name.
        """
        with self._workspace.locked():
            known = self.backups()
            chosen = choose_backups(known, None if name is None else [name], self.path)
            if not chosen:
                raise BackupError(f"{self.path} has no backup: nothing was migrated, or the backups were cleaned")
            if written != "discard":
                self._require_nothing_written()
            displaced = self._workspace.new_backup()
            self._workspace.exchange(chosen[-1].path, displaced)
        return Rollback(chosen[-1].name, self._workspace.home / displaced, (), carried=False)

    def _require_nothing_written(self) -> None:
        """Only sizes are compared, and names: reading everything can take hours."""
        known = manifest.read(self._workspace.manifest(self._workspace.live_run()), Done)
        if not known:
            return
        units = self._folder.units()
        added, deleted = set(units) - set(known), set(known) - set(units)
        changed = [each.unit for each in known.values() if size_of(self.path / each.unit) not in (None, each.bytes)]
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
        with self._workspace.locked():
            chosen = choose_backups(self.backups(), names, self.path)
            for backup in chosen:
                self._workspace.delete_backup(backup.path)
        return chosen
