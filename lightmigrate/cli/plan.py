"""`lightmigrate plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import Group, expanded
from lightmigrate.cli.options import (
    BUDGET,
    BUDGETS,
    NEW_MODEL,
    OPTIONAL_TARGET,
    SOURCE,
    TEXTS,
    AsJson,
    Cache,
    Collections,
    Distance,
    ProjectionFile,
    Queries,
    Seed,
    option,
    texts_choice,
)
from lightmigrate.cli.output import conversation, print_next, print_result, write_json
from lightmigrate.commands.arguments import Budget, ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.new_index import plan_indexes
from lightmigrate.commands.plan import Measuring, Planned, plan_budget, plan_projection
from lightmigrate.errors import LightmigrateError

_MEASURING = Group(
    {
        "samples": (
            Annotated[int | None, option("Documents to calibrate on.", "--samples", panel=NEW_MODEL, min=2)],
            None,
        ),
        "queries": (Queries, None),
        **TEXTS.parameters,
        "seed": (Seed, 0),
        "cache": (Cache, None),
    },
    lambda samples, queries, seed, cache, **texts: Measuring(samples, queries, texts_choice(**texts), seed, cache),
)


@expanded
def plan(
    database: Annotated[DatabaseChoice, DATABASE],
    target: Annotated[ModelChoice, OPTIONAL_TARGET],
    source: Annotated[ModelChoice, SOURCE],
    budget: Annotated[Budget, BUDGETS],
    measuring: Annotated[Measuring, _MEASURING],
    projection: ProjectionFile = None,
    collection: Collections = None,
    distance: Distance = None,
    output: Annotated[
        Path | None, option("File for the chosen plan, for `migrate --plan`.", "--output", "-o", panel=BUDGET)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what `migrate` would do, or what each budget buys. Changes nothing.

    With a projection: every check. With a new model (--target-model): what each share of its cost keeps; that model is
    called, for at most a tenth of what embedding everything takes, and for a few texts only where the vectors are its
    own already or lead to them by arithmetic. With --distance alone: every check of changing only that.
    """
    from lightmigrate.cli.show import databases

    names = collection or []
    ways = (projection is not None) + bool(target.model)
    if ways > 1 or (not ways and distance is None):
        raise LightmigrateError(
            "give --projection FILE, or --target-model MODEL to see what it costs and keeps, or --distance alone"
        )
    if not target.model:
        with conversation(as_json) as talk:
            if projection is not None:
                checked = plan_projection(database, projection, collections=names, distance=distance, conversation=talk)
            elif distance is not None:
                checked = plan_indexes(database, distance, collections=names, conversation=talk)
        print_result(checked, databases.plan, as_json)
        if not as_json:
            chosen = [word for name in names for word in ("--collection", name)]
            chosen += ["--distance", distance] if distance is not None else []
            chosen += measuring.texts.words
            by = [] if projection is None else ["--projection", projection]
            print_next("migrate", *database.words, *by, *chosen)
        return
    if len(names) > 1:
        raise LightmigrateError(f"{len(names)} collections were named, a budget is for one: plan each")
    with conversation(as_json) as talk:
        planned = plan_budget(
            database,
            target,
            source if source.model else None,
            budget,
            measuring,
            collection="".join(names),
            distance=distance,
            output=output,
            conversation=talk,
        )
    if as_json:
        write_json(planned.to_json())
        return
    _print(planned, output)
    if planned.plan is None:
        words = [*database.words, *target.words, *(word for name in names for word in ("--collection", name))]
        chosen_route = planned.comparison.chosen
        if chosen_route is not None and chosen_route.kind == "own":
            print_next("doctor", *database.words)
        elif chosen_route is not None:
            print_next("migrate", *words)
        for way in planned.comparison.ways_out:
            print_next("migrate", *words, *way.options, why=way.reason)
    elif planned.plan.objection is not None:
        named = [word for name in names for word in ("--collection", name)]
        print_next("migrate", *database.words, *target.words, *named, "--quality", "1", why="to embed everything")
    elif output is not None:
        print_next("migrate", *database.words, "--plan", output)


def _print(planned: Planned, output: Path | None) -> None:
    from lightmigrate.cli.show import budget as show
    from lightmigrate.cli.show import terminal
    from lightmigrate.cli.show.routes import comparison

    terminal.output.print(comparison(planned.comparison))
    if planned.missing_texts is not None and planned.curve is not None:
        terminal.output.print(show.missing_texts(planned.missing_texts, planned.curve.size.records))
    if planned.plan is not None:
        terminal.output.print(show.chosen(planned.plan, output))
    elif planned.curve is not None:
        terminal.output.print(
            "otherwise:  --budget 10%, --budget-tokens N, --max-cost D or --quality .95, with -o FILE"
        )
