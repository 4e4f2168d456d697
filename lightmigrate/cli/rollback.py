"""`lightmigrate rollback`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson, OnWritten, Yes, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.rollback import rollback as go_back


@expanded
def rollback(
    database: Annotated[DatabaseChoice, DATABASE],
    backup: Annotated[str | None, option("Name of the backup; the newest by default.", "--backup")] = None,
    written: Annotated[
        OnWritten,
        option(
            "Records written after the migration: refuse to go back, carry them over, or discard them.",
            "--written",
            show_default=True,
        ),
    ] = "refuse",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back in place, exactly.

    The database it replaces is kept as a backup.
    """
    from lightmigrate.cli.show import databases

    with conversation(as_json, yes) as talk:
        done = go_back(database, backup, written=written, conversation=talk)
    print_result(done, databases.rolled_back, as_json)
    if not as_json:
        print_next("doctor", *database.words)
