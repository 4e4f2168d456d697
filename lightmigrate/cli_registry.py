"""`lightmigrate registry`: which projections are at hand, and whether they are still what was listed."""

from __future__ import annotations

import filecmp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import lightmigrate
from lightmigrate import cli_rooms as rooms
from lightmigrate.cli_choices import REGISTRY_VARIABLE
from lightmigrate.cli_output import confirm, print_result, write_json
from lightmigrate.console import projections, terminal
from lightmigrate.errors import LightmigrateError, RefusedError

if TYPE_CHECKING:
    from lightmigrate.registry.entry import Entry

registry = typer.Typer(
    no_args_is_help=True,
    help=f"List, add, remove, check and find projections: in the folders {REGISTRY_VARIABLE} names, the user's own, "
    "and the packaged one.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Name = Annotated[
    str, typer.Argument(help="Its file name, with or without its ending; with its folder where several have it.")
]


@registry.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List every projection at hand. Changes nothing."""
    found = lightmigrate.Library().entries()
    if as_json:
        write_json([_plain(one) for one in found])
        return
    terminal.output.print(projections.listed(found))
    if found:
        terminal.output.print(terminal.next_command("registry", "show", Path(found[0][1].file).stem))
    else:
        terminal.output.print(terminal.next_command("registry", "add", "FILE"))


@registry.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what is listed of one projection: models, training, stated quality. Changes nothing."""
    found = _named(name)
    for other, entry in found[1:]:
        terminal.messages.print(f"[yellow]also[/] {escape(str(other.folder / entry.file))}")
    if as_json:
        write_json(_plain(found[0]))
        return
    where, entry = found[0]
    terminal.output.print(projections.entry(found[0]))
    terminal.output.print(terminal.next_command("plan", "DATABASE", "--projection", where.folder / entry.file))


@registry.command()
def add(
    file: Annotated[Path, typer.Argument(help="The projection, .npz or .onnx.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="Folder; the user's own when left out.", show_default=False)] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Copy a projection into a folder and list it there."""
    where = lightmigrate.Registry(to if to is not None else rooms.user_projections())
    there = where.folder / file.name
    if there.is_file() and file.is_file() and not yes and not filecmp.cmp(there, file, shallow=False):
        confirm(f"Replace {there}?", as_json)
    entry = where.add_file(file)
    if as_json:
        write_json(_plain((where, entry)))
        return
    terminal.output.print(f"[green]✓[/] {escape(str(where.folder / entry.file))}")
    if where.folder.resolve() not in [folder.resolve() for folder in lightmigrate.Library().folders]:
        terminal.output.print(f"{escape(str(where.folder))} is looked through when {REGISTRY_VARIABLE} names it")
    terminal.output.print(terminal.next_command("plan", "DATABASE", "--projection", where.folder / entry.file))


@registry.command()
def remove(name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Take a projection off its list and delete its file. Packaged ones stay."""
    found = _named(name)
    own = [(where, entry) for where, entry in found if where.folder.resolve() != rooms.PACKAGED.resolve()]
    if not own:
        raise RefusedError(f"{found[0][1].file} is packaged with lightmigrate and stays")
    if len(own) > 1:
        files = ", ".join(str(where.folder / entry.file) for where, entry in own)
        raise LightmigrateError(f"{name} may be any of {files}; give it with its folder and its ending")
    where, entry = own[0]
    if not yes:
        confirm(f"Delete {where.folder / entry.file}?", as_json)
    where.remove(entry.file)
    if as_json:
        write_json(_plain((where, entry)))
        return
    terminal.output.print(f"removed {escape(str(where.folder / entry.file))}")
    terminal.output.print(terminal.next_command("registry", "list"))


@registry.command()
def verify(as_json: AsJson = False) -> None:
    """Check every listed file: there, unaltered, readable, what the list says. Changes nothing."""
    wrong = {
        str(folder): lightmigrate.Registry(folder).verify()
        for folder in lightmigrate.Library().folders
        if folder.exists()
    }
    print_result(wrong, projections.problems, as_json)
    if not as_json:
        terminal.output.print(terminal.next_command("registry", "list"))
    if any(wrong.values()):
        raise typer.Exit(1)


@registry.command()
def find(
    source: Annotated[str, typer.Option("--from", help="The old model, or its dimension.", show_default=False)],
    target: Annotated[str, typer.Option("--to", help="The new model, or its dimension.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Find what leads from one model to another, best first. Changes nothing."""
    library = lightmigrate.Library()
    old, new = _model(source), _model(target)
    sizes = {old.dimension} if old.dimension else _dimensions(library, old.name)
    if not sizes:
        raise LightmigrateError(f"no projection names {source}: give its dimension instead")
    found: list[lightmigrate.Candidate] = []
    for size in sorted(sizes):
        found += library.find(source_dim=size, target_dim=new.dimension or None, source=old.name, target=new.name)
    found.sort(key=lambda one: rooms.KINDS.index(one.by))  # of several dimensions
    print_result(found, projections.candidates, as_json)
    if as_json:
        return
    if not found:
        terminal.output.print(terminal.next_command("train", "--from-chroma", "DATABASE", "--target-model", target))
        return
    best = found[0]
    if best.by == "dimension":
        terminal.messages.print("[yellow]dimensions only[/]: `migrate` looks whether the vectors are its model's")
    if len(best.entries) == 1:
        file = best.folders[0] / best.entries[0].file
        terminal.output.print(terminal.next_command("plan", "DATABASE", "--projection", file))
    else:
        terminal.output.print("a chain is used from Python: lightmigrate.Library().find(…)[0].load().save(FILE)")
        terminal.output.print(terminal.next_command("plan", "DATABASE", "--projection", "FILE"))


def _named(name: str) -> list[tuple[lightmigrate.Registry, Entry]]:
    """The projections of that name, at least one."""
    wanted = Path(name)
    files = {wanted.name, *(f"{wanted.name}{suffix}" for suffix in rooms.SUFFIXES)}
    found = [(where, entry) for where, entry in lightmigrate.Library().entries() if entry.file in files]
    if wanted.name != name:
        found = [(where, entry) for where, entry in found if where.folder.resolve() == wanted.parent.resolve()]
    if not found:
        raise LightmigrateError(f"no projection {name}; see  lightmigrate registry list")
    return found


def _plain(one: tuple[lightmigrate.Registry, Entry]) -> dict[str, object]:
    where, entry = one
    return {"folder": str(where.folder), **entry.to_json()}


def _model(said: str) -> lightmigrate.Model:
    """A model as far as it is known: its name, or its dimension; the other is empty or 0."""
    return lightmigrate.Model("", int(said)) if said.isdecimal() else lightmigrate.Model(said, 0)


def _dimensions(library: lightmigrate.Library, name: str) -> set[int]:
    return {
        model.dimension for _, entry in library.entries() for model in entry.models if rooms.same_name(model.name, name)
    }
