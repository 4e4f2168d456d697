"""The command line: one thin function per command.

Results go to stdout (`--json`: one JSON document), progress, questions and errors to stderr. Exit codes:
0 fine, 1 error, 2 refused because going on would not be safe.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import lightmigrate
from lightmigrate import cli_rooms as rooms
from lightmigrate.bars import MigrationBars
from lightmigrate.cli_choices import PROVIDERS, IdKey, InvalidVectors, OnWritten, Route, TextKey, TextsById
from lightmigrate.cli_database import Place, on_database
from lightmigrate.cli_dial import bridge, migrate_planned, refine, status
from lightmigrate.cli_output import confirm as _confirm
from lightmigrate.cli_output import print_result as _print
from lightmigrate.cli_output import write_json as _write_json
from lightmigrate.cli_plan import plan
from lightmigrate.cli_registry import registry
from lightmigrate.cli_train import train
from lightmigrate.console import databases, projections, searches, terminal
from lightmigrate.errors import (
    InvalidVectorsError,
    LightmigrateError,
    RefusedError,
)
from lightmigrate.results import plain
from lightmigrate.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Change the embedding model behind a Chroma database without embedding everything again.\n\n"
    "A run goes  doctor → train → plan → migrate → (resume) → verify → (rollback) → clean.  "
    "Each command prints the next one.",
)

ProjectionFile = Annotated[
    Path, typer.Option("--projection", "-p", help="The projection, .npz or .onnx.", show_default=False)
]
Collections = Annotated[
    list[str] | None,
    typer.Option(
        "--collection",
        "-c",
        help="Only this collection (or TENANT/DATABASE/NAME); may be repeated. "
        "Default: all whose vectors the projection takes.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Index = Annotated[
    Route,
    typer.Option(
        help="A folder's index: keep its graph, if it finds as much as before; rebuild it, nothing else; or rewrite "
        "all records. What cannot be done gives way to the next."
    ),
]


@app.command()
@on_database
def doctor(
    place: Place,
    expected_dim: Annotated[
        int | None, typer.Option(help="Dimension of the embedding model in use.", min=1, show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at a database: collections, dimensions, mismatches, who has it open. Changes nothing."""
    found = place.diagnose(expected_dim)
    _print(found, databases.diagnosis, as_json)
    if not as_json and (found.mismatches or expected_dim is None):
        terminal.output.print(
            terminal.next_command("train", "--from-chroma", place.folder or "FOLDER", "--target-model", "NEW_MODEL")
        )


# --help lists commands in the order in which they are used
app.command()(train)
app.command()(plan)


