"""How folders that were migrated by workers look in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from lightmigrate.scale.results import FolderMigration

if TYPE_CHECKING:
    from lightmigrate.scale.results import FolderCheck, FolderStatus, TableMigration

# Files that are listed by name.
_LISTED = 10


def migrated(result: FolderMigration | TableMigration) -> str:
    """What `migrate --workers` shows."""
    if not isinstance(result, FolderMigration):
        return _table(result)
    earlier = result.files - result.converted_now
    lines = [
        f"[green]✓[/] [bold]{escape(str(result.folder))}[/]: {result.vectors:,} vectors in {result.files:,} files, "
        f"{result.previous_dim} → {result.current_dim} dimensions",
        "  verified: all columns, row groups and vectors of every file, bit by bit",
    ]
    lines += [f"  {earlier:,} of the files were converted by an interrupted run"] if earlier else []
    lines += _embedded(result)
    kept = f"backup: {escape(str(result.backup_path))}"
    lines.append(kept if result.backup_path else "[yellow]no backup was kept: there is no way back[/]")
    lines += _moved(result.folder, result.dataset)
    lines.append(_speed(result.vectors if not earlier else 0, result.seconds, result.workers))
    return "\n".join(lines)


def _moved(folder: Path, dataset: Path) -> list[str]:
    """Where the files of an object store are, which have another address now."""
    if str(folder) == str(dataset):
        return []
    return [
        f"read it from {escape(str(dataset))}",
        f'  which is what  lightmigrate.objects.dataset_path("{escape(str(folder))}")  returns, also after a rollback',
    ]


def _table(result: TableMigration) -> str:
    earlier = result.parts - result.converted_now
    lines = [
        f"[green]✓[/] [bold]{escape(str(result.table))}[/]: {result.vectors:,} vectors in {result.parts:,} parts, "
        f"{result.previous_dim} → {result.current_dim} dimensions",
        "  verified: the vectors of every part, bit by bit; nothing else was written",
    ]
    lines += [f"  {earlier:,} of the parts were converted by an interrupted run"] if earlier else []
    lines += _embedded(result)
    kept = f"backup: {escape(str(result.backup))}" if result.backup else ""
    lines.append(kept or "[yellow]no backup was kept: there is no way back[/]")
    lines.append(_speed(result.vectors if not earlier else 0, result.seconds, result.workers))
    return "\n".join(lines)


def _embedded(result: FolderMigration | TableMigration) -> list[str]:
    """What the new model itself has made, where it was asked."""
    lines = [f"  {result.exact:,} of the vectors are the new model's own"] if result.exact else []
    return lines + ([f"  [yellow]{escape(str(result.shortened))}[/]"] if str(result.shortened) else [])


def _speed(vectors: int, seconds: float, workers: int) -> str:
    rate = f", {vectors / seconds:,.0f} vectors per second" if vectors and seconds else ""
    return f"took {seconds:.1f} seconds with {workers} workers{rate}"


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
    lines += _moved(state.folder, state.dataset)
    if state.files_done is not None:
        lines.append(f"an interrupted migration has converted {state.files_done:,}: run the same command to go on")
    lines += [f"backups: {', '.join(state.backups)}"] if state.backups else []
    return "\n".join(lines)
