"""`verify`: is the database still what its migration left?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.folder import checked_by

if TYPE_CHECKING:
    from lightmigrate.migration.results import CollectionCheck
    from lightmigrate.scale.results import FolderCheck


def verify(database: DatabaseChoice, *, conversation: Conversation) -> list[CollectionCheck] | FolderCheck:
    """Compare each migrated collection with what it held after its migration. Only reads.

    What `refine` wrote since counts as unchanged. What workers migrated is compared as one collection.

    Raises:
        DatabaseError: nothing was migrated, or it was migrated without verification.
        DatabaseInUseError: another process has the folder open.
    """
    by_workers = checked_by(database, conversation)
    return database.open(conversation).verify() if by_workers is None else by_workers.verify()
