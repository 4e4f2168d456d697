"""How folders that were migrated by workers look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from lightmigrate.scale.results import FolderCheck, FolderMigration, FolderStatus

# Files that are listed by name.
_LISTED = 10


def migrated(result: FolderMigration) -> str:
    """What `migrate --workers` shows."""
    earlier = result.files - result.converted_now
    lines = [
        f"[green]✓[/] [bold]{escape(str(result.folder))}[/]: {result.vectors:,} vectors in {result.files:,} files, "
        f"{result.previous_dim} → {result.current_dim} dimensions",
        "  verified: all columns, row groups and vectors of every file, bit by bit",
    ]
    lines += [f"  {earlier:,} of the files were converted by an interrupted run"] if earlier else []
    kept = f"backup: {escape(str(result.backup_path))}"
    lines.append(kept if result.backup_path else "[yellow]no backup was kept: there is no way back[/]")
    rate = result.vectors / result.seconds if result.seconds and not earlier else None
    speed = f", {rate:,.0f} vectors per second" if rate else ""
    lines.append(f"took {result.seconds:.1f} seconds with {result.workers} workers{speed}")
    return "\n".join(lines)


def checked(check: FolderCheck) -> str:
    """What `verify` shows."""
    lines = [f"{check.files:,} files, {check.files_migrated:,} after the migration"]
    for what, names in (("changed", check.changed), ("added", check.added)):
        lines += [f"[yellow]{what}[/]: {escape(name)}" for name in names[:_LISTED]]
        lines += [f"and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    if check.unchanged:
        lines.append("[green]✓[/] every file is as the migration left it, bit by bit")
    return "\n".join(lines)


def status(state: FolderStatus) -> str:
    """What `status` shows."""
    lines = [f"[bold]{escape(str(state.folder))}[/]: {state.files:,} files"]
    lines.append(f"vectors of {escape(state.model)}" if state.model else "not migrated, or gone back")
    if state.files_done is not None:
        lines.append(f"an interrupted migration has converted {state.files_done:,}: run the same command to go on")
    lines += [f"backups: {', '.join(state.backups)}"] if state.backups else []
    return "\n".join(lines)
