"""`lightmigrate status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import OPTIONAL_TARGET, SOURCE, AsJson, Cache, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import checked_by
from lightmigrate.commands.refine import refine_from_python
from lightmigrate.commands.status import ByQueries
from lightmigrate.commands.status import status as read
from lightmigrate.errors import LightmigrateError


@expanded
def status(
    database: Annotated[DatabaseChoice, DATABASE],
    target: Annotated[ModelChoice, OPTIONAL_TARGET],
    source: Annotated[ModelChoice, SOURCE],
    thresholds: Annotated[
        list[str] | None,
        option(
            "Show what corresponds now to these thresholds of before: distances as the database reports them, smaller "
            "is nearer (cosine: 1 - similarity; l2: squared; ip: 1 - inner product). Several with commas: .25,.4",
            "--thresholds",
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        option("Measure the distances from queries of users, .txt, .jsonl or .parquet, with both models.", "--queries"),
    ] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Show how much is exact and what quality to expect. Only reads.

    And how distances moved: an application that cuts off results by a threshold needs another one.
    """
    from rich.markup import escape

    from lightmigrate.cli.show import folders, scores, terminal

    with conversation(as_json) as talk:
        folder = checked_by(database, talk)
    if folder is not None:
        print_result(folder.status(), folders.status, as_json)
        return
    measuring = None if queries is None else ByQueries(queries, source, target, cache)
    with conversation(as_json) as talk:
        statuses = read(database, _numbers(thresholds or []), measuring, conversation=talk)
    print_result(statuses, scores.statuses, as_json)
    if as_json:
        return
    if thresholds and queries is None:
        asked = ["--thresholds", ",".join(thresholds), "--queries", "FILE"]
        models = ["--source-model", "OLD", "--target-model", "NEW"]
        print_next("status", *database.words, *asked, *models, why="for searches")
    elif unfinished := [one.refinement for one in statuses if one.refinement and one.refinement.waiting]:
        if any(one.is_model_recorded for one in unfinished):
            print_next("refine", *database.words)
        else:
            terminal.output.print(escape(f"\nnext:  {refine_from_python(database, unfinished[0].address)}"))
    elif not thresholds and (example := scores.example([one.scores for one in statuses])):
        print_next("status", *database.words, "--thresholds", example)


def _numbers(thresholds: list[str]) -> list[float]:
    """The numbers of some lists with commas."""
    words = [word for text in thresholds for word in text.replace(",", " ").split()]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise LightmigrateError(f"--thresholds {' '.join(thresholds)}: give numbers, with commas: .25,.4") from None
