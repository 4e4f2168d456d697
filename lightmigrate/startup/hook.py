"""`auto_migrate`: one line before an application opens its database."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.errors import (
    AnotherRunError,
    DatabaseError,
    DatabaseInUseError,
    DiskSpaceError,
    LightmigrateError,
    ModelMismatchError,
    RefusedError,
    loggable,
)
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.results import MigrationResult
from lightmigrate.migrator import Migrator
from lightmigrate.progress import LogProgress, Progress, logger
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider
from lightmigrate.providers.careful import NONE_SHORTENED
from lightmigrate.refinement.background import BackgroundRefinement
from lightmigrate.registry.library import Library
from lightmigrate.startup.background import record_spending, refine_in_background
from lightmigrate.startup.decide import Decision
from lightmigrate.startup.detect import from_records
from lightmigrate.startup.left_alone import LeftAlone
from lightmigrate.startup.lines import log_migrated
from lightmigrate.startup.measured import worth_remembering
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.projected import ProjectedBefore, exact_rows
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.startup.report import Action, CollectionReport, StartReport, StartupFinding
from lightmigrate.startup.target_model import TargetModel, TimedProvider, recorded_identity, require_valid
from lightmigrate.stores.base import Address, CollectionFacts, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import argument_of, open_database, open_folder
from lightmigrate.training.limits import Deadline, SpendingLimit

# So many records are copied in less time than a server takes to answer.
QUICKLY_COPIED = 5000

# The most severe first.
_BY_SEVERITY: tuple[Action, ...] = ("failed", "refused", "warned", "migrated", "nothing")


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
    """Make sure that a database's vectors are of the application's model, before the application opens it.

    Finishes or undoes what an interrupted run left. Looks at every collection. What it records of its model is a hint:
    the first time, some stored documents are embedded and compared. From then on, if nothing mismatches, a start takes
    milliseconds, does not open the database, and embeds one short text, by which a model that was exchanged under its
    name is noticed.

    Collections of another model are migrated as the policy says, all of one old model together: with a projection
    trained on their own documents, or else with the best one in the registry that fits. Texts that the new model
    embedded on the way get its own vectors; where learning would cost as much as embedding every text, every text is
    embedded. Several processes may start at once: one migrates, the others wait for it.

    Whatever fails, the database is the old one or the new one, whole; and unless the policy says `raise`, the server
    goes on with it. The `lightmigrate` logger receives every step, but no document, vector or key.

    Args:
        database: a folder, such as the one that holds `chroma.sqlite3` (nothing is done if there is no database yet), a
            URL, or an open client.
        embedding_function: what the application embeds with: a Chroma function, an object of LangChain, LlamaIndex or
            sentence-transformers, or a callable. With it projections can be trained and measured, and another model of
            the same dimension is recognised.
        expected_dim: dimension of the application's vectors, for a call without the function.
        target_model: name or description of the application's model, to look for in the registry; by default the name
            that the function states.
        previous_function: the old model's embedding function, if available: then the report also tells what doing
            nothing would give.
        policy: what may be done; see `Policy`. Environment variables `LIGHTMIGRATE_*` override it; if one of them is
            invalid, nothing is done.
        options: single fields of the policy.

    Returns:
        What was found and done.

    Raises:
        ModelMismatchError: there is a mismatch, and the policy says `raise`.
        LightmigrateError: something failed, and the policy says `raise` for failures; or the call is invalid.
    """
    called_with = Policy.of(policy, {}, **options)
    require_valid(embedding_function, expected_dim, target_model)

    def source_for(effective: Policy, argument: str, folder: str) -> ProjectionSource:
        deadline, limited = Deadline(effective.max_seconds), effective.limits_cost
        return ProjectionSource(
            target=TargetModel(embedding_function, expected_dim, target_model, deadline, limited=limited),
            policy=effective,
            deadline=deadline,
            limit=SpendingLimit(effective.max_cost),
            previous=None if previous_function is None else TimedProvider(previous_function, deadline, limited=limited),
            library=Library(),
            database=argument,
            folder=folder,
        )

    return _Start(database, called_with).run(source_for)


class _Start:
    """One start of one server."""

    def __init__(self, database: Any, policy: Policy) -> None:
        self._database = database
        self._policy = policy
        self._source: ProjectionSource
        self._provider: Provider | None = None
        self._started = Deadline(None)
        self._log = LogProgress()
        self._recovered: str | None = None
        self._reports: dict[Address, CollectionReport] = {}
        self._backup: str | None = None
        self._refinement: BackgroundRefinement | None = None
        self._opened: object = None
        self._looked_at: tuple[int, int] | None = None

    def run(self, source_for: Callable[[Policy, str, str], ProjectionSource]) -> StartReport:
        """Look and act until no other process is migrating, and report; also on a failure."""
        try:
            # on_failure first: it counts even if another variable is invalid
            self._policy = Policy.of(self._policy, only=("on_failure",))
            self._policy = Policy.of(self._policy)
            if isinstance(self._database, str) and "://" not in self._database:
                self._database = Path(self._database)
            if isinstance(self._database, Path):
                self._database = self._database.expanduser()
            opened = open_database(self._database)
            if not isinstance(opened, FileDatabase):
                if isinstance(self._database, Path) and opened.capabilities.one_client:
                    opened.close()
                    raise DatabaseError(f"{self._database} is opened by one client at a time: give that client instead")
                self._opened = opened if isinstance(self._database, (str, Path)) else None
                self._database = opened  # one connection for the whole start
            folder = "" if opened.folder is None else shlex.quote(str(opened.folder))
            self._source = source_for(self._policy, argument_of(opened), folder)
            self._provider = self._source.target.provider
            while not self._once():
                self._wait()
            self._refine()
        except ModelMismatchError:
            raise
        except Exception as error:  # the server must start, whatever failed
            if self._policy.on_failure == "raise":
                raise
            message = loggable(error)
            state = "the database is as it was" if self._is_folder else "every collection is whole"
            logger.error("✗ AUTO-MIGRATION failed, %s: %s", state, message)
            return self._report("refused" if isinstance(error, RefusedError) else "failed", message)
        finally:
            if isinstance(self._opened, Store) and self._refinement is None:
                self._opened.close()
        return self._report()

    def _once(self) -> bool:
        """Look and act; `False` if another process is migrating."""
        if self._is_folder and not open_folder(self._database).exists() and not self._workspace.folder.exists():
            if (instead := open_folder(self._database).instead()) is not None:
                raise DatabaseError(instead)
            return True  # there is no database yet
        self._looked_at = None
        try:
            migrator = Migrator(self._database, on_progress=self._progress)
            self._recovered = migrator.recover() or self._recovered
            if migrator.interrupted and not self._go_on(migrator) and migrator.undo():
                self._recovered = "an interrupted migration was undone: the database is unchanged"
            self._looked_at = self._identity()
            try:
                self._act(migrator)
            finally:  # also where it was refused, or failed
                record_spending(migrator.place, self._source.limit)
        except AnotherRunError:
            return False
        except DatabaseInUseError:
            if self._looked_at in (None, self._identity()):
                raise
            return False  # another process has migrated it since, and opened it
        return True

    def _refine(self) -> None:
        """Begin the second step: what is projected becomes exact while the server serves."""
        if not self._reports:
            return
        try:
            migrator = Migrator(self._database, on_progress=self._progress)
            self._refinement = refine_in_background(migrator, self._source.target, self._policy, self._reports)
        except LightmigrateError as error:  # the migration has succeeded, and this can be done later
            logger.warning("⚠ refining in the background is not possible now: %s", error)

    def _act(self, migrator: Migrator) -> None:
        memory, policy = self._memory(migrator), self._policy
        projected = ProjectedBefore(migrator.place, self._source.target)
        decision = Decision(self._source, memory, projected, is_folder=self._is_folder)
        pending: dict[Address, CollectionFacts] = {}
        left = self._left_alone()
        to_migrate = policy.on_mismatch == "migrate"
        catalog = [facts for facts in migrator.collections() if policy.includes(facts.address)]
        damaged = migrator.damaged(thorough=False, catalog=catalog)
        if policy.distance is not None:
            decision.fixed = migrator.fixed_distances(catalog, policy.distance)
            for reason in decision.fixed.values():
                logger.warning("⚠ %s", reason)
        for facts in catalog:
            if facts.address in damaged:
                if decision.add_damaged(facts, damaged[facts.address], anew=self._is_folder):
                    pending[facts.address] = facts
                continue
            if left is not None and not policy.wants_distance(facts) and (known := left.recall(facts)) is not None:
                decision.add_left(known)
                continue
            finding = from_records(facts, self._source.target, memory, to_migrate=to_migrate)
            other_distance = policy.wants_distance(facts)
            if other_distance and to_migrate and finding is not None and self._measured_otherwise(finding, facts):
                finding = None
            if finding is None or (to_migrate and policy.migrates(finding)):
                pending[facts.address] = facts
                if finding is not None and finding.emptied:
                    decision.add_emptied(finding)
            else:
                decision.add_known(finding)
                if other_distance:
                    decision.add_distance(facts)
        undecided = {address: facts for address, facts in pending.items() if address not in decision.reports}
        to_read = undecided | decision.distances
        if any(facts.count for facts in to_read.values()):
            for address, fault in migrator.damaged().items():  # what is about to be read is looked at thoroughly
                if address not in to_read:
                    continue
                decision.distances.pop(address, None)
                pending.pop(address, None)
                if decision.add_damaged(to_read[address], fault, anew=self._is_folder):
                    pending[address] = to_read[address]
        self._reports = decision.reports
        self._require_answer(sum(facts.count or 0 for facts in undecided.values()))
        results = self._migrate(migrator, decision, pending) if pending or decision.distances else []
        decision.require_no_mismatch()
        self._report_results(results, exact_rows(migrator.place) if results else {})
        if not pending and not decision.distances:
            return
        catalog, looked_at = migrator.collections(), pending.keys() | decision.distances.keys()
        measured = [facts for facts in catalog if facts.address in looked_at and facts.address in self._reports]
        memory = self._memory(migrator)
        memory.learn(worth_remembering(measured, self._reports, decision.distances), self._source.target)
        if decision.lasting and (left := self._left_alone()) is not None:
            left.remember(catalog, self._reports, decision.lasting)

    def _left_alone(self) -> LeftAlone | None:
        """What is remembered of collections that were left; of a folder alone: a server's are not copied to be read."""
        if not self._is_folder:
            return None
        files = open_folder(self._database)
        return LeftAlone(Memory.of_server(str(files.folder.resolve())), files, self._source, self._identity())

    def _require_answer(self, records: int) -> None:
        """Raise when a model that has to be asked does not answer, before a database is copied for nothing.

        A small one is copied in less time than a server takes to answer, and is asked about it together with documents.
        """
        target = self._source.target
        if target.provider is None or not records:
            return
        if target.provider.parallel_calls == 1 or records > QUICKLY_COPIED:
            _ = target.dimension

    def _migrate(
        self, migrator: Migrator, decision: Decision, pending: Mapping[Address, CollectionFacts]
    ) -> Sequence[MigrationResult]:
        """Measure and migrate. Where only records were to be checked, a database that cannot be read is no failure."""
        try:
            return migrator.migrate(self._decide(decision, pending), self._policy.backup)
        except AnotherRunError:
            raise
        except (DatabaseInUseError, DiskSpaceError) as error:
            if decision.distances or not all(self._records_the_model(facts) for facts in pending.values()):
                raise
            for facts in pending.values():
                evidence = f"it records the application's embedding function, which could not be measured yet: {error}"
                decision.add_known(StartupFinding.about(facts, facts.dimension, "unknown", evidence))
            return []

    def _measured_otherwise(self, finding: StartupFinding, facts: CollectionFacts) -> bool:
        """Whether what is known was measured in a distance that ignores lengths, and the new one does not."""
        measures = self._source.target.provider is not None and finding.verdict in ("same", "variant")
        return measures and facts.space == "cosine" and self._policy.distance != "cosine"

    def _records_the_model(self, facts: CollectionFacts) -> bool:
        identity, stated = self._source.target.identity, self._source.target.stated_dimension
        recorded = recorded_identity(facts.embedding_function)
        return identity is not None and recorded == identity and stated in (None, facts.dimension)

    def _decide(
        self, decision: Decision, pending: Mapping[Address, CollectionFacts]
    ) -> Callable[[Store], list[CollectionJob]]:
        def decide(store: Store) -> list[CollectionJob]:
            if self._looked_at != self._identity():
                raise AnotherRunError("another process has migrated the database since this one looked at it")
            jobs = decision.jobs(store, pending)
            decision.require_no_mismatch()
            if jobs and self._policy.backup:
                logger.warning("⚠ AUTO-MIGRATION: Automatic backup will be created.")
            elif jobs:
                logger.warning("⚠ AUTO-MIGRATION: No backup will be kept.")
            return jobs

        return decide

    def _report_results(self, results: Sequence[MigrationResult], exact: Mapping[Address, int]) -> None:
        """Add what was migrated to the log and the reports."""
        if not results:
            return
        self._backup = next((result.backup_path.name for result in results if result.backup_path is not None), None)
        for result in results:
            address = result.address
            report = replace(self._reports[address], action="migrated", migrated=result.n_migrated)
            own = result.n_migrated - result.lost_vectors if report.made_anew else exact.get(address, 0)
            self._reports[address] = replace(report, exact=own)
        log_migrated([self._reports[result.address] for result in results], self._backup)

    def _go_on(self, migrator: Migrator) -> bool:
        """Finish what an interrupted run was building, if the application wants the same now."""
        target = self._source.target
        if target.identity is None or self._policy.on_mismatch != "migrate":
            return False
        if any(recorded_identity(function) != target.identity for function in migrator.interrupted_functions):
            return False
        if any(distance != self._policy.distance for distance in migrator.interrupted_distances):
            return False
        self._recovered = "an interrupted migration was finished"
        for result in migrator.resume(self._policy.backup):
            logger.info("✓ %s: %s vectors migrated", self._recovered, f"{result.n_migrated:,}")
            self._backup = result.backup_path.name if result.backup_path is not None else None
        return True

    def _wait(self) -> None:
        logger.info("another process is migrating %s: waiting until it has ended", self._database)
        wait = self._workspace.wait if self._is_folder else Migrator(self._database).wait
        self._source.deadline.within(wait, "what another process does to the database")

    def _progress(self, progress: Progress) -> None:
        self._source.deadline.require(action=f"migrating (at the step {progress.step})")
        self._log(progress)

    def _identity(self) -> tuple[int, int] | None:
        """What changes when another process exchanges the files of the database; `None` for a server."""
        if not self._is_folder:
            return None
        files = open_folder(self._database)
        status = (files.folder / files.main).stat()
        return status.st_dev, status.st_ino

    @property
    def _is_folder(self) -> bool:
        return isinstance(self._database, Path)

    @property
    def _workspace(self) -> Workspace:
        return Workspace(open_folder(self._database))

    def _memory(self, migrator: Migrator) -> Memory:
        return Memory.of_folder(migrator.path) if self._is_folder else Memory.of_server(str(migrator.path))

    def _report(self, action: Action = "nothing", error: str = "") -> StartReport:
        actions = {action, *(report.action for report in self._reports.values())}
        return StartReport(
            database=str(self._database)
            if isinstance(self._database, (str, Path, Store))
            else type(self._database).__name__,
            action=next(severe for severe in _BY_SEVERITY if severe in actions),
            collections=tuple(self._reports.values()),
            recovered=self._recovered,
            backup=self._backup,
            seconds=self._started.elapsed,
            error=error,
            shortened=NONE_SHORTENED if self._provider is None else self._provider.shortened,
            refinement=self._refinement,
        )
