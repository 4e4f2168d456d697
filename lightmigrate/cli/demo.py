"""`lightmigrate demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightmigrate.cli.options import AsJson, option
from lightmigrate.cli.output import conversation, print_next, write_json
from lightmigrate.commands.demo import demo as run
from lightmigrate.results import Result


def demo(
    folder: Annotated[Path, option("Where the folder of the demo is made.", "--folder", show_default=True)] = Path(),
    as_json: AsJson = False,
) -> None:
    """Do the whole job on a small real database.

    No model is needed: what a real one gave for every text is replayed.
    """
    from lightmigrate.cli.show import demo as show
    from lightmigrate.cli.show import terminal

    def step(result: Result) -> None:
        if as_json:
            terminal.messages.print(show.step(result))
        else:
            terminal.output.print(show.step(result))

    with conversation(as_json, show=step) as talk:
        result = run(folder, conversation=talk)
    if as_json:
        write_json(result.to_json())
    else:
        print_next("doctor", result.path, "--expected-dim", result.migration.previous_dim, why="look around")
        print_next("rollback", result.path, why="to the refined database again")
