"""`rollback`: put a backup back in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import migrated_folder
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.changes import OnWritten
    from lightmigrate.migration.results import Backup, Rollback


@dataclass(frozen=True)
class BackupList(Result):
    """The backups of a database.

    Attributes:
        backups: oldest first.
    """

    backups: tuple[Backup, ...]


def rollback(
    database: DatabaseChoice,
    backup: str | None = None,
    *,
    written: OnWritten = "refuse",
    conversation: Conversation,
) -> Rollback:
    """Put a backup back in place, exactly; the database it replaces becomes a backup. Asks, then writes.

    Args:
        database: the database.
        backup: name of the backup; the newest by default.
        written: what to do with records written after the migration; see `Migrator.rollback`.
        conversation: with the caller; shown the backups before it is asked.

    Raises:
        BackupError: no such backup.
        WrittenSinceError: records were written after the migration, and `written` is `refuse`.
        RefusedError: the answer was no, or another process has the database open.
    """
    folder = migrated_folder(database, conversation, writing=True)
    migrator = folder or database.open(conversation, writing=True)
    backups = migrator.backups()
    if backups:
        conversation.show(BackupList(tuple(backups)))
        conversation.require(f"Go back to {backup or 'the newest'}?", "rollback")
    return migrator.rollback(backup, written=written)
