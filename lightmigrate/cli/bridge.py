"""`lightmigrate bridge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import REQUIRED_TARGET, TEXTS, AsJson, Cache, Collection, option
from lightmigrate.cli.output import conversation, write_json
from lightmigrate.commands.arguments import ModelChoice, TextsChoice
from lightmigrate.commands.bridge import bridge as fit
from lightmigrate.commands.database import DatabaseChoice


@expanded
def bridge(
    database: Annotated[DatabaseChoice, DATABASE],
    target: Annotated[ModelChoice, REQUIRED_TARGET],
    texts: Annotated[TextsChoice, TEXTS],
    output: Annotated[Path, option("File for the projection, .npz.", "--output", "-o")],
    collection: Collection = "",
    samples: Annotated[int, option("How many documents to fit to.", "--samples", min=50, show_default=True)] = 1000,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Search a collection that is not migrated with the new model.

    Fits a projection from the new model to the old one, which `BridgedEmbeddingFunction` uses. Only reads the database.
    """
    from rich.markup import escape

    from lightmigrate.cli.show import projections, terminal

    with conversation(as_json) as talk:
        projection = fit(
            database,
            target,
            output,
            collection=collection,
            samples=samples,
            texts=texts,
            cache=cache,
            conversation=talk,
        )
    if as_json:
        write_json({"file": str(output), **projection.info.to_json()})
    else:
        terminal.output.print(projections.projection(projection))
        terminal.output.print(f"written: {escape(str(output))}")
