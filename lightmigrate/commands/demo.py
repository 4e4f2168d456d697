"""`demo`: the whole job on a small real database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.demo.demo import DemoResult, Search
    from lightmigrate.migration.results import MigrationResult, Mismatch
    from lightmigrate.projection.model import Model
    from lightmigrate.quality.retention import Retention


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
class DemoMigration(Result):
    """The demo's migration.

    Attributes:
        migration: what was done.
        retention: what it kept, judged by people.
    """

    migration: MigrationResult
    retention: Retention


@dataclass(frozen=True)
class DemoSearches(Result):
    """The same searches before and after the migration.

    Attributes:
        searches: one for each query.
    """

    searches: tuple[Search, ...]


def demo(folder: Path = Path(), *, conversation: Conversation) -> DemoResult:
    """Build a small database, change its model, migrate it, measure and search. Writes a new folder; asks nothing.

    Args:
        folder: where the demo's folder is made.
        conversation: with the caller; shown a `DemoDatabase`, a `DemoMigration` and the `DemoSearches`, as they come.

    Raises:
        LocationError: the folder cannot be written.
    """
    from lightmigrate.demo.demo import Demo, DemoResult

    run = Demo(folder)
    info = run.projection.info
    run.build()
    before, mismatches = run.search(run.corpus.old_queries), tuple(run.detect())
    conversation.show(DemoDatabase(run.database, len(run.corpus.ids), info.source, info.target, mismatches))
    migration = run.migrate(conversation.on_progress)
    retention = run.measure()
    conversation.show(DemoMigration(migration, retention))
    searches = run.pair(before, run.search(run.corpus.new_queries))
    conversation.show(DemoSearches(searches))
    return DemoResult(run.database, mismatches, migration, retention, searches)
