"""`lightmigrate resume`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson, Backup, Index, option
from lightmigrate.cli.output import conversation, print_next, print_result, write_json
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.resume import resume as take_up


@expanded
def resume(
    database: Annotated[DatabaseChoice, DATABASE],
    undo: Annotated[bool, option("Discard what the interrupted migration has built.", "--undo")] = False,
    backup: Backup = True,
    index: Index = "keep",
    as_json: AsJson = False,
) -> None:
    """Continue or discard an interrupted migration or exchange."""
    from rich.markup import escape

    from lightmigrate.cli.show import databases, terminal

    with conversation(as_json) as talk:
        resumed = take_up(database, undo=undo, auto_backup=backup, index=index, conversation=talk)
    if resumed.results:
        print_result(resumed.results, databases.migrated, as_json)
        if not as_json:
            print_next("verify", *database.words)
    elif as_json:
        write_json({"undone": resumed.undone, "recovered": resumed.recovered})
    else:
        done = "discarded what the interrupted migration had built" if resumed.undone else resumed.recovered
        terminal.output.print(escape(done or "nothing was interrupted"))
