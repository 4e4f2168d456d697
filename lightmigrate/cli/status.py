"""`lightmigrate status`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.status import status as read


@expanded
def status(database: Annotated[DatabaseChoice, DATABASE], as_json: AsJson = False) -> None:
    """Show how much is exact and what quality to expect. Only reads."""
    from lightmigrate.cli.show import budget

    with conversation(as_json) as talk:
        statuses = read(database, conversation=talk)
    print_result(statuses, budget.statuses, as_json)
    if not as_json and any(collection.share_exact < 1 for collection in statuses):
        print_next("refine", *database.words)
