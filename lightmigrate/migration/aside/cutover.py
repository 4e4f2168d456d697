"""The new database takes the old one's place under a journal, so that recovery works after a crash at any instant.

The journal says what is going to happen before it happens. What did happen is read from the disk: the incoming
database carries a marker until the exchange is complete (see `exchange`). So even with a damaged journal nothing is
deleted that may be the only copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError, DatabaseInUseError, LocationError
from lightmigrate.migration.aside.backup import name_one_more, new_backup_path, under_free_name
from lightmigrate.migration.aside.belonging import backup_folders
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.progress import logger
from lightmigrate.stores.files import fingerprint, require_unused
from lightmigrate.system import FileInUseError, delete_folder, rename, sync_folder

_FINISHED = "an interrupted exchange was finished: the new database is in place"
_UNDONE = "an interrupted exchange was undone: the old database is in place"


def cut_over(
    workspace: Workspace, run: str, incoming: Path, outgoing: Path, seen: Mapping[str, tuple[int, int]]
) -> None:
    """Make `incoming` the database; what was the database goes to `outgoing`. Journaled.

    Args:
        workspace: of the database, locked.
        run: identifies this run.
        incoming: a complete, verified database.
        outgoing: a free name on the same file system.
        seen: the fingerprint of the old database when it was copied. It is compared before the exchange, and after
            it, when no process can open the old database under its own name any more.

    Raises:
        DatabaseChangedError: the old database was written to; it is in place.
        LocationError: a container mounted it meanwhile; it is back in place.
        DatabaseInUseError: somebody opened it meanwhile, and it is back in place; or it could not be renamed, because
            somebody has it open: the caller undoes the exchange.
    """
    if fingerprint(workspace.database, workspace.location.belongs) != seen:
        raise DatabaseChangedError(
            f"{workspace.database} was written to meanwhile: nothing was exchanged; stop the writer and run this again"
        )
    exchanging = Intention(run, True, workspace.relative(incoming), workspace.relative(outgoing), copied=seen)
    workspace.write_journal(exchanging)
    workspace.exchange.announce(incoming)
    try:
        workspace.exchange.put_in_place(incoming, outgoing)
    except FileInUseError as error:
        raise DatabaseInUseError(
            f"somebody has {workspace.database} open ({Path(error.filename).name}): stop it first, then run this again",
            processes=[],
        ) from None
    if (disturbed := _disturbed(workspace, outgoing, seen)) is not None:
        back = replace(exchanging, incoming=exchanging.outgoing, outgoing=exchanging.incoming)
        workspace.write_journal(back)
        workspace.exchange.announce(outgoing)
        workspace.exchange.put_in_place(outgoing, incoming)
        raise disturbed
    workspace.close_journal()
    workspace.clear()


def _disturbed(
    workspace: Workspace, replaced: Path, seen: Mapping[str, tuple[int, int]]
) -> DatabaseChangedError | DatabaseInUseError | LocationError | None:
    """What to raise if a database that was replaced was written to meanwhile, or may still be. Only reads."""
    if fingerprint(replaced) != seen:
        return DatabaseChangedError(
            f"{workspace.database} was written to during the exchange: it is back in place, nothing was migrated; "
            "stop the writer and run this again"
        )
    try:
        require_unused(workspace.location.files.at(replaced))
    except DatabaseInUseError as error:
        who = f"process {', '.join(map(str, error.processes))}" if error.processes else "a process that cannot be seen"
        return DatabaseInUseError(
            f"{workspace.database} was opened by {who} during the exchange: it is back in place, nothing was migrated; "
            "stop that process, then run this again",
            processes=error.processes,
        )
    try:
        workspace.location.require_one_place(replaced)
    except LocationError as error:  # a container that was started meanwhile
        return LocationError(f"during the exchange, which was taken back: {error}")
    return None


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
        if not workspace.location.inside and all(map(Path.exists, (workspace.database, incoming, outgoing))):
            outgoing = under_free_name(workspace.location, outgoing)
            workspace.write_journal(replace(intention, outgoing=workspace.relative(outgoing)))
    finished = workspace.exchange.recover(incoming, outgoing, [workspace.staging, *backup_folders(workspace.location)])
    if finished is None and intention is not None and not exchanging and workspace.resumable:
        return "an interrupted migration can be resumed: the database is unchanged"
    back = exchanging and outgoing == workspace.staging  # an exchange that was to be taken back
    if finished is not None:
        outcome = _FINISHED if finished != back else _UNDONE
    elif exchanging:
        outcome = "an exchange had ended; its journal was closed"
    elif workspace.has_leftovers() and not own:
        begun = intention is None or intention.description is not None
        what = "an interrupted migration was undone" if begun else "the copy of an interrupted run was deleted"
        outcome = f"{what}: the database is unchanged"
    else:
        outcome = ""
    replaced = incoming if back else outgoing
    new_in_place = exchanging and replaced.exists() and (back or not incoming.exists())
    if intention is not None and intention.copied is not None and new_in_place:
        outcome += _kept_if_disturbed(workspace, replaced, intention.copied)
    workspace.close_journal()
    workspace.clear()
    if outcome:
        logger.warning("%s: %s", workspace.database, outcome)
    return outcome or None


def _kept_if_disturbed(workspace: Workspace, replaced: Path, seen: Mapping[str, tuple[int, int]]) -> str:
    """Keep a database that was replaced if it was written to meanwhile, also where no backup is kept. Writes.

    It is not put back: after a crash somebody may have written to the new database, too.

    Returns:
        What to add to the sentence that says how the exchange ended.
    """
    if _disturbed(workspace, replaced, seen) is None:
        return ""
    if replaced.parent == workspace.trash:
        backup = new_backup_path(workspace.location)
        name_one_more(workspace.database, backup.name)
        rename(replaced, backup)
        sync_folder(backup.parent)
        replaced = backup
    return f"; somebody wrote to the old one meanwhile, or has it open: what was written is only in {replaced}"


def discard(workspace: Workspace, folder: Path) -> None:
    """Delete a backup. It is renamed first, so that a partly deleted folder is never listed as a backup."""
    workspace.trash.mkdir(exist_ok=True)
    rename(folder, workspace.trash / folder.name)
    sync_folder(folder.parent)
    delete_folder(workspace.trash)
