"""`lightmigrate plan`: what a projection would do, or what a new model would cost and keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightmigrate import cli_rooms as rooms
from lightmigrate.cli_choices import PROVIDERS, IdKey, TextKey, TextsById
from lightmigrate.cli_database import Place, on_database
from lightmigrate.cli_dial import Budget, NewModel, draw
from lightmigrate.cli_output import print_result
from lightmigrate.console import databases, terminal
from lightmigrate.errors import LightmigrateError

_MODEL, _BUDGET = "The price of a new model", "What to choose"


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", False), **more)


@on_database
def plan(
    place: Place,
    projection: Annotated[
        Path | None, typer.Option("--projection", "-p", help="The projection, .npz or .onnx.", show_default=False)
    ] = None,
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection",
            "-c",
            help="Only this collection (or TENANT/DATABASE/NAME); may be repeated.",
            show_default=False,
        ),
    ] = None,
    target_model: Annotated[str, _option(_MODEL, "The new model, as its provider calls it.")] = "",
    target_provider: Annotated[str, _option(_MODEL, f"Who computes it: {', '.join(PROVIDERS)}.", show_default=True)] = (
        "sentence-transformers"
    ),
    target_url: Annotated[str, _option(_MODEL, "Base URL of an OpenAI-compatible server.")] = "",
    target_prefix: Annotated[str, _option(_MODEL, "Put before every document, such as 'passage: '.")] = "",
    target_query_prefix: Annotated[str, _option(_MODEL, "Put before every query, such as 'query: '.")] = "",
    target_revision: Annotated[str, _option(_MODEL, "Commit of its weights.")] = "",
    target_tokenizer: Annotated[Path | None, _option(_MODEL, "tokenizer.json of an ONNX encoder elsewhere.")] = None,
    price: Annotated[float | None, _option(_MODEL, "Dollars for a million tokens, where it is not known.")] = None,
    source_model: Annotated[str, _option(_MODEL, "The old model, to compare with doing nothing.")] = "",
    source_provider: Annotated[str, _option(_MODEL, "Who computes it.", show_default=True)] = "sentence-transformers",
    source_tokenizer: Annotated[Path | None, _option(_MODEL, "tokenizer.json of an ONNX encoder elsewhere.")] = None,
    samples: Annotated[int | None, _option(_MODEL, "Documents to calibrate on.", min=2)] = None,
    queries: Annotated[Path | None, _option(_MODEL, "What users asked, .txt, .jsonl or .parquet.")] = None,
    texts: TextsById = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    seed: Annotated[int, _option(_MODEL, "Of every random choice.", show_default=True)] = 0,
    cache: Annotated[Path | None, _option(_MODEL, "File that keeps embeddings.")] = None,
    budget: Annotated[str, _option(_BUDGET, "The best for so much of all tokens, such as 10%.")] = "",
    budget_tokens: Annotated[int | None, _option(_BUDGET, "The best for so many tokens.", min=1)] = None,
    max_cost: Annotated[float | None, _option(_BUDGET, "The best for so many dollars.")] = None,
    quality: Annotated[
        float | None, _option(_BUDGET, "The cheapest that is expected to keep so much, like .95.")
    ] = None,
    output: Annotated[Path | None, _option(_BUDGET, "Write what was chosen, for migrate --plan.", "--output", "-o")] = (
        None
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Show what `migrate` would do, and whether it can. Changes no record.

    With a projection: every check. With a new model (--target-model): what each share of its price buys.
    """
    if (projection is None) == (not target_model):
        raise LightmigrateError("give --projection FILE, or --target-model MODEL to see what it costs and keeps")
    said = Budget.said(budget, budget_tokens, max_cost, quality)
    if projection is not None:
        migrator = place.open()
        made = migrator.plan(rooms.jobs_for(migrator, projection, collection))
        print_result(made, databases.plan, as_json)
        if not as_json:
            chosen = [word for name in collection or () for word in ("--collection", name)]
            chosen += [] if texts is None else ["--texts", str(texts)]
            terminal.output.print(terminal.next_command("migrate", *place.words, "--projection", projection, *chosen))
        return
    if len(collection or ()) > 1:
        raise LightmigrateError(f"{len(collection or ())} collections were named, a budget is for one: plan each")
    draw(
        place,
        (collection or [""])[0],
        NewModel(
            _given(
                provider=target_provider,
                model=target_model,
                base_url=target_url,
                prefix=target_prefix,
                query_prefix=target_query_prefix,
                revision=target_revision,
                tokenizer=None if target_tokenizer is None else str(target_tokenizer),
                price=price,
            ),
        ),
        NewModel(
            _given(
                provider=source_provider,
                model=source_model,
                tokenizer=None if source_tokenizer is None else str(source_tokenizer),
            )
        )
        if source_model
        else None,
        said,
        samples,
        queries,
        rooms.TextsFile.at(texts, text_key, id_key),
        seed,
        cache,
        output,
        as_json,
    )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, "")}
