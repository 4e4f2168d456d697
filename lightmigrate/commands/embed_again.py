"""`migrate --embed-again`: collections made anew from their stored texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, find_address, require_one_for_texts
from lightmigrate.commands.estimate import Estimate
from lightmigrate.commands.migrate import function_of, new_job, require_consent, run_migration
from lightmigrate.errors import LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.stores.base import Metric, Store

# Records read at once to count their texts.
PAGE_ROWS = 1000


def migrate_embedding_again(
    database: DatabaseChoice,
    target: ModelChoice,
    options: MigrationOptions,
    *,
    collections: Sequence[str],
    max_cost: float | None = None,
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
    cache: Path | None = None,
    distance: Metric | None = None,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Make collections anew from their stored texts. Calls the model; asks, then writes.

    The way out for a collection whose vectors cannot be read: they are not read.

    Args:
        database: the database, a folder.
        target: the new model.
        options: how to migrate; `invalid_vectors` says what becomes of records without a text.
        collections: their names.
        max_cost: dollars that it may cost at most.
        function: what to record as the embedding function of the collections; `None`: see `function_of`.
        texts: where the embedded texts come from; a file of texts by id is for one collection.
        cache: file that keeps embeddings.
        distance: that the collections get; `None` keeps theirs.
        conversation: with the caller; shown the number of texts and their cost before it is asked.

    Raises:
        InvalidVectorsError: some records have no text that the model embeds, and `options` refuses them.
        LightmigrateError: as `Migrator.migrate`; the database is unchanged.
    """
    from lightmigrate.migration.embed_again import EmbedAgain
    from lightmigrate.texts.chosen import texts_of_records
    from lightmigrate.training.limits import SpendingLimit

    if not target.model:
        raise LightmigrateError("--embed-again needs the new model: --target-model, and --target-provider")
    if not collections:
        raise LightmigrateError("--embed-again embeds whole collections: name each with --collection")
    provider = target.open(cache)
    migrator = database.open_to_migrate(conversation)
    function = function_of(provider) if function is None else function
    catalog = {facts.address: facts for facts in migrator.collections()}
    addresses = [find_address(name, list(catalog.values())) for name in collections]
    embedded = texts.read()
    require_one_for_texts(addresses, texts.path)
    again = EmbedAgain(provider.model, provider.embed_each)
    migrator.plan([new_job(address, again, function, embedded, distance=distance) for address in addresses])

    def decide(store: Store) -> list[CollectionJob]:
        jobs = []
        count = tokens = 0
        for address in addresses:
            collection = store.collection(address)
            source = texts_of_records(collection, embedded)
            for page in collection.scan(PAGE_ROWS, vectors=False):
                stored = [text for text in source.texts_of(page) if text and text.strip()]
                count += len(stored)
                tokens += provider.bill(stored).tokens
            jobs.append(new_job(address, again, function, source, distance=distance))
        bill = provider.priced(tokens)
        conversation.show(Estimate(provider.name, count, 0, 0, bill.tokens, bill.dollars))
        SpendingLimit(max_cost).pay(provider, bill.dollars, f"embedding {count} documents")
        require_consent(conversation, options)
        return jobs

    results = run_migration(migrator, decide, options)
    return [replace(result, shortened=provider.shortened) for result in results]