@app.command()
@on_database
def migrate(
    place: Place,
    projection: Annotated[
        Path | None, typer.Option("--projection", "-p", help="The projection, .npz or .onnx.", show_default=False)
    ] = None,
    calibrate: Annotated[
        int | None,
        typer.Option(
            help="Instead: learn it from so many of the collection's own documents.", min=50, show_default=False
        ),
    ] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Or instead: do what `plan -o` wrote.", show_default=False)
    ] = None,
    target_model: Annotated[
        str, typer.Option(help="The new model, as its provider calls it, to calibrate with.", show_default=False)
    ] = "",
    target_provider: Annotated[str, typer.Option(help=f"Who computes it: {', '.join(PROVIDERS)}.")] = (
        "sentence-transformers"
    ),
    max_cost: Annotated[
        float | None, typer.Option(help="Dollars that calibrating may cost at most.", show_default=False)
    ] = None,
    collection: Collections = None,
    embedding_function: Annotated[
        str | None,
        typer.Option(help="Chroma's name of the new embedding function, to record it.", show_default=False),
    ] = None,
    embedding_config: Annotated[str, typer.Option(help="Its configuration, as JSON.")] = "{}",
    backup: Annotated[bool, typer.Option(help="Keep the old folder; without it there is no rollback.")] = True,
    verify: Annotated[bool, typer.Option(help="Read everything back and compare before the exchange.")] = True,
    invalid_vectors: Annotated[
        InvalidVectors,
        typer.Option(help="NaN, infinite or all-zero vectors: refuse, or put the centre of the new space there."),
    ] = "refuse",
    index: Index = "keep",
    force: Annotated[
        bool, typer.Option(help="Migrate although the projection failed the gate, or is for other vectors.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="File that keeps embeddings, for --plan.", show_default=False)
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="What users asked, for --plan: where it lies now, if it was moved.", show_default=False),
    ] = None,
    texts: TextsById = None,
    text_key: TextKey = "text",
    id_key: IdKey = "id",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Migrate: build the new database aside, verify it, exchange it in one step."""
    if sum(one is not None for one in (projection, calibrate, plan_file)) != 1:
        raise LightmigrateError("give --projection FILE, --calibrate DOCUMENTS to learn one, or --plan FILE")
    function = rooms.recorded_function(embedding_function, embedding_config)
    if plan_file is not None:
        migrate_planned(
            place,
            plan_file,
            function,
            queries,
            texts,
            backup=backup,
            verify=verify,
            invalid_vectors=invalid_vectors,
            force=force,
            index=index,
            cache=cache,
            yes=yes,
            as_json=as_json,
        )
        return
    migrator, bars = place.open(), MigrationBars()

    def agreed() -> None:
        if not yes:
            _confirm("Migrate?" if backup else "Migrate without a backup? There will be no way back.", as_json)
        bars.shown.start()

    jobs: Any
    if projection is not None:
        told = rooms.TextsFile.at(texts, text_key, id_key).read()
        jobs = rooms.jobs_for(migrator, projection, collection, function, told)
        made = migrator.plan(jobs)
        if not yes:
            terminal.messages.print(databases.plan(made))
        agreed()
    else:
        asked = rooms.Calibration(calibrate or 0, target_model, target_provider, max_cost)
        jobs = asked.jobs(migrator, collection, function, force=force, agreed=agreed)
    try:
        results = place.open(bars).migrate_collections(
            jobs, backup, verify, invalid_vectors=invalid_vectors, force=force, index=index
        )
    finally:
        bars.shown.stop()
    _print(results, databases.migrated, as_json)
    if not as_json:
        if embedding_function is None:
            terminal.output.print("the embedding function Chroma records was left as it is (--embedding-function)")
        terminal.output.print(terminal.next_command("verify" if verify else "doctor", *place.words))


@app.command()
@on_database
def resume(
    place: Place,
    undo: Annotated[bool, typer.Option("--undo", help="Throw away what it has built instead.")] = False,
    backup: Annotated[bool, typer.Option(help="Keep the old folder; without it there is no rollback.")] = True,
    index: Index = "keep",
    as_json: AsJson = False,
) -> None:
    """Take up a migration that was interrupted, or undo it. An interrupted exchange is ended by any command."""
    with MigrationBars() as bars:
        migrator = place.open(bars)
        if undo or not migrator.interrupted:
            undone = migrator.undo() if undo else False
            said = migrator.recovered if migrator.recovered and not undo else None
            if as_json:
                _write_json({"undone": undone, "recovered": said})
            else:
                terminal.output.print("thrown away" if undone else said or "nothing was interrupted")
            return
        results = migrator.resume(backup, index=index)
    _print(results, databases.migrated, as_json)
    if not as_json:
        terminal.output.print(terminal.next_command("verify", *place.words))


@app.command()
@on_database
def verify(place: Place, as_json: AsJson = False) -> None:
    """Compare a migrated database with what it held right after its migration. Changes nothing."""
    found = place.open().verify()
    _print(found, databases.checks, as_json)
    unchanged = all(check.unchanged for check in found)
    if not as_json:
        if unchanged:
            terminal.output.print("[green]✓[/] all as the migration left it")
            terminal.output.print(terminal.next_command("clean", *place.words, why="when you are content"))
        else:
            terminal.output.print("written to since the migration, or damaged")
            terminal.output.print(terminal.next_command("rollback", *place.words, why="to go back"))
    if not unchanged:
        raise typer.Exit(1)


@app.command()
@on_database
def rollback(
    place: Place,
    backup: Annotated[str | None, typer.Option(help="Which backup; default: the newest.", show_default=False)] = None,
    written: Annotated[
        OnWritten, typer.Option(help="What to do with records that were written after the migration.")
    ] = "refuse",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back in place, exactly. The database it replaces is kept as a backup."""
    migrator = place.open()
    found = migrator.backups()
    if found and not yes:
        terminal.messages.print(databases.backups(found))
        _confirm(f"Go back to {backup or 'the newest'}?", as_json)
    done = migrator.rollback(backup, written=written)
    _print(done, databases.rolled_back, as_json)
    if not as_json:
        terminal.output.print(terminal.next_command("doctor", *place.words))


