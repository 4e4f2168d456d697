"""`status`: how much of a database is exact?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice

if TYPE_CHECKING:
    from lightmigrate.refinement.status import RefinementStatus


def status(database: DatabaseChoice, *, conversation: Conversation) -> list[RefinementStatus]:
    """How many rows are exact and how many projected, for the collections migrated by a plan. Only reads.

    Raises:
        LightmigrateError: no collection was migrated by a plan, or none of those is there any more.
    """
    return database.open(conversation).status()
