"""`doctor`: what state is a database in?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice

if TYPE_CHECKING:
    from lightmigrate.doctor import Diagnosis


def doctor(database: DatabaseChoice, expected_dim: int | None = None, *, conversation: Conversation) -> Diagnosis:
    """Look at a database: collections, dimensions, mismatches, who has it open. Only reads, also while others write.

    Args:
        database: the database.
        expected_dim: dimension of the embedding model in use, if it is known.
        conversation: with the caller.

    Raises:
        DatabaseError: there is no database.
    """
    return database.open(conversation, notices=False).diagnose(expected_dim)
