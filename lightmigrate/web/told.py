"""What a run has to tell, in the words of the command line."""

from __future__ import annotations

from typing import TypeVar

from rich.console import Group, RenderableType

from lightmigrate.cli.show import budget, databases, folders
from lightmigrate.cli.show.intermediate import intermediate
from lightmigrate.cli.show.routes import comparison
from lightmigrate.commands.clean import Cleaned
from lightmigrate.commands.conversation import Notice
from lightmigrate.commands.plan import Planned
from lightmigrate.commands.resume import Resumed
from lightmigrate.migration.results import CollectionCheck, MigrationResult, Rollback
from lightmigrate.refinement.refine import Refinement
from lightmigrate.results import Result
from lightmigrate.scale.results import FolderCheck

_Kind = TypeVar("_Kind")

# Columns of a table that a page shows.
WIDTH = 80


def told(result: object) -> RenderableType | None:
    """What a command showed or returned; `None` for what is not shown.

    Args:
        result: a result, or a list of results of one kind.
    """
    if migrated := _all(MigrationResult, result):
        return databases.migrated(migrated)
    if checks := _all(CollectionCheck, result):
        return Group(databases.checks(checks), databases.verdict(checks))
    match result:
        case Planned():
            return _planned(result)
        case Refinement():
            return budget.refined(result)
        case FolderCheck():
            return folders.checked(result)
        case Rollback():
            return databases.rolled_back(result)
        case Cleaned():
            return Group(databases.backups(result.backups), f"deleted {len(result.backups)}")
        case Resumed():
            return _resumed(result)
        case Result():
            return intermediate(result)
    return None


def is_notice(result: object) -> bool:
    """Whether it is something that a user should know before going on."""
    return isinstance(result, Notice)


def _all(kind: type[_Kind], result: object) -> list[_Kind]:
    """A list of results of a kind; empty for anything else."""
    return [one for one in result if isinstance(one, kind)] if isinstance(result, list) else []


def _planned(planned: Planned) -> RenderableType:
    parts: list[RenderableType] = [comparison(planned.comparison, WIDTH)]
    if planned.missing_texts is not None and planned.curve is not None:
        parts.append(budget.missing_texts(planned.missing_texts, planned.curve.size.records))
    if planned.plan is not None:
        parts.append(budget.chosen(planned.plan, None))
    return Group(*parts)


def _resumed(done: Resumed) -> RenderableType:
    if done.results:
        return databases.migrated(done.results)
    if done.undone:
        return "discarded what the interrupted migration had built"
    return done.recovered or "nothing was interrupted"
