"""`lightmigrate refine`."""

from __future__ import annotations

from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import Group, expanded
from lightmigrate.cli.options import AsJson, Cache, Collection, Order, Queries, TextsFile, Yes, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.refine import RefinementOptions
from lightmigrate.commands.refine import refine as embed_more

_OPTIONS = Group(
    {
        "documents": (Annotated[int | None, option("Embed at most so many documents.", "--documents", min=1)], None),
        "tokens": (Annotated[int | None, option("Embed at most so many tokens.", "--tokens", min=1)], None),
        "seconds": (
            Annotated[
                float | None,
                option("Stop after about so many seconds; one batch is embedded at least.", "--seconds", min=0),
            ],
            None,
        ),
        "order": (
            Annotated[Order, option("Which documents come first.", "--order", show_default=True)],
            "random",
        ),
        "queries": (Queries, None),
        "refit": (
            Annotated[
                bool,
                option(
                    "Refit the projection on the exact rows and project the others again; only in random order.",
                    "--refit/--no-refit",
                    show_default=True,
                ),
            ],
            True,
        ),
    },
    RefinementOptions,
)


@expanded
def refine(
    database: Annotated[DatabaseChoice, DATABASE],
    options: Annotated[RefinementOptions, _OPTIONS],
    collection: Collection = "",
    texts: TextsFile = None,
    cache: Cache = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Embed more rows of a migrated collection with the new model.

    Of one that was migrated by --target-model, --calibrate or --plan; the model is the one that it was migrated to. A
    folder may not be open elsewhere meanwhile; a server's database may (--host).
    """
    from lightmigrate.cli.show import budget

    with conversation(as_json, yes) as talk:
        done = embed_more(database, options, collection=collection, texts=texts, cache=cache, conversation=talk)
    print_result(done, budget.refined, as_json)
    if not as_json and done.status.waiting:
        print_next("refine", *database.words, why="go on")
