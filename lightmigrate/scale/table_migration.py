"""The migration of a table whose parts get new vectors by any number of workers, and which takes them in one commit.

The store keeps what was replaced, and puts it back; what is kept here is what a run has written so far, and with which
digests: `by-part/TOKEN.json`, `.jsonl`, `.npz` and `.texts` in the store's folder of our files; see `workspace`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lightmigrate.errors import (
    AnotherRunError,
    DatabaseChangedError,
    DatabaseError,
    DiskSpaceError,
    LocationError,
    NothingToMigrateError,
)
from lightmigrate.files import read_json, try_lock, write_json
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.plan import Plan
from lightmigrate.progress import OnProgress, logger, reporting
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import manifest
from lightmigrate.scale.convert import PartConversion, convert_part
from lightmigrate.scale.converting import convert_all
from lightmigrate.scale.embedding import Embedding
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.job import UnitJob, job_of, require_no_extracts
from lightmigrate.scale.manifest import DonePart
from lightmigrate.scale.planning import PASSES, SAMPLE, planned
from lightmigrate.scale.results import FolderCheck, FolderStatus, TableMigration, embedded_in
from lightmigrate.stores.units import UnitTable
from lightmigrate.system import delete

FOLDER = "by-part"


class TableMigrator:
    """One table of parts. See `Migrator` for what its methods promise; `Migrator` itself rolls it back and cleans it.

    Args:
        table: the table.
        address: as workers open it.
        executor: what converts the parts.
        on_progress: receives the progress, in vectors, over all workers.
    """

    def __init__(
        self, table: UnitTable, address: str, executor: Executor, on_progress: OnProgress | None = None
    ) -> None:
        self._table, self._address, self._executor = table, address, executor
        self._report = reporting(on_progress)
        self._home = table.work / FOLDER
        self.path = table.path

    def plan(self, projection: Projection, options: MigrationOptions) -> Plan:
        """What `migrate` with a projection would do, and whether it can. Only reads.

        Raises:
            LightmigrateError: of the kind that says why not.
        """
        require_no_extracts(projection)
        return self._checked(projection, options)

    def _checked(self, projection: Projection, options: MigrationOptions) -> Plan:
        count = self._table.rows()
        sample = self._table.sample(SAMPLE)
        if not len(sample):
            raise NothingToMigrateError(f"{self.path} holds no vectors: there is nothing to migrate")
        needed = 4 * count * projection.info.target.dimension
        free = shutil.disk_usage(self.path).free
        return planned(self.path, self.path.stem, count, sample.vectors, projection, options, needed=needed, free=free)

    def migrate(self, job: UnitJob | Path, options: MigrationOptions, plan: Plan | None = None) -> TableMigration:
        """Write new vectors for all parts, compare each, and put them in place in one commit. Writes.

        What an earlier run of the same job has written is kept. Nobody sees new vectors before the commit.

        Args:
            job: what they are migrated with, or the file of a projection.
            options: `auto_backup`, `invalid_vectors` and `force` of them.
            plan: what `plan` returned a moment ago for the same; `None` has it made.

        Raises:
            FailedError: some parts cannot be converted; all others were. Nothing was put in place.
            DatabaseChangedError: the table was written to in every pass; or since its texts were counted.
            CostError, ProviderError: what the job embeds costs more than is allowed, or the new model fails.
            LightmigrateError: of the kind that says why.
        """
        started = time.monotonic()
        job = job_of(job)
        with self._locked():
            self._finish()
            run, facts = self._run_for(job, options)
            loaded = Projection.load(self._file(run, "npz"))
            plan = plan or self._planned(run, loaded, options)
            self._begin(run, facts)
            written = sum(each.bytes for each in self._done(run, self._table.units()).values())
            if plan.free_bytes + written < plan.needed_bytes:
                raise DiskSpaceError(
                    f"not enough disk: {plan.needed_bytes / 2**20:,.0f} MiB are needed in {self.path}, "
                    f"{plan.free_bytes / 2**20:,.0f} MiB are free; make room or move the table to a larger disk",
                    needed_bytes=plan.needed_bytes,
                    free_bytes=plan.free_bytes,
                )
            with job.for_workers(self._executor, self._file(run, "texts")) as embedding:
                done, now, backup = self._build(run, loaded.info.target.dimension, options, embedding)
            self._mark_done(run)
            if not options.auto_backup:
                self._table.forget(run)
        (collection,) = plan.collections
        return TableMigration(
            self.path, len(done), now, sum(each.vectors for each in done.values()), collection.current_dim,
            collection.target_dim, manifest.total(done.values()), backup if options.auto_backup else None,
            self._executor.workers, time.monotonic() - started, *embedded_in(done.values()),
        )  # fmt: skip

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            lock = try_lock(self._home / "lock")
        except PermissionError:
            raise LocationError(f"{self.path} is read-only for this user: give it write permission") from None
        if lock is None:
            raise AnotherRunError(f"another run of lightmigrate works on {self.path}: wait until it ends")
        with lock:
            yield

    def _file(self, run: str, suffix: str) -> Path:
        return self._home / f"{run}.{suffix}"

    def recover(self) -> str | None:
        """Do what is left of a run that was killed after its commit. Writes only where there is one.

        Returns:
            What was done, in a sentence; `None` when there was nothing to do.

        Raises:
            AnotherRunError: another run works on the table.
        """
        if not any(self._table.exchanged(run) for run in self._unfinished()):
            return None
        with self._locked():
            self._finish()
        done = "a migration that was interrupted after its commit was finished"
        logger.warning("%s: %s", self.path, done)
        return done

    def _finish(self) -> None:
        for run in self._unfinished():
            self._table.recover(run)
            if self._table.exchanged(run) is not None:
                self._mark_done(run)

    def _mark_done(self, run: str) -> None:
        write_json(self._file(run, "json"), {**read_json(self._file(run, "json")), "done": True})

    def _unfinished(self) -> list[str]:
        """The runs whose vectors were not put in place, and those that were killed right after that. Only reads."""
        runs = sorted(path.stem for path in self._home.glob("*.json"))
        return [run for run in runs if not read_json(self._file(run, "json")).get("done")]

    def _run_for(self, job: UnitJob, options: MigrationOptions) -> tuple[str, Mapping[str, str]]:
        """The run that was interrupted with the same job, or a new one; and what tells it from others. Writes."""
        asked = {**job.asked, "invalid_vectors": options.invalid_vectors}
        counted = {"parts": _digest_of(self._table.units())} if job.of_counted_texts else {}
        for run in self._unfinished():
            facts = read_json(self._file(run, "json"))
            if {name: facts.get(name) for name in asked} == asked:
                if {name: facts.get(name) for name in counted} != counted:
                    job.require_unchanged()
                return run, asked | counted
        run = secrets.token_hex(8)
        job.write(self._file(run, "npz"), self._file(run, "texts"))
        return run, asked | counted

    def _planned(self, run: str, loaded: Projection, options: MigrationOptions) -> Plan:
        """What a run would do; a new one that is refused is forgotten. Writes only then."""
        try:
            return self._checked(loaded, options)
        except BaseException:
            if run not in self._unfinished():
                self._forget(run)
            raise

    def _forget(self, run: str) -> None:
        for suffix in ("json", "jsonl", "npz", "texts"):
            delete(self._file(run, suffix))

    def _begin(self, run: str, asked: Mapping[str, str]) -> None:
        """Note a run, and forget others that did not end. Writes."""
        for other in self._unfinished():
            if other != run:
                logger.warning("%s: another migration was interrupted; what it had written is not used", self.path)
                self._forget(other)
        model = Projection.load(self._file(run, "npz")).info.target
        write_json(self._file(run, "json"), {**asked, "model": str(model)})

    def _build(
        self, run: str, dimension: int, options: MigrationOptions, embedding: Embedding | None
    ) -> tuple[dict[str, DonePart], int, str]:
        """Convert parts and commit; returns all that are done, how many of them now, and the key of the backup."""
        converted, counted = 0, read_json(self._file(run, "json")).get("parts")
        for _ in range(PASSES):
            states = self._table.units()
            if counted is not None and counted != _digest_of(states):
                raise DatabaseChangedError(
                    f"{self.path} was written to since its texts were counted: stop the writers, and run this again, "
                    "which counts them again; what was embedded is not paid for twice"
                )
            done = self._done(run, states)
            missing = {unit: state for unit, state in states.items() if unit not in done}
            if not missing:
                made = {unit: each.description for unit, each in done.items()}
                if (backup := self._table.put_in_place(made, states, dimension, run)) is not None:
                    return done, converted, backup
                continue
            converted += self._convert(run, missing, done, len(states), options, embedding)
        raise DatabaseChangedError(
            f"{self.path} was written to in every one of {PASSES} passes: nothing was migrated; stop the writers, and "
            "run this again to go on"
        )

    def _convert(
        self,
        run: str,
        missing: Mapping[str, str],
        done: Mapping[str, DonePart],
        total: int,
        options: MigrationOptions,
        embedding: Embedding | None,
    ) -> int:
        """Convert parts; returns how many."""
        tasks = [
            PartConversion(
                self._address, unit, state, self._file(run, "npz"), self._file(run, "jsonl"), options.invalid_vectors,
                embedding,
            )
            for unit, state in missing.items()
        ]  # fmt: skip
        finished, rows = sum(each.vectors for each in done.values()), self._table.rows()
        return convert_all(
            self._executor, convert_part, tasks, self._report, finished=finished, rows=rows, units=total, what="parts"
        )

    def _done(self, run: str, states: Mapping[str, str]) -> dict[str, DonePart]:
        """The parts that are converted and were not written to since. Only reads."""
        known = manifest.read(self._file(run, "jsonl"), DonePart)
        return {
            unit: known[unit]
            for unit, state in states.items()
            if unit in known
            and known[unit].state == state
            and self._table.made_bytes(known[unit].description) == known[unit].bytes
        }

    def is_known(self) -> bool:
        """Whether the vectors in place were put there by parts, or were taken back or are to be. Only reads."""
        if self._table.live_token():
            return self._file(self._live_run(), "jsonl").exists() or bool(self._unfinished())
        return any(self._home.glob("*.json"))

    def _live_run(self) -> str:
        """The run that put the present vectors in place; `none` where none of ours did. Only reads."""
        token = self._table.live_token()  # which anybody can have written
        return token if re.fullmatch(r"[0-9a-f]{16}", token) else "none"

    def verify(self) -> FolderCheck:
        """Compare the vectors of each part with what the migration left. Only reads.

        Raises:
            DatabaseError: the vectors in place were not put there by parts.
        """
        known = manifest.read(self._file(self._live_run(), "jsonl"), DonePart)
        if not known:
            raise DatabaseError(f"{self.path} was not migrated, or its backup is in place: there is nothing to compare")
        digests = self._table.digests()
        changed = sorted(unit for unit, each in known.items() if digests.get(unit) != each.sha256)
        added = sorted(set(digests) - set(known))
        return FolderCheck(
            self.path, len(digests), len(known), tuple(changed), tuple(added), manifest.total(known.values())
        )

    def status(self) -> FolderStatus:
        """Whose vectors the table holds, what an interrupted run has done, and the ways back. Only reads."""
        states = self._table.units()
        live = read_json(self._file(self._live_run(), "json"))
        done = [len(self._done(run, states)) for run in self._unfinished() if self._table.exchanged(run) is None]
        return FolderStatus(
            self.path,
            str(live.get("model", "")),
            max(done) if done else None,
            len(states),
            tuple(self._table.backups()),
            self.path,
        )


def _digest_of(states: Mapping[str, str]) -> str:
    """A digest of the states of all parts."""
    return hashlib.sha256(json.dumps(sorted(states.items())).encode()).hexdigest()
