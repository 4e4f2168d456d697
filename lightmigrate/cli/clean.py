"""`lightmigrate clean`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.clean import clean as list_or_delete
from lightmigrate.commands.database import DatabaseChoice


@expanded
def clean(
    database: Annotated[DatabaseChoice, DATABASE],
    backup: Annotated[list[str] | None, option("Only this backup; may be repeated.", "--backup")] = None,
    yes: Annotated[bool, option("Delete them. Without it they are only listed.", "--yes", "-y")] = False,
    as_json: AsJson = False,
) -> None:
    """List the backups of a database; with `--yes` delete them."""
    from lightmigrate.cli.show import databases, terminal

    names = backup or []
    with conversation(as_json, yes) as talk:
        cleaned = list_or_delete(database, names, delete=yes, conversation=talk)
    print_result(cleaned.backups, databases.backups, as_json)
    if as_json:
        return
    if cleaned.deleted:
        terminal.output.print(f"deleted {len(cleaned.backups)}")
        return
    # what may hold what is nowhere else is deleted by its name only, and that is not proposed
    offered = names or [kept.name for kept in cleaned.backups if not kept.reason_to_keep]
    if offered:
        everything = not names and len(offered) == len(cleaned.backups)
        chosen = [] if everything else [word for name in offered for word in ("--backup", name)]
        why = "to delete them for good" if names or everything else "to delete the others for good"
        print_next("clean", *database.words, *chosen, "--yes", why=why)
