"""`bridge`: the new model's queries on a collection that is not migrated yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_collection

if TYPE_CHECKING:
    from lightmigrate.projection.projection import Projection


def bridge(
    database: DatabaseChoice,
    target: ModelChoice,
    output: Path,
    *,
    collection: str = "",
    samples: int = 1000,
    texts: TextsChoice = FOUND_TEXTS,
    cache: Path | None = None,
    conversation: Conversation,
) -> Projection:
    """Fit a projection from the new model's space to a collection's, and save it. Calls the model; writes only files.

    Args:
        database: the database; only read.
        target: the new model.
        output: file for the projection, `.npz`.
        collection: its name; may be empty when there is only one with vectors.
        samples: documents to fit to.
        texts: where the embedded texts come from.
        cache: file that keeps embeddings.
        conversation: with the caller.

    Raises:
        LightmigrateError: as `Migrator.bridge`.
    """
    provider = target.open(cache)
    migrator = database.open(conversation)
    projection = migrator.bridge(only_collection(migrator, collection), provider, samples=samples, texts=texts.read())
    projection.save(output)
    return projection
