"""`refine`: embed more rows of a migrated collection with the new model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, only_one
from lightmigrate.commands.estimate import Estimate
from lightmigrate.errors import LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.refinement.estimate import RefinementEstimate
    from lightmigrate.refinement.order import Order
    from lightmigrate.refinement.refine import Refinement
    from lightmigrate.stores.base import Address


@dataclass(frozen=True)
class RefinementOptions:
    """How far and in which order.

    Attributes:
        documents: embed at most so many.
        tokens: embed at most so many tokens, estimated.
        seconds: stop after about so many.
        order: which documents come first; see `Migrator.refine`.
        queries: file with queries of users, for the order `retrieved`.
        refit: refit the projection on the exact rows and apply it to the others.
    """

    documents: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    order: Order = "random"
    queries: Path | None = None
    refit: bool = True


def refine(
    database: DatabaseChoice,
    options: RefinementOptions,
    *,
    collection: str = "",
    texts: Path | None = None,
    cache: Path | None = None,
    conversation: Conversation,
) -> Refinement:
    """Embed projected rows with the model that the collection was migrated to. Asks about the cost; writes vectors.

    Args:
        database: the database; a folder may not be open elsewhere.
        options: how far and in which order.
        collection: its name; may be empty when only one was migrated by a plan.
        texts: where the file with the texts by id is now, if it was moved.
        cache: file that keeps embeddings.
        conversation: with the caller; asked before a model is called that costs money.

    Raises:
        LightmigrateError: as `Migrator.refine`; no collection, or several, were migrated by a plan.
    """
    from lightmigrate.refinement.refine import Refinement

    migrator = database.open(conversation, writing=True)
    inputs = migrator.refinement_inputs()
    if not inputs:
        migrator.status()  # raises the error that says that nothing was migrated by a plan, and what to do
    address = only_one(list(inputs), collection, migrator)
    if "model" not in inputs[address].provider:
        (status,) = (status for status in migrator.status() if status.address == address)
        if not status.waiting:
            return Refinement(str(address), 0, 0, 0, 0, status, 0.0)
        raise LightmigrateError(
            f"{address} has another model than commands can open; {refine_from_python(database, address)}"
        )
    provider = ModelChoice.from_json(inputs[address].provider).open(cache)
    file = inputs[address].texts_file
    texts_by_id = (file if texts is None else replace(file, path=str(texts))).read()
    queries: list[str] = []
    if options.queries is not None:
        from lightmigrate.training.texts import read_texts

        queries = read_texts(options.queries, "text")
    may_cost = provider.priced(1_000_000).dollars != 0
    return migrator.refine(
        address,
        provider,
        documents=options.documents,
        tokens=options.tokens,
        seconds=options.seconds,
        order=options.order,
        queries=queries,
        texts=texts_by_id,
        refit=options.refit,
        on_estimate=partial(_require_consent, conversation) if may_cost else None,
    )


def refine_from_python(database: DatabaseChoice, address: Address) -> str:
    """Who embeds the rest of a collection whose model no command can open."""
    opened = repr(database.words[0]) if len(database.words) == 1 else "CLIENT"
    return (
        "the application that migrated it embeds the rest after its start, or Python does:  "
        f"lightmigrate.Migrator({opened}).refine({str(address)!r}, EMBEDDING_FUNCTION)"
    )


def _require_consent(conversation: Conversation, estimate: RefinementEstimate) -> None:
    """Show what is to be paid for, and ask, where something is."""
    if not estimate.tokens:
        return
    conversation.show(Estimate(estimate.model, estimate.documents, 0, 0, estimate.tokens, estimate.dollars))
    conversation.require(f"Embed with {estimate.model}?", "embed")
