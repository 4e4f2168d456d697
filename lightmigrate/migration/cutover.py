"""One database folder takes another's place, so that a crash at any instant can be finished or undone.

The order is what makes it safe. The incoming folder gets a marker, then the journal says what is going to
happen, then the names are exchanged, then the marker goes, then the journal. After a crash the marker
tells which side of the exchange we are on: it stands in the live folder (exchanged: finish), in the
incoming one (not yet: undo), or nowhere (all done but closing the journal).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.files import sync_folder
from lightmigrate.migration.exchange import put_in_place
from lightmigrate.migration.progress import logger
from lightmigrate.migration.workspace import Intention, Workspace

MARKER = ".lightmigrate-incoming"


def cut_over(workspace: Workspace, run: str, incoming: Path, outgoing: Path, unchanged: Callable[[Path], bool]) -> None:
    """Make `incoming` the database; what was the database goes to `outgoing`. Journaled.

    Args:
        workspace: of the database, locked.
        run: identifies this run.
        incoming: a whole, verified database folder.
        outgoing: a free name on the same file system.
        unchanged: whether the old database, now at the path given, is still what was copied. Asked last
            of all, when nobody can open it under its own name any more.

    Raises:
        DatabaseChangedError: it was not; the old database is back in place.
    """
    marker = incoming / MARKER
    marker.write_text(run)
    sync_folder(incoming)
    workspace.write_journal(Intention(run, True, workspace.relative(incoming), workspace.relative(outgoing)))
    put_in_place(incoming, workspace.database, outgoing)
    if not unchanged(outgoing):
        put_in_place(outgoing, workspace.database, incoming)
        marker.unlink()
        raise DatabaseChangedError(
            f"{workspace.database} was written to in the last instant: it is back in place, nothing was migrated; "
            "stop the writer and run this again"
        )
    _finish(workspace)


def recover(workspace: Workspace) -> str | None:
    """Finish or undo a run that a crash interrupted. Must hold the lock.

    Returns:
        What was found and done, in a sentence; `None` when there was nothing.
    """
    intention = workspace.read_journal()
    if intention is None:
        workspace.clear()
        return None
    live, incoming = workspace.database, workspace.absolute(intention.incoming)
    outgoing = workspace.absolute(intention.outgoing)
    if not intention.exchanging:
        said = "an interrupted migration was undone: it had not touched the database yet"
    elif (live / MARKER).exists() or not live.exists():
        if not live.exists():  # between the two renames of a system without an exchange
            incoming.rename(live)
        elif incoming.exists():  # exchanged, but the old folder has not got its new name yet
            incoming.rename(outgoing)
        said = "an interrupted exchange was finished: the new database is in place"
    elif (incoming / MARKER).exists():
        (incoming / MARKER).unlink()
        said = "an interrupted exchange was undone: the old database is in place"
    else:
        said = "an exchange had ended; its journal was closed"
    _finish(workspace)
    logger.warning("%s: %s", workspace.database, said)
    return said


def _finish(workspace: Workspace) -> None:
    sync_folder(workspace.database.parent)
    (workspace.database / MARKER).unlink(missing_ok=True)
    sync_folder(workspace.database)
    workspace.close_journal()
    workspace.clear()


def discard(workspace: Workspace, folder: Path) -> None:
    """Delete a folder beside the database. It loses its name first, so that no half of it looks whole."""
    workspace.trash.mkdir(exist_ok=True)
    folder.rename(workspace.trash / folder.name)
    sync_folder(folder.parent)
    shutil.rmtree(workspace.trash)
