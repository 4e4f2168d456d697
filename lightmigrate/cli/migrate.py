"""`lightmigrate migrate`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import Group, expanded
from lightmigrate.cli.options import (
    MIGRATION,
    MIGRATION_OPTIONS,
    NEW_MODEL,
    OPTIONAL_TARGET,
    TEXTS,
    AsJson,
    Cache,
    Collections,
    Distance,
    ProjectionFile,
    Queries,
    Yes,
    option,
)
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.arguments import ModelChoice, TextsChoice, function_record
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.embed_again import migrate_embedding_again
from lightmigrate.commands.folder import is_folder_of_units, migrate_folder, migrate_folder_by_plan
from lightmigrate.commands.migrate import FunctionRecord, migrate_by_plan, migrate_with_projection
from lightmigrate.commands.new_index import rebuild_indexes
from lightmigrate.commands.to_model import NewModel, migrate_to_model
from lightmigrate.commands.transfer import transfer
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.routes.goal import Goal

if TYPE_CHECKING:
    from lightmigrate.scale.executor import Executor

_FUNCTION = Group(
    {
        "embedding_function": (
            Annotated[
                str | None,
                option(
                    "Record this embedding function, by Chroma's name, with the collections.",
                    "--embedding-function",
                    panel=MIGRATION,
                ),
            ],
            None,
        ),
        "embedding_config": (
            Annotated[
                str, option("Its configuration, as JSON.", "--embedding-config", panel=MIGRATION, show_default=True)
            ],
            "{}",
        ),
    },
    lambda embedding_function, embedding_config: function_record(embedding_function, embedding_config),
)

_GOAL = Group(
    {
        "quality": (
            Annotated[
                float,
                option(
                    "Share of what embedding everything gives that --target-model is expected to keep at least.",
                    "--quality",
                    panel=NEW_MODEL,
                    show_default=True,
                ),
            ],
            0.95,
        ),
        "max_seconds": (
            Annotated[
                float | None,
                option(
                    "Seconds that a route to --target-model may take, as predicted.", "--max-seconds", panel=NEW_MODEL
                ),
            ],
            None,
        ),
        "max_cost": (
            Annotated[
                float | None,
                option("Dollars that embedding may cost at most.", "--max-cost", panel=NEW_MODEL),
            ],
            None,
        ),
    },
    lambda quality, max_seconds, max_cost: Goal(quality, max_seconds, max_cost),
)


@expanded
def migrate(
    database: Annotated[DatabaseChoice, DATABASE],
    target: Annotated[ModelChoice, OPTIONAL_TARGET],
    options: Annotated[MigrationOptions, MIGRATION_OPTIONS],
    function: Annotated[FunctionRecord | None, _FUNCTION],
    texts: Annotated[TextsChoice, TEXTS],
    goal: Annotated[Goal, _GOAL],
    projection: ProjectionFile = None,
    calibrate: Annotated[
        int | None,
        option(
            "Instead of --projection: train one on so many of the collection's own documents.", "--calibrate", min=50
        ),
    ] = None,
    embed_again: Annotated[
        bool,
        option(
            "Instead of --projection: make the named collections anew from their stored texts, for vectors that cannot "
            "be read.",
            "--embed-again",
        ),
    ] = False,
    plan_file: Annotated[
        Path | None, option("Instead of --projection: carry out what `plan -o` wrote.", "--plan")
    ] = None,
    to: Annotated[
        str | None,
        option(
            "Build the collections in this other database instead; the source is only read. With "
            "--projection, or without for the same vectors.",
            "--to",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option(
            "With --projection or --plan: the database is a folder of Parquet or .npy files that are one collection, "
            "or a Lance table; so many processes convert them, for a folder by default as many as there are cores.",
            "--workers",
            min=1,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        option(
            "The same by a cluster: `ray` for the one that this machine belongs to, or ray://HOST:10001. All its "
            "machines see the folder under the same path.",
            "--cluster",
        ),
    ] = None,
    collection: Collections = None,
    distance: Distance = None,
    queries: Queries = None,
    cache: Cache = None,
    show_ids: Annotated[  # where errors are printed
        bool, option("Show the ids of the records that are refused.", "--show-ids")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Build a new database aside, verify it, put it in place at once.

    With --target-model alone on the cheapest route that keeps --quality: small databases are embedded again, of large
    ones a part, and the rest is projected. Or with a projection, with one trained on the collection (--calibrate), as
    `plan -o` planned (--plan), or from the stored texts alone (--embed-again). With --distance alone, or --index
    rebuild alone, the vectors stay.
    """
    from lightmigrate.cli.show import databases, folders, scores, terminal

    by_file = workers is not None or cluster is not None
    if by_file or (to is None and is_folder_of_units(database)):
        given = {
            "--target-model": target.model, "--calibrate": calibrate, "--embed-again": embed_again,
            "--to": to, "--collection": collection, "--distance": distance,
            "--queries": queries if plan_file is None else None,
            "--embedding-function": function, "--index": options.index != "keep", "--texts": texts.path,
            "--text-field": texts.field, "--text-template": texts.template, "--verify none": not options.verify,
            "--workers": workers is not None and cluster is not None,
        }  # fmt: skip
        if others := [name for name, value in given.items() if value]:
            way = "--cluster" if cluster is not None else "--workers" if by_file else "a folder of many files"
            raise LightmigrateError(f"{way} goes with --projection or --plan alone: leave out {', '.join(others)}")
        if (projection is None) == (plan_file is None):
            words = [shlex.join(["lightmigrate", *way, *database.words]) for way in (("train", "--from"), ("plan",))]
            raise LightmigrateError(
                "--workers, --cluster and many files need --projection FILE or --plan FILE:  "
                f"{words[0]} --target-model NEW_MODEL  or  {words[1]} --target-model NEW_MODEL --budget 30% -o FILE  "
                "makes one"
            )
        executor = _executor(workers, cluster)
        with conversation(as_json, yes) as talk:
            if plan_file is not None:
                by_workers = migrate_folder_by_plan(
                    database,
                    plan_file,
                    options,
                    executor,
                    queries=queries,
                    cache=cache,
                    max_cost=goal.max_cost,
                    conversation=talk,
                )
            elif projection is not None:
                by_workers = migrate_folder(database, projection, options, executor, conversation=talk)
        print_result(by_workers, folders.migrated, as_json)
        if not as_json:
            print_next("verify", *database.words)
        return
    ways = sum(choice is not None for choice in (projection, calibrate, plan_file, embed_again or None))
    if to is not None:
        if target.model or ways > (projection is not None):
            raise LightmigrateError(
                "--to takes --projection FILE (see lightmigrate train), or nothing to keep the vectors, so that the "
                "target can be migrated afterwards"
            )
        with conversation(as_json, yes) as talk:
            transferred = transfer(
                database,
                to,
                options,
                projection=projection,
                collections=collection or [],
                function=function,
                texts=texts,
                distance=distance,
                conversation=talk,
            )
        print_result(transferred, databases.transferred, as_json)
        if not as_json:
            print_next("doctor", transferred.target, why="the collections are there now")
        return
    index_alone = not ways and not target.model
    if ways > 1 or (index_alone and distance is None and options.index == "keep"):
        raise LightmigrateError(
            "give --target-model MODEL to take the best route; or one of --projection FILE, --calibrate DOCUMENTS, "
            "--plan FILE and --embed-again; or --distance or --index rebuild alone to change only the index"
        )
    names = collection or []
    with conversation(as_json, yes) as talk:
        if projection is not None:
            results = migrate_with_projection(
                database,
                projection,
                options,
                collections=names,
                function=function,
                texts=texts,
                distance=distance,
                conversation=talk,
            )
        elif plan_file is not None:
            results = [
                migrate_by_plan(
                    database,
                    plan_file,
                    options,
                    function=function,
                    queries=queries,
                    texts=texts,
                    cache=cache,
                    max_cost=goal.max_cost,
                    distance=distance,
                    conversation=talk,
                )
            ]
        elif embed_again:
            results = migrate_embedding_again(
                database,
                target,
                options,
                collections=names,
                max_cost=goal.max_cost,
                function=function,
                texts=texts,
                cache=cache,
                distance=distance,
                conversation=talk,
            )
        elif target.model or calibrate is not None:
            results = migrate_to_model(
                database,
                NewModel(target, calibrate, goal, queries, cache),
                options,
                collections=names,
                function=function,
                texts=texts,
                distance=distance,
                conversation=talk,
            )
        else:
            results = rebuild_indexes(
                database, distance, options, collections=names, function=function, conversation=talk
            )
    print_result(results, databases.migrated, as_json)
    if as_json:
        return
    if example := scores.example([result.scores for result in results]):
        print_next("status", *database.words, "--thresholds", example, why="if results are cut off by a distance")
    if plan_file is not None:
        print_next("status", *database.words)
        return
    if function is None and projection is not None:
        terminal.output.print("the recorded embedding function was not changed (--embedding-function)")
    print_next("verify" if options.verify else "doctor", *database.words)


def _executor(workers: int | None, cluster: str | None) -> Executor:
    from lightmigrate.scale.clusters import open_cluster
    from lightmigrate.scale.processes import Processes
    from lightmigrate.system import cores

    return Processes(workers or cores()) if cluster is None else open_cluster(cluster)
