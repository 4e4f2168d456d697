"""`status`: how much of a database is exact, and what do its distances mean now?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.arguments import ModelChoice, read_queries
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:
    from lightmigrate.migrator import Migrator
    from lightmigrate.refinement.status import RefinementStatus
    from lightmigrate.scores.shift import ScoreShift
    from lightmigrate.stores.base import Address


@dataclass(frozen=True)
class CollectionStatus(Result):
    """What is known of one migrated collection.

    Attributes:
        refinement: where its vectors come from; `None` if it was not migrated by a plan. In JSON its fields stand
            beside `scores`.
        scores: how its distances moved; `None` if nothing was measured.
    """

    refinement: RefinementStatus | None
    scores: ScoreShift | None

    @property
    def address(self) -> Address:
        """Where it is."""
        known = self.refinement or self.scores
        if known is None:
            raise LightmigrateError("a status says something of a collection")
        return known.address

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; the address always."""
        address = self.address
        return {
            "collection_name": address.name,
            "tenant": address.tenant,
            "database": address.database,
            "vector": address.vector,
            "part": address.part,
            **(self.refinement.to_json() if self.refinement else {}),
            "scores": self.scores.to_json() if self.scores else None,
        }


@dataclass(frozen=True)
class ByQueries:
    """What distances from users' queries are measured with.

    Attributes:
        queries: file of queries.
        source: the old model.
        target: the new model.
        cache: file that keeps embeddings.
    """

    queries: Path
    source: ModelChoice
    target: ModelChoice
    cache: Path | None = None


def status(
    database: DatabaseChoice,
    thresholds: Sequence[float] = (),
    measuring: ByQueries | None = None,
    *,
    conversation: Conversation,
) -> list[CollectionStatus]:
    """How many rows of the migrated collections are exact, and how distances moved. Only reads.

    Args:
        database: the database.
        thresholds: distances by which results were cut off before the migration; then only collections for which it
            was measured are listed, with what corresponds to each threshold now.
        measuring: measure the distances now, from queries, in place of those between records that the migration
            measured. Calls both models.
        conversation: with the caller.

    Raises:
        LightmigrateError: nothing is known: no collection was migrated by a plan, or none of those is there any more,
            and no distances were measured; with thresholds: no distances were measured. Or as `measure_scores`.
    """
    migrator = database.open(conversation)
    refinements, refused = _refinements(migrator)
    try:
        scores = {moved.address: moved for moved in _scores(migrator, thresholds, measuring)}
    except LightmigrateError as error:
        if thresholds or measuring is not None:
            raise
        if refused is not None:
            raise refused from error
        scores = {}
    addresses = list(dict.fromkeys([*(() if thresholds else refinements), *scores]))
    return [CollectionStatus(refinements.get(address), scores.get(address)) for address in addresses]


def _scores(migrator: Migrator, thresholds: Sequence[float], measuring: ByQueries | None) -> list[ScoreShift]:
    if measuring is None:
        return migrator.scores(thresholds)
    if not measuring.source.model or not measuring.target.model:
        raise LightmigrateError(
            "--queries needs both models, to embed them: --source-model and --target-model, and where each is not of "
            "sentence-transformers its provider (--source-provider, --target-provider)"
        )
    source, target = (model.open(measuring.cache) for model in (measuring.source, measuring.target))
    queries = read_queries(measuring.queries, seed=0)
    return migrator.measure_scores(queries, source, target, thresholds=thresholds)


def _refinements(migrator: Migrator) -> tuple[dict[Address, RefinementStatus], LightmigrateError | None]:
    """Where vectors come from, or why that is not known."""
    try:
        return {refinement.address: refinement for refinement in migrator.status()}, None
    except LightmigrateError as error:
        return {}, error
