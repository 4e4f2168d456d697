"""`demo`: the whole job on a small real database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.progress import OnProgress, Progress
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.budget.curve import CostQualityCurve
    from lightmigrate.budget.plan import BudgetPlan
    from lightmigrate.demo.demo import DemoResult, Search
    from lightmigrate.migration.results import MigrationResult, Mismatch, Rollback
    from lightmigrate.projection.model import Model
    from lightmigrate.quality.retention import Retention
    from lightmigrate.refinement.refine import Refinement

# What takes a while. Embedding does not, because it is replayed.
_LONG_STEPS = ("fit", "project", "verify", "refine")


@dataclass(frozen=True)
class DemoDatabase(Result):
    """The database that the demo built.

    Attributes:
        path: its folder.
        documents: number of documents.
        source: the model that embedded them.
        target: the model that the application changes to.
        mismatches: the collections that do not fit that model.
    """

    path: Path
    documents: int
    source: Model
    target: Model
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True)
class DemoPlan(Result):
    """What each part of the cost buys, and what was chosen.

    Attributes:
        curve: cost and expected quality of the settings that were tried.
        plan: the chosen one.
    """

    curve: CostQualityCurve
    plan: BudgetPlan


@dataclass(frozen=True)
class DemoMigration(Result):
    """The demo's migration.

    Attributes:
        migration: what was done.
        tokens: that the new model was asked to read for it, measuring included.
        all_tokens: that embedding everything takes.
        projected: what a projection keeps for which nothing is embedded.
        retention: what the migration kept, judged by people.
    """

    migration: MigrationResult
    tokens: int
    all_tokens: int
    projected: Retention
    retention: Retention


@dataclass(frozen=True)
class DemoSearches(Result):
    """The same searches before and after the migration.

    Attributes:
        searches: one for each query.
    """

    searches: tuple[Search, ...]


@dataclass(frozen=True)
class DemoRefinement(Result):
    """The demo's refinement.

    Attributes:
        refinement: what was done.
        tokens: that the new model was asked to read in all.
        all_tokens: that embedding everything takes.
        retention: what is kept now, judged by people.
    """

    refinement: Refinement
    tokens: int
    all_tokens: int
    retention: Retention


@dataclass(frozen=True)
class DemoRollback(Result):
    """The demo's way back.

    Attributes:
        rollback: what was done.
        records: number of records.
        restored: records that are exactly what they were before the migration.
    """

    rollback: Rollback
    records: int
    restored: int


def demo(folder: Path = Path(), *, conversation: Conversation) -> DemoResult:
    """Build a small database, change its model, measure at every step, and go back. Writes a new folder; asks nothing.

    The new model is replayed: the demo calls no model and no network.

    Args:
        folder: where the demo's folder is made.
        conversation: with the caller; shown a `DemoDatabase`, a `DemoPlan`, a `DemoMigration`, the `DemoSearches`, a
            `DemoRefinement` and a `DemoRollback`, as they come.

    Raises:
        LocationError: the folder cannot be written.
    """
    from lightmigrate.demo.demo import Demo, DemoResult

    run = Demo(folder, _of_long_steps(conversation.on_progress))
    run.build()
    original = run.records()
    before, mismatches = run.search(run.corpus.old_queries), tuple(run.detect())
    conversation.show(DemoDatabase(run.database, len(original), run.source, run.target, mismatches))

    curve = run.measure_curve()
    plan = run.choose(curve)
    conversation.show(DemoPlan(curve, plan))

    migration = run.migrate(plan)
    tokens, projected, retention = run.tokens, run.measure_projected(), run.measure()
    conversation.show(DemoMigration(migration, tokens, curve.size.tokens, projected, retention))
    searches = run.pair(before, run.search(run.corpus.new_queries))
    conversation.show(DemoSearches(searches))

    refinement = run.refine()
    refined = run.measure()
    conversation.show(DemoRefinement(refinement, run.tokens, curve.size.tokens, refined))

    rollback, records = run.rollback(), run.records()
    restored = sum(records.get(record_id) == record for record_id, record in original.items())
    conversation.show(DemoRollback(rollback, len(original), restored))
    return DemoResult(
        path=run.database,
        mismatches=mismatches,
        curve=curve,
        plan=plan,
        migration=migration,
        tokens=tokens,
        projected=projected,
        retention=retention,
        searches=searches,
        refinement=refinement,
        refined=refined,
        rollback=rollback,
        restored=restored,
    )


def _of_long_steps(on_progress: OnProgress | None) -> OnProgress:
    """Passes on the progress of what takes a while."""

    def report(progress: Progress) -> None:
        if on_progress is not None and progress.step in _LONG_STEPS:
            on_progress(progress)

    return report
