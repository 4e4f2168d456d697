"""`lightmigrate doctor`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.conversation import Notice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.doctor import doctor as look
from lightmigrate.commands.folder import is_folder_of_units


@expanded
def doctor(
    database: Annotated[DatabaseChoice, DATABASE],
    expected_dim: Annotated[
        int | None, option("Dimension of the embedding model in use.", "--expected-dim", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show collections, dimensions, mismatches, and who has the database open. Only reads."""
    from lightmigrate.cli.show import databases, intermediate, terminal

    with conversation(as_json) as talk:
        diagnosis = look(database, expected_dim, conversation=talk)
    print_result(diagnosis, databases.diagnosis, as_json)
    if not as_json and diagnosis.unfinished is not None:
        terminal.output.print(intermediate.notice(Notice(diagnosis.unfinished)))
    healthy = any(facts.count and str(facts.address) not in diagnosis.damaged for facts in diagnosis.collections)
    if not as_json and healthy and diagnosis.unsupported is None and (diagnosis.mismatches or expected_dim is None):
        if is_folder_of_units(database):
            print_next("train", "--from", *database.words, "--target-model", "NEW_MODEL")
        else:
            print_next("plan", *database.words, "--target-model", "NEW_MODEL")
