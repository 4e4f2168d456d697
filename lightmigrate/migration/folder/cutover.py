"""The new database takes the old one's place under a journal, so that a crash at any instant can be ended well.

The journal says what is going to happen before it happens. What did happen is read off the disk: a newcomer is marked
until it is settled in (see `exchange`). So even without a readable journal nothing that may be somebody's only copy is
deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.files import sync_folder
from lightmigrate.migration.backup import backup_folders, new_backup_path
from lightmigrate.migration.folder.workspace import Intention, Workspace
from lightmigrate.migration.progress import logger


def cut_over(workspace: Workspace, run: str, incoming: Path, outgoing: Path, unchanged: Callable[[Path], bool]) -> None:
    """Make `incoming` the database; what was the database goes to `outgoing`. Journaled.

    Args:
        workspace: of the database, locked.
        run: identifies this run.
        incoming: a whole, verified database.
        outgoing: a free name on the same file system.
        unchanged: whether the old database, now at the path given, is still what was copied. Asked last
            of all, when nobody can open it under its own name any more.

    Raises:
        DatabaseChangedError: it was not; the old database is back in place.
    """
    workspace.write_journal(Intention(run, True, workspace.relative(incoming), workspace.relative(outgoing)))
    workspace.exchange.announce(incoming)
    workspace.exchange.put_in_place(incoming, outgoing)
    if not unchanged(outgoing):
        workspace.write_journal(Intention(run, True, workspace.relative(outgoing), workspace.relative(incoming)))
        workspace.exchange.announce(outgoing)
        workspace.exchange.put_in_place(outgoing, incoming)
        raise DatabaseChangedError(
            f"{workspace.database} was written to in the last instant: it is back in place, nothing was migrated; "
            "stop the writer and run this again"
        )
    workspace.close_journal()
    workspace.clear()


def recover(workspace: Workspace) -> str | None:
    """Finish or undo an exchange that a crash interrupted. Must hold the lock. A half-built copy is left to be resumed.

    Returns:
        What was found and done, in a sentence; `None` when there was nothing.
    """
    intention = workspace.read_journal()
    incoming, outgoing = workspace.staging, new_backup_path(workspace.location)
    exchanging = intention is not None and intention.exchanging
    if intention is not None and exchanging:
        incoming, outgoing = (workspace.absolute(path) for path in (intention.incoming, intention.outgoing))
    finished = workspace.exchange.recover(incoming, outgoing, [workspace.staging, *backup_folders(workspace.location)])
    if finished is None and intention is not None and not exchanging and workspace.resumable:
        return "an interrupted migration is half built and can go on: the database is as it was"
    if finished:
        said = "an interrupted exchange was finished: the new database is in place"
    elif finished is False:
        said = "an interrupted exchange was undone: the old database is in place"
    elif exchanging:
        said = "an exchange had ended; its journal was closed"
    elif workspace.has_leftovers():
        said = "an interrupted migration was undone: it had not touched the database yet"
    else:
        said = ""
    workspace.close_journal()
    workspace.clear()
    if said:
        logger.warning("%s: %s", workspace.database, said)
    return said or None


def discard(workspace: Workspace, folder: Path) -> None:
    """Delete a backup. It loses its name first, so that no half of it looks whole."""
    workspace.trash.mkdir(exist_ok=True)
    folder.rename(workspace.trash / folder.name)
    sync_folder(folder.parent)
    shutil.rmtree(workspace.trash)
