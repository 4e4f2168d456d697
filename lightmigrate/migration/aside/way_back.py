"""Prepares a way back: the copy of a backup that gets what was written since, and the note of what is left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lightmigrate.files import copy_tree, sync_tree, tree_bytes
from lightmigrate.migration.aside.carrying import carry_over
from lightmigrate.migration.aside.changes import missing_in
from lightmigrate.migration.aside.put_aside import forget_put_aside, note_put_aside
from lightmigrate.migration.aside.rights import keep_rights
from lightmigrate.migration.aside.room import require_room_for
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.migration.aside.write_record import sign_copy
from lightmigrate.migration.changes import Changes
from lightmigrate.stores.base import Address
from lightmigrate.stores.files import FileDatabase


def carry_into_copy(
    workspace: Workspace,
    live: FileDatabase,
    chosen: Path,
    displaced: Path,
    run: str,
    changes: Sequence[Changes],
    page_size: int,
) -> Mapping[Address, int]:
    """Copy a backup and apply changes of the live database to the copy. Writes beside them; neither is changed.

    Args:
        workspace: of the live database, locked.
        live: the live database.
        chosen: the backup.
        displaced: the folder that the live database will have.
        run: identifies this run.
        changes: what was written to the live database since.
        page_size: records held in memory at once.

    Returns:
        What `carry_over` returns. The copy is `workspace.staging`.

    Raises:
        DiskSpaceError: there is not enough disk space for the copy.
    """
    location, staging = workspace.location, workspace.staging
    require_room_for(tree_bytes(chosen), location)
    workspace.write_journal(Intention(run, False, workspace.relative(staging), ""))
    copy_tree(chosen, staging, lambda size: None)
    forget_put_aside(staging)
    copy = live.at(staging)
    kept = carry_over(live, copy, changes, page_size, seed=0)
    sign_copy(copy, live, chosen.name, displaced.name)
    if location.inside:
        copy.isolate()
    keep_rights(location, staging)
    sync_tree(staging)
    return kept


def note_what_is_left(live: FileDatabase, incoming: Path, displaced: Path, discarded: Sequence[Changes]) -> None:
    """Note in the live database what it has that the one which takes its place lacks. Writes to `live`.

    Args:
        live: the live database, which nobody has open.
        incoming: the folder of the one that takes its place.
        displaced: the folder that `live` will have.
        discarded: what was written to it since, unless it was carried over.
    """
    changed = sum(len(change.changed) for change in discarded)
    metadata = sum(change.metadata for change in discarded)
    note_put_aside(live, incoming, displaced, missing_in(live.at(incoming), live) + changed, metadata)
