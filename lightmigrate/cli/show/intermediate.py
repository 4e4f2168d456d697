"""How what a command shows before its result looks in a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.markup import escape

from lightmigrate.commands.conversation import Notice
from lightmigrate.commands.estimate import Estimate
from lightmigrate.commands.rollback import BackupList
from lightmigrate.commands.train import Trained
from lightmigrate.results import Result


def intermediate(result: Result) -> RenderableType | None:
    """An intermediate result; `None` for one that is not shown."""
    match result:
        case Notice():
            return notice(result)
        case Estimate():
            from lightmigrate.cli.show.projections import estimate

            return estimate(result)
        case Trained():
            from lightmigrate.cli.show.projections import trained

            return trained(result)
        case BackupList():
            from lightmigrate.cli.show.databases import backups

            return backups(result.backups)
    return _planned(result)


def notice(shown: Notice) -> RenderableType:
    """A notice."""
    return f"[yellow]{escape(shown.text)}[/]"


def _planned(result: Result) -> RenderableType | None:
    """A plan, of a migration or a budget, or compared routes. Their modules load NumPy, and are loaded for one."""
    from lightmigrate.budget.plan import BudgetPlan
    from lightmigrate.migration.plan import Plan
    from lightmigrate.routes.compare import Comparison

    if isinstance(result, Plan):
        from lightmigrate.cli.show.databases import plan

        return plan(result)
    if isinstance(result, BudgetPlan):
        from lightmigrate.cli.show.budget import chosen

        return chosen(result, None)
    if isinstance(result, Comparison):
        from lightmigrate.cli.show.routes import comparison

        return comparison(result)
    return None
