"""`verify`: is the database still what its migration left?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice

if TYPE_CHECKING:
    from lightmigrate.migration.results import CollectionCheck


def verify(database: DatabaseChoice, *, conversation: Conversation) -> list[CollectionCheck]:
    """Compare each migrated collection with what it held after its migration. Only reads.

    What `refine` wrote since counts as unchanged.

    Raises:
        DatabaseError: nothing was migrated, or it was migrated without verification.
        DatabaseInUseError: another process has the folder open.
    """
    return database.open(conversation).verify()
