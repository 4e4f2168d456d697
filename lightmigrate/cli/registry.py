"""`lightmigrate registry`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightmigrate.cli.options import REGISTRY_VARIABLE, AsJson, Yes, option
from lightmigrate.cli.output import conversation, print_next, print_result
from lightmigrate.commands import registry as commands

registry = typer.Typer(
    no_args_is_help=True,
    help="List, add, remove, check and find projections.\n\nThey are looked for in the folders that "
    f"{REGISTRY_VARIABLE} names, in the user's own folder, and among the packaged ones.",
)

Name = Annotated[
    str, typer.Argument(help="File name, with or without its ending; with its folder where several have it.")
]


@registry.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List all projections. Only reads."""
    from lightmigrate.cli.show import projections

    listed = commands.list_projections()
    print_result(listed, projections.listed, as_json)
    if as_json:
        return
    if listed:
        print_next("registry", "show", Path(listed[0].entry.file).stem)
    else:
        print_next("registry", "add", "FILE")


@registry.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what is listed of one projection: models, training, stated quality. Only reads."""
    from rich.markup import escape

    from lightmigrate.cli.show import projections, terminal

    first, *others = commands.show_projection(name)
    for other in others:
        terminal.messages.print(f"[yellow]also[/] {escape(str(other.file))}")
    print_result(first, projections.entry, as_json)
    if not as_json:
        print_next("plan", "DATABASE", "--projection", first.file)


@registry.command()
def add(
    file: Annotated[Path, typer.Argument(help="The projection, .npz or .onnx.", show_default=False)],
    to: Annotated[Path | None, option("Folder; the user's own by default.", "--to")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Copy a projection into a folder and list it there."""
    from rich.markup import escape

    from lightmigrate.cli.show import terminal

    with conversation(as_json, yes) as talk:
        added = commands.add_projection(file, to, conversation=talk)
    print_result(added, lambda listed: f"[green]✓[/] {escape(str(listed.file))}", as_json)
    if as_json:
        return
    if not added.searched:
        terminal.output.print(f"{escape(str(added.folder))} is searched if {REGISTRY_VARIABLE} names it")
    print_next("plan", "DATABASE", "--projection", added.file)


@registry.command()
def remove(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a projection from its list and delete its file. Packaged ones stay."""
    from rich.markup import escape

    with conversation(as_json, yes) as talk:
        removed = commands.remove_projection(name, conversation=talk)
    print_result(removed, lambda listed: f"removed {escape(str(listed.file))}", as_json)
    if not as_json:
        print_next("registry", "list")


@registry.command()
def verify(as_json: AsJson = False) -> None:
    """Check every listed file: there, unaltered, readable, what the list says. Only reads."""
    from lightmigrate.cli.show import projections, terminal

    folders = commands.verify_projections()
    if as_json:
        print_result({str(folder.folder): folder.problems for folder in folders}, projections.problems, as_json)
    else:
        terminal.output.print(projections.problems(folders))
        print_next("registry", "list")
    if any(folder.problems for folder in folders):
        raise typer.Exit(1)


@registry.command()
def find(
    source: Annotated[str, option("The old model, or its dimension.", "--from")],
    target: Annotated[str, option("The new model, or its dimension.", "--to")],
    as_json: AsJson = False,
) -> None:
    """Find what leads from one model to another, best first. Only reads."""
    from lightmigrate.cli.show import projections, terminal

    candidates = commands.find_projections(source, target)
    print_result(candidates, projections.candidates, as_json)
    if as_json:
        return
    if not candidates:
        print_next("train", "--from", "DATABASE", "--target-model", target)
        return
    best = candidates[0]
    if best.by == "dimension":
        terminal.messages.print("[yellow]dimensions only[/]: `migrate` checks whether the vectors are its model's")
    if len(best.entries) == 1:
        print_next("plan", "DATABASE", "--projection", best.folders[0] / best.entries[0].file)
    else:
        terminal.output.print("use a chain from Python: lightmigrate.Library().find(…)[0].load().save(FILE)")
        print_next("plan", "DATABASE", "--projection", "FILE")
