"""Plans that were saved from the page: one for each collection, among the user's files."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.errors import LightmigrateError
from lightmigrate.files import user_folder
from lightmigrate.web.databases import PageDatabase


def plan_file(database: PageDatabase, collection: str) -> Path:
    """The file of the plan for a collection; need not exist. Both parts of its name are digests."""
    return user_folder() / "plans" / f"{database.key}-{collection}.json"


def saved_plan(database: PageDatabase, collection: str) -> BudgetPlan | None:
    """The plan that was saved for a collection; `None` for none, or for one that cannot be read. Only reads."""
    file = plan_file(database, collection)
    if not file.exists():
        return None
    try:
        return BudgetPlan.load(file)
    except LightmigrateError:
        return None
