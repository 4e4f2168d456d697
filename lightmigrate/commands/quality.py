"""`quality`: what is known of how good the vectors of a migrated collection are, and of how that was found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.projection.model import ProjectionInfo
    from lightmigrate.refinement.status import RefinementStatus
    from lightmigrate.scores.shift import ScoreShift
    from lightmigrate.versions import Migrated


@dataclass(frozen=True)
class Tried(Result):
    """One method that was fitted.

    Attributes:
        method: its name.
        overlap: share of the results of re-embedding that its vectors find, by cross-validation.
        chosen: whether it is the one.
    """

    method: str
    overlap: float
    chosen: bool


@dataclass(frozen=True)
class CollectionQuality(Result):
    """What is known of a migrated collection.

    Attributes:
        refinement: where its vectors come from, and the quality to expect now; `None` if no plan made it.
        scores: how its distances moved; `None` if nothing was measured.
        info: what its newest projection says of itself; `None` where there is none.
        tried: the methods that were fitted, the best first.
        history: what each migration made of the database, the newest first: when, and from which model to which.
    """

    refinement: RefinementStatus | None
    scores: ScoreShift | None
    info: ProjectionInfo | None
    tried: tuple[Tried, ...]
    history: tuple[Migrated, ...]


def quality(database: DatabaseChoice, collection: str = "", *, conversation: Conversation) -> CollectionQuality:
    """What is known of one collection. Only reads, also while others write.

    Args:
        database: the database.
        collection: its name; may be empty when there is only one.
        conversation: with the caller.

    Raises:
        CollectionNotFoundError: there is no such collection.
    """
    from lightmigrate.commands.status import status
    from lightmigrate.refinement.provenance import Provenance
    from lightmigrate.versions import history_of

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
        tried=() if info is None else _tried(info.training),
        history=tuple(history_of(migrator.database, migrator.backups(), address)),
    )


def _tried(training: Mapping[str, Any]) -> tuple[Tried, ...]:
    """The methods that a training compared, as far as it says so."""
    tried = [
        Tried(str(one["method"]), float(one["overlap"]), bool(one["chosen"]))
        for one in training.get("tried", ())
        if isinstance(one, Mapping) and {"method", "overlap", "chosen"} <= one.keys()
    ]
    return tuple(sorted(tried, key=lambda one: -one.overlap))
