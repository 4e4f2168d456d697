"""The migration of a folder whose files are one collection, by any number of workers; and the ways back."""

from __future__ import annotations

import secrets
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

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
from lightmigrate.files import file_sha256, tree_bytes, write_json
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
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.manifest import Done
from lightmigrate.scale.planning import PASSES, SAMPLE, planned
from lightmigrate.scale.results import FolderCheck, FolderMigration, FolderStatus
from lightmigrate.scale.workspace import MARK, Workspace
from lightmigrate.stores.open import open_units, other_database_in
from lightmigrate.stores.units import UnitFolder
from lightmigrate.system import cores, sync_file

# Of a file: its size and the time of its last change in nanoseconds; `None` where there is none.
State: TypeAlias = tuple[int, int] | None


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
        """What `migrate` would do, and whether it can. Only reads.

        Raises:
            LightmigrateError: of the kind that says why not.
        """
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

    def migrate(self, projection: Path, options: MigrationOptions, plan: Plan | None = None) -> FolderMigration:
        """Convert all files, compare each, and put the new folder in place at once. Writes.

        What an earlier run with the same projection has converted is kept. The old folder stays as it is.

        Args:
            projection: its file.
            options: `auto_backup`, `invalid_vectors` and `force` of them.
            plan: what `plan` returned a moment ago for the same; `None` has it made.

        Raises:
            FailedError: some files cannot be converted; all others were. Nothing was put in place.
            DatabaseChangedError: files were written to in every pass.
            LightmigrateError: of the kind that says why.
        """
        started = time.monotonic()
        loaded = Projection.load(projection)
        with self._workspace.locked():
            plan = plan or self.plan(loaded, options)
            run = self._run_for(projection, loaded, options.invalid_vectors)
            free = shutil.disk_usage(self._workspace.home).free + tree_bytes(self._workspace.new(run))
            if free < plan.needed_bytes:
                raise DiskSpaceError(
                    f"not enough disk: {plan.needed_bytes / 2**20:,.0f} MiB are needed beside {self.path}, "
                    f"{free / 2**20:,.0f} MiB are free; make room or move the folder to a larger disk",
                    needed_bytes=plan.needed_bytes,
                    free_bytes=free,
                )
            done, others, now = self._build(run, options.invalid_vectors)
            states = _sources(done) | others
            backup = self._workspace.new_backup()
            self._workspace.exchange(self._workspace.new(run), backup)
            old = self._workspace.home / backup
            if late := len(_written(old, states)):
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
            self._executor.workers, time.monotonic() - started,
        )  # fmt: skip

    def _run_for(self, projection: Path, loaded: Projection, invalid_vectors: InvalidVectors) -> str:
        """The run that was interrupted with the same projection, or a new one; others are deleted. Writes."""
        asked = {"projection": file_sha256(projection), "invalid_vectors": invalid_vectors, "address": self._address}
        for run in self._workspace.runs():
            facts = self._workspace.facts(run)
            if {name: facts.get(name) for name in asked} == asked:
                for path in self._workspace.new(run).rglob(f"{TEMPORARY}*"):
                    path.unlink()
                return run
            logger.warning("%s: another migration was interrupted; what it had built is deleted", self.path)
            self._workspace.discard(run)
        run = secrets.token_hex(8)
        shutil.copyfile(projection, self._workspace.projection(run))
        write_json(self._workspace.facts_file(run), {**asked, "model": str(loaded.info.target)})
        self._workspace.new(run).mkdir()
        return run

    def _build(self, run: str, invalid_vectors: InvalidVectors) -> tuple[dict[str, Done], dict[str, State], int]:
        """Convert files until none was written to since.

        Returns:
            All that are done, the other files as they were when they were copied, and how many were converted now.
        """
        new, converted = self._workspace.new(run), 0
        for _ in range(PASSES):
            units = self._folder.units()
            done = self._done(run, units)
            missing = [unit for unit in units if unit not in done]
            if not missing:
                others = self._complete(run, done)
                if not _written(self.path, _sources(done) | others):
                    return done, others, converted
                continue
            tasks = [
                Conversion(
                    self._address, unit, new, self._workspace.projection(run), self._workspace.manifest(run),
                    invalid_vectors,
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
        written = {unit: known[unit] for unit in units if unit in known and _size(new / unit) == known[unit].bytes}
        unchanged = {unit for unit, state in _sources(written).items() if _state(self.path / unit) == state}
        return {unit: each for unit, each in written.items() if unit in unchanged}

    def _rows(self, unit: str) -> int:
        """How many rows a file has; 0 for one that cannot be read, whose conversion will say so. Only reads."""
        state = _state(self.path / unit)
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
        others = {name: _state(self.path / name) for name in self._folder.others() if name != MARK}
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
            for each, sha256 in zip(known.values(), pool.map(_sha256, paths), strict=True):
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
        changed = [each.unit for each in known.values() if _size(self.path / each.unit) not in (None, each.bytes)]
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


def migrated_path(address: str) -> Path | None:
    """The folder at a path or `file://` address, if it was migrated by workers or is being. Only reads."""
    scheme, _, _ = address.rpartition("://")
    if scheme not in ("", "file"):
        return None
    path = (Path(unquote(urlsplit(address).path)) if scheme else Path(address).expanduser()).resolve()
    return path if Workspace(path).is_used() else None


def require_whole(folder: Path) -> None:
    """Raise `DatabaseError` where a crash left an exchange of a folder half done. Only reads."""
    if Workspace(folder).interrupted():
        raise DatabaseError(
            f"an exchange was interrupted:  lightmigrate resume {shlex.quote(str(folder))}  finishes it"
        )


def recover(folder: Path) -> str | None:
    """End an exchange of a folder that a crash interrupted. Writes only where there is one.

    Returns:
        What was done, in a sentence; `None` when there was nothing to do.

    Raises:
        AnotherRunError: another run works on the folder.
    """
    workspace = Workspace(folder)
    if not workspace.interrupted():
        return None
    with workspace.locked():
        done = "an interrupted exchange was finished"
        logger.warning("%s: %s", folder, done)
        return done


def _sources(done: Mapping[str, Done]) -> dict[str, State]:
    """The files that others were made from, as they were then."""
    return {unit: (each.source_bytes, each.source_changed_ns) for unit, each in done.items()}


def _written(folder: Path, states: Mapping[str, State]) -> set[str]:
    """The files of a folder that are no longer what they were, or are new, or gone; only reads."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {MARK}
    return {name for name in found | states.keys() if _state(folder / name) != states.get(name)}


def _state(path: Path) -> State:
    """Only reads."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return None


def _size(path: Path) -> int | None:
    state = _state(path)
    return None if state is None else state[0]
