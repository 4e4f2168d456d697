"""`lightmigrate` alone: what to do next."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.commands.nearby import NearbyDatabase
from lightmigrate.commands.nearby import nearby as look

# What a state means, and the command that comes next.
_NEXT = {
    "new": ("", ("doctor",)),
    "migrated": ("migrated, with a backup", ("status",)),
    "with backup": ("with a backup", ("doctor",)),
    "interrupted": ("interrupted", ("resume",)),
    "half built": ("interrupted", ("doctor",)),
    "unreadable": ("cannot be opened", ("doctor",)),
}


def nearby() -> None:
    """Print the databases in the current folder and below, each with its next command. Only reads."""
    from rich.markup import escape

    from lightmigrate.cli.show import terminal

    terminal.output.print("Change the embedding model behind a vector database without embedding everything again.\n")
    found = look(Path())
    for database in found:
        state, command = _NEXT[database.state]
        title = f"[bold]{escape(str(database.path))}[/]  {escape(database.kind)}{f', {state}' if state else ''}"
        terminal.output.print(title)
        terminal.output.print(f"  [bold cyan]{escape(terminal.command(*command, database.path))}[/]")
    if not found:
        terminal.output.print("No database in this folder or below. Give the path or the URL of one:")
        for place in ("PATH", "postgresql://user@host/name"):
            terminal.output.print(f"  [bold cyan]{escape(terminal.command('doctor', place))}[/]")
    if not _any_migrated(found):
        terminal.output.print("\nsee the whole job on a small database:  [bold cyan]lightmigrate demo[/]")
    else:
        terminal.output.print()
    terminal.output.print("all commands:  [bold cyan]lightmigrate --help[/]")


def _any_migrated(found: list[NearbyDatabase]) -> bool:
    return any(database.state in ("migrated", "with backup", "interrupted", "half built") for database in found)
