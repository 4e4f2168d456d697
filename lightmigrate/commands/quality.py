"""`quality`: what is known of how good the vectors of a migrated collection are, and of how that was found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migration.history import HistoryEntry, Tried
    from lightmigrate.projection.model import ProjectionInfo
    from lightmigrate.refinement.status import RefinementStatus
    from lightmigrate.scores.shift import ScoreShift


@dataclass(frozen=True)
class CollectionQuality(Result):
    """What is known of a migrated collection.

    Attributes:
        refinement: where its vectors come from, and the quality to expect now; `None` if no plan made it.
        scores: how its distances moved; `None` if nothing was measured.
        info: what its newest projection says of itself; `None` where there is none.
        tried: the methods that were fitted, the best first.
        history: the migrations of the collection and what was put back, the newest first.
    """

    refinement: RefinementStatus | None
    scores: ScoreShift | None
    info: ProjectionInfo | None
    tried: tuple[Tried, ...]
    history: tuple[HistoryEntry, ...]


def quality(database: DatabaseChoice, collection: str = "", *, conversation: Conversation) -> CollectionQuality:
    """What is known of one collection. Only reads, also while others write.

    Args:
        database: the database.
        collection: its name; may be empty when there is only one.
        conversation: with the caller.

    Raises:
        CollectionNotFoundError: there is no such collection.
    """
    from lightmigrate.commands.overview import history_of
    from lightmigrate.commands.status import status
    from lightmigrate.migration.history import methods_tried
    from lightmigrate.refinement.provenance import Provenance

    migrator = database.open(conversation, notices=False)
    address = only_collection(migrator, collection)
    try:
        known = next((s for s in status(database, conversation=conversation) if s.address == address), None)
    except LightmigrateError:  # nothing is known
        known = None
    info = None
    if known is not None and known.refinement is not None and Provenance.file_in(migrator.place).exists():
        with Provenance.existing(migrator.place) as provenance:
            info = provenance.projections(address)[0].info
    return CollectionQuality(
        refinement=None if known is None else known.refinement,
        scores=None if known is None else known.scores,
        info=info,
        tried=() if info is None else methods_tried(info.training),
        history=history_of(migrator, address)[0],
    )
