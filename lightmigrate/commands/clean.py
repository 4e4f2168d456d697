"""`clean`: list or delete the backups of a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import migrated_folder
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.results import Backup


@dataclass(frozen=True)
class Cleaned(Result):
    """What `clean` listed or deleted.

    Attributes:
        backups: the backups that were chosen, oldest first.
        deleted: whether they were deleted.
    """

    backups: tuple[Backup, ...]
    deleted: bool


def clean(
    database: DatabaseChoice,
    names: Sequence[str] = (),
    *,
    delete: bool = False,
    conversation: Conversation,
) -> Cleaned:
    """List backups, or delete them for good. Writes only if `delete`.

    Args:
        database: the database.
        names: of the backups; all by default.
        delete: whether they are deleted.
        conversation: with the caller.

    Raises:
        BackupError: one of the names is no backup of this database.
    """
    folder = migrated_folder(database, conversation, writing=delete)
    migrator = folder or database.open(conversation, writing=delete)
    if delete:
        return Cleaned(tuple(migrator.clean(names or None)), deleted=True)
    return Cleaned(tuple(b for b in migrator.backups() if not names or b.name in names), deleted=False)
