"""`migrate` with a projection or by a budget plan, and what all commands that migrate share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice, read_queries
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice, addresses_for, require_one_for_texts

if TYPE_CHECKING:
    from lightmigrate.budget.plan import BudgetPlan
    from lightmigrate.migration.collection_job import CollectionJob, EmbeddedTexts
    from lightmigrate.migration.embed_again import EmbedAgain
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.migrator import Migrator
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.cache import Cached
    from lightmigrate.stores.base import Address, Metric, Store
    from lightmigrate.texts.source import Texts

# What a store records of an embedding function: its name and its configuration.
FunctionRecord = Mapping[str, Any]


def migrate_with_projection(
    database: DatabaseChoice,
    projection: Path,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
    distance: Metric | None = None,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Migrate collections with a projection file. Asks, then writes.

    Args:
        database: the database.
        projection: its file.
        options: how to migrate.
        collections: their names; by default all whose vectors the projection takes.
        function: what to record as the embedding function of the collections; `None` keeps the record.
        texts: where the embedded texts come from, for a projection that reads them; a file of texts by id is for one
            collection.
        distance: that the collections get; `None` keeps theirs.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `Migrator.plan` and `Migrator.migrate`; the database is unchanged.
    """
    migrator = database.open_to_migrate(conversation)
    loaded = _load(projection)
    embedded = texts.read()
    addresses = addresses_for(migrator, loaded, collections, distance)
    require_one_for_texts(addresses, texts.path)
    jobs = [new_job(address, loaded, function, embedded, distance=distance) for address in addresses]
    conversation.show(migrator.plan(jobs))
    require_consent(conversation, options)
    return run_migration(migrator, jobs, options)


def migrate_by_plan(
    database: DatabaseChoice,
    plan_file: Path,
    options: MigrationOptions,
    *,
    function: object = None,
    queries: Path | None = None,
    texts: TextsChoice = FOUND_TEXTS,
    cache: Path | None = None,
    max_cost: float | None = None,
    distance: Metric | None = None,
    conversation: Conversation,
) -> MigrationResult:
    """Migrate one collection exactly as a budget plan says. Calls the model; asks, then writes.

    Args:
        database: the database.
        plan_file: what `plan --output` wrote.
        options: how to migrate.
        function: what to record as the embedding function of the collection; `None`: see `function_of`.
        queries: where the file of queries is now, if it was moved.
        texts: where the file of texts by id is now, if it was moved; the plan says the rest.
        cache: file that keeps embeddings.
        max_cost: dollars that this run may spend at most.
        distance: that the collection gets; by default as planned.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made.
        CostError: it would cost more.
        LightmigrateError: as `Migrator.migrate_by_plan`; the database is unchanged.
    """
    plan, asked = read_plan(database, plan_file, queries)
    target = ModelChoice.from_json(plan.provider)
    provider = target.open(cache, **target.limited(max_cost))
    function = function_of(provider) if function is None else function
    migrator = database.open_to_migrate(conversation)
    conversation.show(plan)
    require_consent(conversation, options)
    file = plan.texts_file if texts.path is None else replace(plan.texts_file, path=str(texts.path))
    return migrator.migrate_by_plan(
        plan,
        provider,
        options.auto_backup,
        options.verify,
        embedding_function=function,
        queries=asked,
        texts=file.read(),
        distance=distance,
        invalid_vectors=options.invalid_vectors,
        force=options.force,
        index=options.index,
    )


def read_plan(
    database: DatabaseChoice, plan_file: Path, queries: Path | None = None
) -> tuple[BudgetPlan, Sequence[str]]:
    """A plan from its file, and the queries that it was made with. Only reads.

    Args:
        database: that it is for.
        plan_file: what `plan --output` wrote.
        queries: where the file of queries is now, if it was moved.

    Raises:
        PlanOutdatedError: they are other queries.
        LightmigrateError: it is no plan.
    """
    from lightmigrate.budget.plan import BudgetPlan

    plan = BudgetPlan.load(plan_file, shlex.join(database.words) or "DATABASE")
    if queries is None and plan.queries_file and Path(plan.queries_file).is_file():
        queries = Path(plan.queries_file)
    asked = read_queries(queries, plan.seed)
    plan.query_set.require(asked)
    return plan, asked


def _load(file: Path) -> Projection:
    from lightmigrate.projection.projection import Projection

    return Projection.load(file)


def run_migration(
    migrator: Migrator,
    jobs: Sequence[CollectionJob] | Callable[[Store], Sequence[CollectionJob]],
    options: MigrationOptions,
) -> list[MigrationResult]:
    """`Migrator.migrate` with options. Writes."""
    return migrator.migrate(
        jobs,
        options.auto_backup,
        options.verify,
        invalid_vectors=options.invalid_vectors,
        force=options.force,
        index=options.index,
    )


def new_job(
    address: Address,
    projection: Projection | EmbedAgain | None,
    function: object,
    texts: Texts = None,
    embedded: EmbeddedTexts | None = None,
    *,
    distance: Metric | None = None,
    rebuild_index: bool = False,
) -> CollectionJob:
    """A job, made without loading the migration before it is needed."""
    from lightmigrate.migration.collection_job import CollectionJob

    return CollectionJob(
        address, projection, function, texts=texts, embedded=embedded, distance=distance, rebuild_index=rebuild_index
    )


def require_consent(conversation: Conversation, options: MigrationOptions) -> None:
    """Ask whether to migrate; raises when the answer is no."""
    question = "Migrate?" if options.auto_backup else "Migrate without a backup? There will be no way back."
    conversation.require(question, "migrate")


def function_of(provider: Cached) -> object:
    """What a store records as the embedding function of a provider's vectors: one of Chroma's own records itself.

    Of any other an application has a function of its own, which Chroma could not build: then it is recorded that it is
    not known. The old record would have applications search with the old model, or refuse their new function.
    """
    from lightmigrate.providers.chroma import ChromaProvider

    inner = provider.inner
    return inner.function if isinstance(inner, ChromaProvider) else provider.embed_each
