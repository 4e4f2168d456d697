"""The new database takes the old one's place under a journal, so that recovery works after a crash at any instant.

The journal says what is going to happen before it happens. What did happen is read from the disk: the incoming
database carries a marker until the exchange is complete (see `exchange`). So even with a damaged journal nothing is
deleted that may be the only copy.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError, DatabaseInUseError
from lightmigrate.migration.aside.backup import backup_folders, new_backup_path
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.progress import logger
from lightmigrate.system import FileInUseError, rename, sync_folder


def cut_over(workspace: Workspace, run: str, incoming: Path, outgoing: Path, unchanged: Callable[[Path], bool]) -> None:
    """Make `incoming` the database; what was the database goes to `outgoing`. Journaled.

    Args:
        workspace: of the database, locked.
        run: identifies this run.
        incoming: a complete, verified database.
        outgoing: a free name on the same file system.
        unchanged: whether the old database, now at the given path, still equals what was copied. Called after
            the exchange, when no process can open it under its own name any more.

    Raises:
        DatabaseChangedError: the old database was written to; it is back in place.
        DatabaseInUseError: it could not be renamed, because somebody has it open; the caller undoes the exchange.
    """
    workspace.write_journal(Intention(run, True, workspace.relative(incoming), workspace.relative(outgoing)))
    workspace.exchange.announce(incoming)
    try:
        workspace.exchange.put_in_place(incoming, outgoing)
    except FileInUseError as error:
        raise DatabaseInUseError(
            f"somebody has {workspace.database} open ({Path(error.filename).name}): stop it first, then run this again",
            processes=[],
        ) from None
    if not unchanged(outgoing):
        workspace.write_journal(Intention(run, True, workspace.relative(outgoing), workspace.relative(incoming)))
        workspace.exchange.announce(outgoing)
        workspace.exchange.put_in_place(outgoing, incoming)
        raise DatabaseChangedError(
            f"{workspace.database} was written to during the exchange: it is back in place, nothing was migrated; "
            "stop the writer and run this again"
        )
    workspace.close_journal()
    workspace.clear()


def recover(workspace: Workspace, *, own: bool = False) -> str | None:
    """Finish or undo an exchange that a crash interrupted. Must hold the lock. A half-built copy is left to be resumed.

    Args:
        workspace: of the database, locked.
        own: whether it was this run that failed, and that tells so itself; then a build is deleted without a word.

    Returns:
        What was interrupted and how it ended, in a sentence; `None` when there was nothing to do.
    """
    intention = workspace.read_journal()
    incoming, outgoing = workspace.staging, new_backup_path(workspace.location)
    exchanging = intention is not None and intention.exchanging
    if intention is not None and exchanging:
        incoming, outgoing = (workspace.absolute(path) for path in (intention.incoming, intention.outgoing))
    finished = workspace.exchange.recover(incoming, outgoing, [workspace.staging, *backup_folders(workspace.location)])
    if finished is None and intention is not None and not exchanging and workspace.resumable:
        return "an interrupted migration can be resumed: the database is unchanged"
    if finished:
        outcome = "an interrupted exchange was finished: the new database is in place"
    elif finished is False:
        outcome = "an interrupted exchange was undone: the old database is in place"
    elif exchanging:
        outcome = "an exchange had ended; its journal was closed"
    elif workspace.has_leftovers() and not own:
        begun = intention is None or intention.description is not None
        what = "an interrupted migration was undone" if begun else "the copy of an interrupted run was deleted"
        outcome = f"{what}: the database is unchanged"
    else:
        outcome = ""
    workspace.close_journal()
    workspace.clear()
    if outcome:
        logger.warning("%s: %s", workspace.database, outcome)
    return outcome or None


def discard(workspace: Workspace, folder: Path) -> None:
    """Delete a backup. It is renamed first, so that a partly deleted folder is never listed as a backup."""
    workspace.trash.mkdir(exist_ok=True)
    rename(folder, workspace.trash / folder.name)
    sync_folder(folder.parent)
    shutil.rmtree(workspace.trash)
