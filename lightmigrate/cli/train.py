"""`lightmigrate train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lightmigrate.cli.database import SERVER_DATABASE, database_of
from lightmigrate.cli.groups import Group, expanded
from lightmigrate.cli.options import (
    METHODS,
    NEW_MODEL,
    REQUIRED_TARGET,
    SOURCE,
    AsJson,
    Cache,
    Collection,
    IdKey,
    Metric,
    Queries,
    Seed,
    TextField,
    TextKey,
    TextTemplate,
    Yes,
    option,
)
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.train import Documents, FitOptions, Output
from lightmigrate.commands.train import train as train_on
from lightmigrate.errors import LightmigrateError, RefusedError

_DOCUMENTS, _FIT, _OUTPUT = "Documents", "Fit", "Output"


def _documents(
    from_database: str | None, from_chroma: str | None, reads_texts: bool | None, text_template: str, **more: object
) -> Documents:
    named = from_database or from_chroma
    choice = None if named is None else database_of(named)
    template = text_template.replace("\\n", "\n")
    return Documents(database=choice, reads_texts=reads_texts, text_template=template, **more)  # type: ignore[arg-type]  # as declared below


_FROM = Group(
    {
        "from_database": (
            Annotated[str | None, option("Calibrate on the documents of this database.", "--from", panel=_DOCUMENTS)],
            None,
        ),
        "from_chroma": (Annotated[str | None, option("The same.", "--from-chroma", hidden=True)], None),
        "collection": (Collection, ""),
        "texts": (
            Annotated[
                Path | None,
                option(
                    "Calibrate on a .txt, .jsonl or .parquet file. With --from: its texts by id, .jsonl.",
                    "--texts",
                    panel=_DOCUMENTS,
                ),
            ],
            None,
        ),
        "text_key": (TextKey, "text"),
        "id_key": (IdKey, "id"),
        "text_field": (TextField, ""),
        "text_template": (TextTemplate, ""),
        "samples": (
            Annotated[int, option("How many documents.", "--samples", panel=_DOCUMENTS, min=2, show_default=True)],
            1000,
        ),
        "queries": (Queries, None),
        "reads_texts": (
            Annotated[
                bool | None,
                option(
                    "Let the projection read the documents; by default if the database stores them. Otherwise "
                    "`migrate` needs the same --texts.",
                    "--read/--no-read",
                    panel=_DOCUMENTS,
                ),
            ],
            None,
        ),
        "distance": (
            Annotated[
                Metric | None,
                option("Distance to judge by; by default that of the collection.", "--distance", panel=_DOCUMENTS),
            ],
            None,
        ),
    },
    _documents,
)

_FITTING = Group(
    {
        "method": (
            Annotated[
                str,
                option(f"auto, {', '.join(METHODS)}, or mlp (a network; needs torch).", panel=_FIT, show_default=True),
            ],
            "auto",
        ),
        "prior": (
            Annotated[Path | None, option("A projection of the same models to build on.", panel=_FIT)],
            None,
        ),
        "device": (Annotated[str, option("cuda or cpu; by default cuda where torch finds one.", panel=_FIT)], ""),
        "seed": (Seed, 0),
        "holdout": (
            Annotated[
                float,
                option(
                    "Share of the documents that only judge; 0: all of them teach and judge.",
                    panel=_FIT,
                    show_default=True,
                ),
            ],
            0.0,
        ),
        "passing": (
            Annotated[float, option("Expected retention that passes the gate.", panel=_FIT, show_default=True)],
            0.85,
        ),
        "failing": (
            Annotated[float, option("Expected retention below which it fails.", panel=_FIT, show_default=True)],
            0.6,
        ),
    },
    FitOptions,
)

_SAVING = Group(
    {
        "output_dir": (
            Annotated[Path, option("Folder for the projection.", panel=_OUTPUT, show_default=True)],
            Path("projections"),
        ),
        "onnx": (Annotated[bool, option("Also write it as .onnx.", "--onnx", panel=_OUTPUT)], False),
        "cache": (Cache, None),
    },
    lambda output_dir, onnx, cache: Output(output_dir, onnx, cache),
)


@expanded
def train(
    target: Annotated[ModelChoice, REQUIRED_TARGET],
    source: Annotated[ModelChoice, SOURCE],
    documents: Annotated[Documents, _FROM],
    fit: Annotated[FitOptions, _FITTING],
    output: Annotated[Output, _SAVING],
    server: Annotated[DatabaseChoice | None, SERVER_DATABASE],
    max_cost: Annotated[
        float | None, option("Dollars that may be spent at most.", "--max-cost", panel=NEW_MODEL)
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Train a projection on your own documents and judge it.

    Calibrating on the database itself (`--from`, or a Chroma server's with `--host`) needs only the new model: the old
    vectors are stored. If it stores no texts and you have them, add `--texts FILE.jsonl`, one {"id": …, "text": …} a
    line.
    """
    from lightmigrate.cli.show import projections

    if server is not None:
        if documents.database is not None:
            raise LightmigrateError("name one database: --from, or a Chroma server with --host")
        documents = replace(documents, database=server)
    with conversation(as_json, yes) as talk:
        trained = train_on(documents, target, source, fit, output, max_cost=max_cost, conversation=talk)
    print_result(trained, projections.trained, as_json)
    if not as_json:
        database = ("DATABASE",) if documents.database is None else documents.database.words
        judged = ["--distance", documents.distance] if documents.distance is not None else []
        print_next("plan", *database, "--projection", trained.files[0], *judged)
        print_next("registry", "add", trained.files[0], why="for other databases too")
    if trained.training.gate.verdict == "FAIL":
        raise typer.Exit(RefusedError.exit_code)
