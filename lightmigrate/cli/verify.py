"""`lightmigrate verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import checked_by
from lightmigrate.commands.verify import verify as compare


@expanded
def verify(database: Annotated[DatabaseChoice, DATABASE], as_json: AsJson = False) -> None:
    """Compare a database with what its migration left. Only reads.

    Rows that `refine` wrote since count as unchanged. Exits with 1 if anything else changed.
    """
    from lightmigrate.cli.show import databases, folders, terminal

    with conversation(as_json) as talk:
        folder = checked_by(database, talk)
        check = folder.verify() if folder else None
    if check is not None:
        print_result(check, folders.checked, as_json)
        if not check.unchanged:
            raise typer.Exit(1)
        return
    with conversation(as_json) as talk:
        checks = compare(database, conversation=talk)
    unchanged = all(check.unchanged for check in checks)
    print_result(checks, databases.checks, as_json)
    if not as_json:
        terminal.output.print(databases.verdict(checks))
        if unchanged:
            print_next("clean", *database.words, why="to delete the backup, when searches are as you want them")
        else:
            print_next("rollback", *database.words, why="to go back")
    if not unchanged:
        raise typer.Exit(1)
