"""`migrate`: with a projection, with one trained on the collection itself, or by a budget plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice, read_queries
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import (
    DatabaseChoice,
    addresses_for,
    addresses_of_other_dimension,
    require_one_for_texts,
)
from lightmigrate.errors import FailedGateError, LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.migrator import Migrator
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.cache import Cached
    from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store
    from lightmigrate.texts.source import Texts
    from lightmigrate.training.limits import SpendingLimit

# What a store records of an embedding function: its name and its configuration.
FunctionRecord = Mapping[str, Any]


@dataclass(frozen=True)
class Calibration:
    """How a projection is trained during a migration.

    Attributes:
        documents: how many of the collection's own documents to train on.
        target: the new model.
        max_cost: dollars that it may cost at most.
    """

    documents: int
    target: ModelChoice
    max_cost: float | None = None


def migrate_with_projection(
    database: DatabaseChoice,
    projection: Path,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
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
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `Migrator.plan` and `Migrator.migrate`; the database is unchanged.
    """
    migrator = database.open(conversation, writing=True)
    loaded = _load(projection)
    embedded = texts.read()
    addresses = addresses_for(migrator, loaded, collections)
    require_one_for_texts(addresses, texts.path)
    jobs = [_job(address, loaded, function, embedded) for address in addresses]
    conversation.show(migrator.plan(jobs))
    _require_consent(conversation, options)
    return _migrate(migrator, jobs, options)


def migrate_calibrated(
    database: DatabaseChoice,
    calibration: Calibration,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Train a projection on each collection's own documents, and migrate with it. Calls the model; asks, then writes.

    Args:
        database: the database.
        calibration: what to train on, and the new model.
        options: how to migrate.
        collections: their names; by default all whose vectors have another dimension than the new model's.
        function: what to record as the embedding function of the collections; one of Chroma's own records itself.
        texts: where the embedded texts come from; a file of texts by id is for one collection.
        conversation: with the caller; shown each training before it is asked.

    Raises:
        FailedGateError: a projection failed the gate, and `options.force` is not set.
        LightmigrateError: as `calibrate` and `Migrator.migrate`; the database is unchanged.
    """
    if not calibration.target.model:
        raise LightmigrateError("--calibrate needs the new model: --target-model, and --target-provider")
    provider = calibration.target.open()
    migrator = database.open(conversation, writing=True)
    if function is None and calibration.target.provider == "chroma":
        function = _own_function(provider)
    facts = addresses_of_other_dimension(migrator, provider.model.dimension, collections)
    require_one_for_texts([one.address for one in facts], texts.path)
    given = texts.read()

    def decide(store: Store) -> list[CollectionJob]:
        from lightmigrate.texts.chosen import with_texts
        from lightmigrate.texts.find import SAMPLED
        from lightmigrate.texts.not_texts import require_texts, rows_by_uri
        from lightmigrate.training.limits import SpendingLimit

        limit = SpendingLimit(calibration.max_cost)
        jobs = []
        for one in facts:
            collection = with_texts(store.collection(one.address), given)
            if not options.force:
                page = collection.sample(SAMPLED)
                require_texts(one.address, rows_by_uri(page, page.texts), len(page))
            projection = _trained(collection, one, provider, calibration, limit, options, conversation)
            jobs.append(_job(one.address, projection, function, collection.source))
        _require_consent(conversation, options)
        return jobs

    return _migrate(migrator, decide, options)


def migrate_by_plan(
    database: DatabaseChoice,
    plan_file: Path,
    options: MigrationOptions,
    *,
    function: object = None,
    queries: Path | None = None,
    texts: TextsChoice = FOUND_TEXTS,
    cache: Path | None = None,
    conversation: Conversation,
) -> MigrationResult:
    """Migrate one collection exactly as a budget plan says. Calls the model; asks, then writes.

    Args:
        database: the database.
        plan_file: what `plan --output` wrote.
        options: how to migrate.
        function: what to record as the embedding function of the collection; `None` keeps the record.
        queries: where the file of queries is now, if it was moved.
        texts: where the file of texts by id is now, if it was moved; the plan says the rest.
        cache: file that keeps embeddings.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made.
        LightmigrateError: as `Migrator.migrate_by_plan`; the database is unchanged.
    """
    from lightmigrate.budget.plan import BudgetPlan

    plan = BudgetPlan.load(plan_file)
    if queries is None and plan.queries_file and Path(plan.queries_file).is_file():
        queries = Path(plan.queries_file)
    asked = read_queries(queries, plan.seed)
    plan.query_set.require(asked)
    provider = ModelChoice.from_json(plan.provider).open(cache)
    conversation.show(plan)
    _require_consent(conversation, options)
    file = plan.texts_file if texts.path is None else replace(plan.texts_file, path=str(texts.path))
    return database.open(conversation, writing=True).migrate_by_plan(
        plan,
        provider,
        options.auto_backup,
        options.verify,
        embedding_function=function,
        queries=asked,
        texts=file.read(),
        invalid_vectors=options.invalid_vectors,
        force=options.force,
        index=options.index,
    )


def _load(file: Path) -> Projection:
    from lightmigrate.projection.projection import Projection

    return Projection.load(file)


def _migrate(
    migrator: Migrator,
    jobs: Sequence[CollectionJob] | Callable[[Store], Sequence[CollectionJob]],
    options: MigrationOptions,
) -> list[MigrationResult]:
    return migrator.migrate(
        jobs,
        options.auto_backup,
        options.verify,
        invalid_vectors=options.invalid_vectors,
        force=options.force,
        index=options.index,
    )


def _job(address: Address, projection: Projection, function: object, texts: Texts) -> CollectionJob:
    from lightmigrate.migration.collection_job import CollectionJob

    return CollectionJob(address, projection, function, texts=texts)


def _require_consent(conversation: Conversation, options: MigrationOptions) -> None:
    question = "Migrate?" if options.auto_backup else "Migrate without a backup? There will be no way back."
    conversation.require(question, "migrate")


def _own_function(provider: Cached) -> object:
    """The embedding function behind a provider, for the store to record; `None` when there is none."""
    from lightmigrate.providers.chroma import ChromaProvider

    inner = provider.inner
    return inner.function if isinstance(inner, ChromaProvider) else None


def _trained(
    collection: Collection,
    facts: CollectionFacts,
    provider: Cached,
    calibration: Calibration,
    limit: SpendingLimit,
    options: MigrationOptions,
    conversation: Conversation,
) -> Projection:
    """A projection that was trained on one collection and passed the gate, or may be used all the same."""
    from lightmigrate.commands.train import Trained
    from lightmigrate.projection.model import Model
    from lightmigrate.startup.target_model import recorded_model
    from lightmigrate.training.calibrate import calibrate

    training = calibrate(
        collection,
        provider,
        calibration.documents,
        source_model=Model(recorded_model(facts.embedding_function) or "unnamed", facts.dimension or 0),
        limit=limit,
        on_progress=conversation.on_progress,
    )
    conversation.show(Trained(training, ()))
    if training.gate.verdict == "FAIL" and not options.force:
        raise FailedGateError(f"collection {facts.address}: {training.gate.reason}; embed again, or add --force")
    return training.projection
