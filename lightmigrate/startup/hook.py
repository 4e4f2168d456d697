"""`auto_migrate`: one line before an application opens its database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import AnotherRunError, LightmigrateError, ModelMismatchError, RefusedError
from lightmigrate.migration.folder.workspace import Workspace
from lightmigrate.migration.migrator import ChromaMigrator, CollectionJob
from lightmigrate.migration.progress import LogProgress, Progress, logger
from lightmigrate.migration.results import MigrationResult
from lightmigrate.projection.model import Model
from lightmigrate.registry.library import Library
from lightmigrate.startup.deadline import Deadline, InTime
from lightmigrate.startup.decide import Decision, preservation_said
from lightmigrate.startup.detect import glance
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.purse import Purse
from lightmigrate.startup.report import Action, CollectionReport, StartReport
from lightmigrate.startup.route import Search
from lightmigrate.startup.wanted import Wanted, recorded_identity, require_sense
from lightmigrate.stores.base import Address, CollectionFacts, Store
from lightmigrate.stores.chroma_folder import is_chroma_folder

_GRAVEST: tuple[Action, ...] = ("failed", "refused", "warned", "migrated", "nothing")


def auto_migrate(
    database: Any,
    embedding_function: Any = None,
    *,
    expected_dim: int | None = None,
    target_model: str | Model | None = None,
    previous_function: Any = None,
    policy: Policy | None = None,
    **options: Any,
) -> StartReport:
    """See to it that a database's vectors are of the model the application embeds with, before it opens it.

    Finishes or undoes what an interrupted run left. Looks at every collection; where nothing mismatches that takes
    milliseconds and neither opens the database nor calls a model. What is of another model is migrated as the policy
    says: through a map that is learned from the collection's own documents, or else through the best one in the
    registry that fits. Several processes may start at once: one migrates, the others wait for it.

    Whatever fails, the database is the old one or the new one, whole; and unless the policy says `raise`, the
    server goes on with it. The `lightmigrate` logger hears everything, but no document, vector or key.

    Args:
        database: the folder that holds `chroma.sqlite3` (nothing is done when there is none yet), or an open client.
        embedding_function: the application's Chroma embedding function. With it maps can be learned and measured,
            and another model of the same dimension is found out.
        expected_dim: dimension of the application's vectors, when the function is not at hand.
        target_model: name or description of the application's model, to look for in the registry; by default what
            the function says.
        previous_function: the old model's embedding function, when it is at hand: then the report also says what
            doing nothing would give.
        policy: what may be done; see `Policy`. Environment variables `LIGHTMIGRATE_*` come before it; with one that
            makes no sense nothing is done.
        options: single fields of the policy.

    Returns:
        What was found and done.

    Raises:
        ModelMismatchError: there is a mismatch and the policy says `raise`.
        LightmigrateError: something failed and the policy says `raise` for failures; or the call makes no sense.
    """
    said = Policy.of(policy, {}, **options)
    require_sense(embedding_function, expected_dim, target_model)

    def search(allowed: Policy, place: str) -> Search:
        deadline = Deadline(allowed.max_seconds)
        return Search(
            wanted=Wanted(embedding_function, expected_dim, target_model, deadline),
            policy=allowed,
            deadline=deadline,
            purse=Purse(allowed.max_cost),
            previous=None if previous_function is None else InTime(previous_function, deadline),
            library=Library(),
            place=place,
        )

    return _Start(database, said).run(search)


class _Start:
    """One start of one server."""

    def __init__(self, database: Any, said: Policy) -> None:
        self._database = database
        self._policy = said
        self._search: Search
        self._started = Deadline(None)
        self._log = LogProgress()
        self._recovered: str | None = None
        self._reports: dict[Address, CollectionReport] = {}
        self._backup: str | None = None

    def run(self, search: Callable[[Policy, str], Search]) -> StartReport:
        """All of it, and what comes of a failure."""
        try:
            self._policy = Policy.of(self._policy, only=("on_failure",))  # even if the rest of it makes no sense
            self._policy = Policy.of(self._policy)
            if isinstance(self._database, (str, Path)):
                self._database = Path(self._database).expanduser()
            self._search = search(self._policy, str(self._database) if self._is_folder else "PATH")
            while not self._once():
                self._wait()
        except ModelMismatchError:
            raise
        except Exception as error:  # a server must start, whatever it is
            if self._policy.on_failure == "raise":
                raise
            said = str(error) if isinstance(error, LightmigrateError) else type(error).__name__
            left = "the database is as it was" if self._is_folder else "every collection is whole"
            logger.error("✗ AUTO-MIGRATION failed, %s: %s", left, said)
            return self._report("refused" if isinstance(error, RefusedError) else "failed", said)
        return self._report()

    def _once(self) -> bool:
        """Look and act; `False` when another process is at it."""
        if self._is_folder and not is_chroma_folder(self._database) and not self._workspace.folder.exists():
            return True  # there is no database yet
        try:
            migrator = ChromaMigrator(self._database, on_progress=self._progress)
            self._recovered = migrator.recovered or self._recovered
            if migrator.interrupted and not self._go_on(migrator):
                migrator.undo()
            self._act(migrator)
        except AnotherRunError:
            return False
        return True

    def _act(self, migrator: ChromaMigrator) -> None:
        memory, policy = self._memory(migrator), self._policy
        decision = Decision(self._search, memory)
        facts = {one.address: one for one in migrator.collections() if policy.includes(one.address)}
        pending = {}
        for address, one in facts.items():
            to_migrate = policy.on_mismatch == "migrate"
            finding = glance(one, self._search.wanted, memory, to_migrate=to_migrate)
            if finding is None or (finding.mismatch and to_migrate):
                pending[address] = one
            else:
                decision.known(finding)
        self._reports = decision.reports
        results = migrator.migrate_collections(self._decide(decision, pending), policy.backup) if pending else []
        decision.require_no_mismatch()
        self._say(results)
        same = {address for address, report in self._reports.items() if report.finding.verdict == "same"}
        migrated = {address for address, report in self._reports.items() if report.action == "migrated"}
        if learnt := (same & pending.keys()) | migrated:
            again = [one for one in migrator.collections() if one.address in learnt]
            self._memory(migrator).learn(again, self._search.wanted)

    def _decide(self, decision: Decision, pending: Mapping[Address, CollectionFacts]) -> Callable[[Store], Any]:
        def decide(store: Store) -> list[CollectionJob]:
            jobs = decision.jobs(store, pending)
            decision.require_no_mismatch()
            if jobs and self._policy.backup:
                logger.warning("⚠ AUTO-MIGRATION: Automatic backup will be created.")
            elif jobs:
                logger.warning("⚠ AUTO-MIGRATION: No backup will be kept.")
            return jobs

        return decide

    def _say(self, results: Sequence[MigrationResult]) -> None:
        """What was migrated, into the log and the reports."""
        if not results:
            return
        self._backup = next((result.backup_path.name for result in results if result.backup_path is not None), None)
        logger.info("✓ Migration complete: %s vectors migrated", f"{sum(one.n_migrated for one in results):,}")
        if self._backup is not None:
            logger.info("  Backup: %s", self._backup)
        for result in results:
            address = Address(result.collection_name, result.tenant, result.database)
            report = replace(self._reports[address], action="migrated", migrated=result.n_migrated)
            self._reports[address] = report
            logger.info("  %s%s", f"{address}: " if len(results) > 1 else "", preservation_said(report))

    def _go_on(self, migrator: ChromaMigrator) -> bool:
        """Finish what an interrupted run was building, if that is what is wanted now."""
        wanted = self._search.wanted
        if wanted.identity is None or self._policy.on_mismatch != "migrate":
            return False
        if any(recorded_identity(function) != wanted.identity for function in migrator.interrupted_functions):
            return False
        self._recovered = "an interrupted migration was finished"
        for result in migrator.resume(self._policy.backup):
            logger.info("✓ %s: %s vectors migrated", self._recovered, f"{result.n_migrated:,}")
            self._backup = result.backup_path.name if result.backup_path is not None else None
        return True

    def _wait(self) -> None:
        logger.info("another process is migrating %s: waiting until it has ended", self._database)
        wait = self._workspace.wait if self._is_folder else ChromaMigrator(self._database).wait
        self._search.deadline.within(wait, "what another process does to the database")

    def _progress(self, progress: Progress) -> None:
        self._search.deadline.require(what=f"migrating (at {progress.step})")
        self._log(progress)

    @property
    def _is_folder(self) -> bool:
        return isinstance(self._database, Path)

    @property
    def _workspace(self) -> Workspace:
        return Workspace(self._database.resolve())

    def _memory(self, migrator: ChromaMigrator) -> Memory:
        return Memory.of_folder(migrator.path) if self._is_folder else Memory.of_server(str(migrator.path))

    def _report(self, action: Action = "nothing", error: str = "") -> StartReport:
        actions = {action, *(report.action for report in self._reports.values())}
        return StartReport(
            database=str(self._database) if self._is_folder else type(self._database).__name__,
            action=next(one for one in _GRAVEST if one in actions),
            collections=tuple(self._reports.values()),
            recovered=self._recovered,
            backup=self._backup,
            seconds=self._started.elapsed,
            error=error,
        )
