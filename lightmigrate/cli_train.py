"""`lightmigrate train`: calibrate on documents, judge, save. Writes files in its output folder and in the cache."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lightmigrate
from lightmigrate import cli_rooms as rooms
from lightmigrate.bars import TrainingBars
from lightmigrate.cli_choices import METHODS, MOST_QUERIES, PROVIDERS
from lightmigrate.console import projections, terminal
from lightmigrate.errors import CollectionNotFoundError, LightmigrateError, RefusedError
from lightmigrate.files import user_folder
from lightmigrate.results import plain

if TYPE_CHECKING:
    from lightmigrate.stores.base import Address

# What `--method` takes.
_METHODS = ("auto", *METHODS, "mlp")

_SOURCES, _OLD, _NEW, _FIT, _OUTPUT = "Documents", "Old model", "New model", "Fit", "Output"


def _option(panel: str, help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", False), **more)


def train(
    target_model: Annotated[str, _option(_NEW, "The new model, as its provider calls it.")],
    target_provider: Annotated[str, _option(_NEW, f"Who computes it: {', '.join(PROVIDERS)}.", show_default=True)] = (
        "sentence-transformers"
    ),
    target_url: Annotated[str, _option(_NEW, "Base URL of an OpenAI-compatible server.")] = "",
    target_prefix: Annotated[str, _option(_NEW, "Put before every document, such as 'passage: '.")] = "",
    target_query_prefix: Annotated[str, _option(_NEW, "Put before every query, such as 'query: '.")] = "",
    target_revision: Annotated[str, _option(_NEW, "Commit of its weights.")] = "",
    target_tokenizer: Annotated[Path | None, _option(_NEW, "tokenizer.json of an ONNX encoder elsewhere.")] = None,
    price: Annotated[float | None, _option(_NEW, "Dollars for a million tokens, where it is not known.")] = None,
    max_cost: Annotated[float | None, _option(_NEW, "Dollars that may be spent at most.")] = None,
    from_chroma: Annotated[Path | None, _option(_SOURCES, "Calibrate on the documents of this database.")] = None,
    collection: Annotated[str, _option(_SOURCES, "Which collection; the only one when left out.")] = "",
    texts: Annotated[
        Path | None,
        _option(_SOURCES, "Calibrate on a .txt, .jsonl or .parquet file. With --from-chroma: its texts by id, .jsonl."),
    ] = None,
    text_key: Annotated[str, _option(_SOURCES, "Field or column of the texts.", show_default=True)] = "text",
    id_key: Annotated[str, _option(_SOURCES, "Field of the ids, for texts by id.", show_default=True)] = "id",
    samples: Annotated[int, _option(_SOURCES, "How many documents.", min=2, show_default=True)] = 1000,
    queries: Annotated[
        Path | None, _option(_SOURCES, "What users asked, .txt, .jsonl or .parquet: the gate then judges by that.")
    ] = None,
    source_model: Annotated[str, _option(_OLD, "The old model. With stored vectors only its name is needed.")] = "",
    source_provider: Annotated[str, _option(_OLD, "Who computes it. With stored vectors: to compare with it.")] = "",
    source_url: Annotated[str, _option(_OLD, "Base URL of an OpenAI-compatible server.")] = "",
    source_prefix: Annotated[str, _option(_OLD, "Put before every document.")] = "",
    source_query_prefix: Annotated[str, _option(_OLD, "Put before every query.")] = "",
    source_revision: Annotated[str, _option(_OLD, "Commit of its weights.")] = "",
    source_tokenizer: Annotated[Path | None, _option(_OLD, "tokenizer.json of an ONNX encoder elsewhere.")] = None,
    method: Annotated[
        str, _option(_FIT, f"{', '.join(_METHODS)} (a network; needs torch).", show_default=True)
    ] = "auto",
    prior: Annotated[Path | None, _option(_FIT, "A projection between the same models to build on.")] = None,
    read_texts_too: Annotated[
        bool | None,
        _option(
            _FIT,
            "Whether the map reads the documents: by default if the database stores them; else give migrate --texts.",
            "--read/--no-read",
        ),
    ] = None,
    device: Annotated[str, _option(_FIT, "cuda or cpu; found out when left out.")] = "",
    seed: Annotated[int, _option(_FIT, "Of every random choice.", show_default=True)] = 0,
    holdout: Annotated[
        float, _option(_FIT, "Share of the documents only to judge by; by default all judge.", show_default=True)
    ] = 0.0,
    passing: Annotated[float, _option(_FIT, "Expected retention that passes the gate.", show_default=True)] = 0.85,
    failing: Annotated[float, _option(_FIT, "Expected retention below which it fails.", show_default=True)] = 0.6,
    output_dir: Annotated[Path, _option(_OUTPUT, "Folder for the projection.", show_default=True)] = Path(
        "projections"
    ),
    onnx: Annotated[bool, _option(_OUTPUT, "Also write it as .onnx.")] = False,
    cache: Annotated[
        Path | None, _option(_OUTPUT, f"File that keeps embeddings; default embeddings.sqlite3 in {user_folder()}.")
    ] = None,
    yes: Annotated[bool, _option(_OUTPUT, "Do not ask before a model that costs money is called.", "--yes", "-y")] = (
        False
    ),
    as_json: Annotated[bool, _option(_OUTPUT, "Print one JSON document on stdout.", "--json")] = False,
) -> None:
    """Train a projection on your own documents, and let the gate say what to expect of it.

    Calibrating on the database itself (`--from-chroma`) needs the new model only: the old vectors are stored. If it
    stores no texts and you have them, add `--texts FILE.jsonl`, a line {"id": …, "text": …} for each.
    """
    if method not in _METHODS:
        raise LightmigrateError(f"no method {method!r}; there are: {', '.join(_METHODS)}")
    thresholds = lightmigrate.Thresholds(passing, failing)
    start = lightmigrate.Projection.load(prior) if prior is not None else None
    device = device or _found_device()
    target = _provider(
        target_provider,
        target_model,
        cache,
        device,
        base_url=target_url,
        prefix=target_prefix,
        query_prefix=target_query_prefix,
        revision=target_revision,
        tokenizer=target_tokenizer,
        price=price,
        max_cost=max_cost,
    )
    source = None
    if source_provider or (source_model and from_chroma is None):
        source = _provider(
            source_provider or "sentence-transformers",
            source_model,
            cache,
            device,
            base_url=source_url,
            prefix=source_prefix,
            query_prefix=source_query_prefix,
            revision=source_revision,
            tokenizer=source_tokenizer,
        )
    elif from_chroma is None:
        raise LightmigrateError("without --from-chroma the old model is needed too: --source-model")
    with TrainingBars() as bars:
        material = (
            _from_chroma(
                from_chroma,
                collection,
                samples,
                seed,
                read_texts_too,
                rooms.TextsFile.at(texts, text_key, id_key).read(),
                bars,
            )
            if from_chroma is not None
            else _from_texts(texts, text_key, samples, seed, read_texts_too)
        )
    if queries is not None:
        asked = rooms.read_texts(queries, text_key)
        material = replace(material, queries=rooms.draw(asked, min(len(asked), MOST_QUERIES), seed))
    reading = rooms.Reading.of(material, seed)
    bill = reading.bill(target)
    if not as_json:
        terminal.messages.print(projections.asked_for(reading, bill, target.name))
    if bill.dollars != 0 and not yes:
        if as_json or not sys.stdin.isatty():
            raise RefusedError(f"{target.name} costs money: add --yes to go ahead without being asked")
        typer.confirm("Embed?", abort=True, err=True)
    stored = None
    if material.vectors is not None:
        known = start.info.source if start is not None else None
        stored = known or lightmigrate.Model(source_model or "unnamed", material.vectors.shape[1], source_provider)
    with TrainingBars() as bars:
        done = lightmigrate.train(
            material,
            target,
            source,
            source_model=None if source is not None else stored,
            method=method,  # type: ignore[arg-type]  # checked above
            prior=start,
            holdout=holdout,
            thresholds=thresholds,
            device=device,
            seed=seed,
            on_progress=bars,
        )
    name = rooms.file_name_of(done.projection.info.source, done.projection.info.target)
    lightmigrate.Registry(output_dir).add(done.projection, name)
    written = [output_dir / name]
    if onnx:
        written.append(done.projection.export_onnx((output_dir / name).with_suffix(".onnx")))
    if as_json:
        sys.stdout.write(json.dumps({"files": plain(written), **done.to_json()}, indent=2) + "\n")
    else:
        terminal.output.print(projections.trained(done, written))
        database = from_chroma or "DATABASE"
        terminal.output.print(terminal.next_command("plan", database, "--projection", written[0]))
        terminal.output.print(terminal.next_command("registry", "add", written[0], why="for other databases too"))
    if done.gate.verdict == "FAIL":
        raise typer.Exit(RefusedError.exit_code)


def _provider(provider: str, model: str, cache: Path | None, device: str, **options: Any) -> lightmigrate.Provider:
    if provider == "sentence-transformers":
        options["device"] = device
    return rooms.Cached(lightmigrate.open_provider(provider, model, **options), cache)


def _from_chroma(
    path: Path,
    name: str,
    samples: int,
    seed: int,
    read: bool | None,
    texts: dict[str, str],
    bars: TrainingBars,
) -> lightmigrate.Material:
    catalog = lightmigrate.ChromaMigrator(path).collections()
    filled = [facts.address for facts in catalog if facts.count and facts.dimension]
    wanted = [address for address in filled if not name or name in (address.name, str(address))]
    if len(wanted) != 1:
        known = ", ".join(str(address) for address in filled) or "none with vectors"
        raise CollectionNotFoundError(f"--collection must name one collection of {path}; there are: {known}")
    rooms.require_unused(path)
    address: Address = wanted[0]
    with closing(rooms.ChromaStore(path)) as store:
        sample = rooms.sample_collection(
            rooms.WithTexts(store.collection(address), texts),
            samples,
            seed=seed,
            progress=lambda done, total: bars("reading", done, total),
        )
    about = {"corpus": f"collection {address}", **sample.report.to_json()}
    # what the database does not store is only read by a migration that is given it, too
    words = sample.words if (not texts if read is None else read) else None
    return lightmigrate.Material(sample.texts, sample.vectors, words, sample.report.usable, about)


def _from_texts(path: Path | None, key: str, samples: int, seed: int, read: bool | None) -> lightmigrate.Material:
    everything = rooms.packaged_corpus() if path is None else rooms.read_texts(path, key)
    words = None
    # The packaged texts are in nobody's database, so that reading them would teach words that do not matter there.
    if read or (read is None and path is not None):
        counter = rooms.WordCounter()
        for text in everything:
            counter.add(text)
        words = counter.frequent()
    about = {"corpus": "WordNet 3.0 (packaged)" if path is None else path.name, "records": len(everything)}
    return lightmigrate.Material(rooms.draw(everything, samples, seed), None, words, len(everything), about)


def _found_device() -> str:
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