@app.command()
@on_database
def clean(
    place: Place,
    backup: Annotated[
        list[str] | None, typer.Option(help="Only this backup; may be repeated.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them. Without it they are only listed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the backups of a database; with `--yes` delete them for good."""
    migrator = place.open()
    found = migrator.clean(backup) if yes else [b for b in migrator.backups() if not backup or b.name in backup]
    _print(found, databases.backups, as_json)
    if not as_json:
        if yes:
            terminal.output.print(f"deleted {len(found)}")
        elif found:
            chosen = [word for name in backup or () for word in ("--backup", name)]
            terminal.output.print(
                terminal.next_command("clean", *place.words, *chosen, "--yes", why="to delete them for good")
            )
        else:
            terminal.output.print("no backups")


@app.command()
def inspect(
    projection: Annotated[Path, typer.Argument(help="The projection, .npz or .onnx.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show what a projection says about itself: models, training, measured quality."""
    loaded = lightmigrate.Projection.load(projection)
    if as_json:
        _write_json(loaded.info.to_json())
    else:
        terminal.output.print(projections.projection(loaded))
        terminal.output.print(terminal.next_command("plan", "DATABASE", "--projection", projection))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where to make the demo's folder.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Do the whole job on a small real database: build, detect, migrate, measure, search."""
    say = terminal.messages.print if as_json else terminal.output.print
    show = rooms.Demo(folder)
    info = show.projection.info
    say(f"[bold]1  A database[/]  {len(show.corpus.ids):,} scientific abstracts, embedded by {info.source.name}")
    show.build()
    say(f"   {show.database}\n\n[bold]2  The model changes[/]  to {info.target.name}")
    before, found = show.search(show.corpus.old_queries), show.detect()
    say(databases.mismatches(found))
    say("\n[bold]3  Migration[/]  built aside, verified, exchanged in one step")
    with MigrationBars() as bars:
        migration = show.migrate(bars)
    say(databases.migrated([migration]))
    say("\n[bold]4  What it kept[/]  against human judgements of relevance")
    retention = show.measure()
    say(searches.retention(retention))
    say("\n[bold]5  Three searches[/]  through Chroma, before and after")
    pairs = show.pair(before, show.search(show.corpus.new_queries))
    say(searches.searches(pairs))
    if as_json:
        _write_json(rooms.DemoResult(show.database, tuple(found), migration, retention, pairs).to_json())
    else:
        say(terminal.next_command("doctor", show.database, "--expected-dim", info.target.dimension, why="look around"))
        say(terminal.next_command("rollback", show.database, why="and back"))


@app.callback(invoke_without_command=True)
def version(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.", show_default=False)] = False,
) -> None:
    """Print the version when asked for it."""
    if show_version:
        terminal.output.print(__version__)
        raise typer.Exit


app.command()(refine)
app.command()(status)
app.command()(bridge)
app.add_typer(registry, name="registry")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; whatever goes wrong is one line, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(words, standalone_mode=False)
    except Exception as error:  # the outermost place: nothing may pass as a traceback
        if os.environ.get("LIGHTMIGRATE_TRACEBACK"):
            raise
        code = _report(error, as_json="--json" in words)
    except KeyboardInterrupt:
        terminal.messages.print("[bold red]interrupted[/]: the database is whole, the old one or the new one")
        code = 1
    raise SystemExit(code if isinstance(code, int) else 0)


def _report(error: Exception, as_json: bool) -> int:
    if isinstance(error, LightmigrateError):
        said, code = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # typer's own: an unknown option, a missing argument, "no" to a question
        said, code = f"{error.format_message()}; see  lightmigrate --help", 1
    elif type(error).__name__ == "Abort":
        said, code = "not confirmed: nothing was changed", RefusedError.exit_code
    else:
        said = f"{type(error).__name__}: {error} (LIGHTMIGRATE_TRACEBACK=1 shows where)"
        code = 1
    line = " ".join(said.split())
    if as_json:
        own = error.__dict__ if isinstance(error, LightmigrateError) else {}  # typer adds a note of its own to it
        numbers = {name: plain(value) for name, value in own.items() if isinstance(value, (int, str, tuple))}
        _write_json({"error": type(error).__name__, "message": line, **numbers})
    word = "refused" if code == RefusedError.exit_code else "error"
    terminal.messages.print(f"[bold red]{word}:[/] {escape(line)}")
    if isinstance(error, InvalidVectorsError):
        terminal.messages.print(f"  ids: {escape(', '.join(error.ids[:10]))}{' …' if len(error.ids) > 10 else ''}")
    return code
