"""`migrate`: with a projection, with one trained on the collection itself, or by a budget plan."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.commands.arguments import ModelChoice, read_queries
from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import (
    DatabaseChoice,
    addresses_for,
    addresses_of_other_dimension,
    find_address,
    require_one_for_texts,
)
from lightmigrate.errors import (
    CostError,
    FailedGateError,
    LightmigrateError,
    NotEnoughTextsError,
    RefusedError,
)

if TYPE_CHECKING:
    from lightmigrate.budget.learn import Learned
    from lightmigrate.migration.collection_job import CollectionJob, EmbeddedTexts
    from lightmigrate.migration.embed_again import EmbedAgain
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.migrator import Migrator
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.cache import Cached
    from lightmigrate.stores.base import Address, Page, Store
    from lightmigrate.training.grouping import ModelGroup
    from lightmigrate.training.limits import SpendingLimit
    from lightmigrate.training.texts import TextsFile

# Records read at once to count their texts.
PAGE_ROWS = 1000

# What a store records of an embedding function: its name and its configuration.
FunctionRecord = Mapping[str, Any]

# Collections that a notice names; of more their number.
SHOWN = 3


@dataclass(frozen=True)
class Calibration:
    """How a projection is trained during a migration.

    Attributes:
        documents: how many of the documents of all collections of one old model to train on.
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
    texts: TextsFile | None = None,
    conversation: Conversation,
) -> list[MigrationResult]:
    """Migrate collections with a projection file. Asks, then writes.

    Args:
        database: the database.
        projection: its file.
        options: how to migrate.
        collections: their names; by default all whose vectors the projection takes.
        function: what to record as the embedding function of the collections; `None` keeps the record.
        texts: file of texts by id, for one collection that does not store its texts.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        LightmigrateError: as `Migrator.plan` and `Migrator.migrate`; the database is unchanged.
    """
    migrator = database.open(conversation, writing=True)
    loaded = _load(projection)
    texts_by_id = texts.read() if texts is not None else {}
    addresses = addresses_for(migrator, loaded, collections)
    require_one_for_texts(addresses, texts_by_id)
    jobs = [_job(address, loaded, function, texts_by_id) for address in addresses]
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
    conversation: Conversation,
) -> list[MigrationResult]:
    """Train one projection for all collections of one old model, and migrate. Calls the model; asks, then writes.

    The texts that the model embeds get its own vectors; where learning would cost as much as embedding every text,
    every text is embedded. A collection that cannot be migrated is named, and the others are.

    An emptied collection that keeps another dimension is made anew for the new one.

    Args:
        database: the database.
        calibration: what to train on, and the new model.
        options: how to migrate.
        collections: their names; by default all whose vectors have another dimension than the new model's.
        function: what to record as the embedding function of the collections; one of Chroma's own records itself.
        conversation: with the caller; shown each training before it is asked.

    Raises:
        FailedGateError: no collection can be migrated: the projection failed the gate, without `options.force`.
        LightmigrateError: as `calibrate` and `Migrator.migrate`; the database is unchanged.
    """
    if not calibration.target.model:
        raise LightmigrateError("--calibrate needs the new model: --target-model, and --target-provider")
    provider = calibration.target.open()
    migrator = database.open(conversation, writing=True)
    if function is None and calibration.target.provider == "chroma":
        function = _own_function(provider)
    wanted = addresses_of_other_dimension(migrator, provider.model.dimension, collections)

    def decide(store: Store) -> list[CollectionJob]:
        from lightmigrate.migration.embed_again import EmbedAgain
        from lightmigrate.training.grouping import ModelGroup, group_by_model, recorded_name
        from lightmigrate.training.limits import SpendingLimit

        limit = SpendingLimit(calibration.max_cost)
        again = EmbedAgain(provider.model, provider.embed_each)
        jobs = [_job(facts.address, again, function, {}) for facts in wanted if not facts.count]
        filled = [facts for facts in wanted if facts.count]
        grouping = group_by_model(store, filled, {facts.address: recorded_name(facts) for facts in filled})
        left_out: list[LightmigrateError] = [
            RefusedError(f"collection {address}: {reason}; embed its documents again, or add --force")
            for address, reason in grouping.mixed.items()
            if not options.force
        ]
        forced = [ModelGroup((facts,)) for facts in filled if options.force and facts.address in grouping.mixed]
        for group in (*grouping.groups, *forced):
            computed = _computed(store, group, grouping.samples, provider, limit, conversation)
            if computed is not None:
                jobs += [_job(facts.address, computed, function, {}) for facts in group.members]
                continue
            try:
                learned = _learned(store, group, provider, calibration, limit, conversation)
            except (NotEnoughTextsError, CostError) as error:
                left_out.append(error)
                continue
            for facts in group.members:
                gate = learned.gates.get(facts.address)
                if gate is not None and gate.verdict == "FAIL" and not options.force:
                    reason = f"collection {facts.address}: {gate.reason}; embed again, or add --force"
                    left_out.append(FailedGateError(reason))
                else:
                    projection = learned.projection_for(facts.address)
                    jobs.append(_job(facts.address, projection, function, {}, learned.embedded))
        if not jobs and left_out:
            raise left_out[0]
        if left_out:
            conversation.show(Notice(_left_out(left_out)))
        _require_consent(conversation, options)
        return jobs

    return _migrate(migrator, decide, options)


def migrate_embedding_again(
    database: DatabaseChoice,
    target: ModelChoice,
    options: MigrationOptions,
    *,
    collections: Sequence[str],
    max_cost: float | None = None,
    function: object = None,
    texts: TextsFile | None = None,
    cache: Path | None = None,
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
        function: what to record as the embedding function of the collections; one of Chroma's own records itself.
        texts: file of texts by id, for one collection that does not store its texts.
        cache: file that keeps embeddings.
        conversation: with the caller; shown the number of texts and their cost before it is asked.

    Raises:
        InvalidVectorsError: some records have no text that the model embeds, and `options` refuses them.
        LightmigrateError: as `Migrator.migrate`; the database is unchanged.
    """
    from lightmigrate.commands.train import Estimate
    from lightmigrate.migration.embed_again import EmbedAgain
    from lightmigrate.stores.external_texts import texts_of
    from lightmigrate.training.limits import SpendingLimit

    if not target.model:
        raise LightmigrateError("--embed-again needs the new model: --target-model, and --target-provider")
    if not collections:
        raise LightmigrateError("--embed-again embeds whole collections: name each with --collection")
    provider = target.open(cache)
    migrator = database.open(conversation, writing=True)
    if function is None and target.provider == "chroma":
        function = _own_function(provider)
    catalog = {facts.address: facts for facts in migrator.collections()}
    addresses = [find_address(name, list(catalog.values())) for name in collections]
    texts_by_id = texts.read() if texts is not None else {}
    require_one_for_texts(addresses, texts_by_id)
    again = EmbedAgain(provider.model, provider.embed_each)
    jobs = [_job(address, again, function, texts_by_id) for address in addresses]
    migrator.plan(jobs)

    def decide(store: Store) -> list[CollectionJob]:
        count = tokens = 0
        for address in addresses:
            for page in store.collection(address).scan(PAGE_ROWS, vectors=False):
                stored = [text for text in texts_of(page, texts_by_id) if text and text.strip()]
                count += len(stored)
                tokens += provider.bill(stored).tokens
        bill = provider.priced(tokens)
        conversation.show(Estimate(provider.name, count, 0, 0, bill.tokens, bill.dollars))
        SpendingLimit(max_cost).pay(provider, bill.dollars, f"embedding {count} documents")
        _require_consent(conversation, options)
        return jobs

    results = _migrate(migrator, decide, options)
    return [replace(result, shortened=provider.shortened) for result in results]


def migrate_by_plan(
    database: DatabaseChoice,
    plan_file: Path,
    options: MigrationOptions,
    *,
    function: object = None,
    queries: Path | None = None,
    texts: Path | None = None,
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
        texts: where the file of texts by id is now, if it was moved.
        cache: file that keeps embeddings.
        conversation: with the caller; shown the plan before it is asked.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made.
        LightmigrateError: as `Migrator.migrate_by_plan`; the database is unchanged.
    """
    from lightmigrate.budget.plan import BudgetPlan

    plan = BudgetPlan.load(plan_file, shlex.join(database.words) or "DATABASE")
    if queries is None and plan.queries_file and Path(plan.queries_file).is_file():
        queries = Path(plan.queries_file)
    asked = read_queries(queries, plan.seed)
    plan.query_set.require(asked)
    provider = ModelChoice.from_json(plan.provider).open(cache)
    conversation.show(plan)
    _require_consent(conversation, options)
    file = plan.texts_file if texts is None else replace(plan.texts_file, path=str(texts))
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


def _job(
    address: Address,
    projection: Projection | EmbedAgain,
    function: object,
    texts: Mapping[str, str],
    embedded: EmbeddedTexts | None = None,
) -> CollectionJob:
    from lightmigrate.migration.collection_job import CollectionJob

    return CollectionJob(address, projection, function, texts=texts, embedded=embedded)


def _require_consent(conversation: Conversation, options: MigrationOptions) -> None:
    question = "Migrate?" if options.auto_backup else "Migrate without a backup? There will be no way back."
    conversation.require(question, "migrate")


def _own_function(provider: Cached) -> object:
    """The embedding function behind a provider, for the store to record; `None` when there is none."""
    from lightmigrate.providers.chroma import ChromaProvider

    inner = provider.inner
    return inner.function if isinstance(inner, ChromaProvider) else None


def _computed(
    store: Store,
    group: ModelGroup,
    samples: Mapping[Address, Page],
    provider: Cached,
    limit: SpendingLimit,
    conversation: Conversation,
) -> Projection | None:
    """The arithmetic where the vectors are the new model's own in another form, which is shown; otherwise `None`."""
    from lightmigrate.stores.base import Page
    from lightmigrate.training.other_form import measure_form

    pool = Page.joined([samples[facts.address] for facts in group.members if facts.address in samples])
    model = provider.model
    identity = measure_form(pool, provider, limit, group.open(store).metric)
    if identity is None:
        return None
    projection = identity.exact(replace(model, dimension=group.dimension, normalised=False), model)
    if projection is not None:
        conversation.show(Notice(f"{group.title}: {identity.reason}; computed exactly, nothing is learned"))
    elif identity.verdict == "form":
        conversation.show(Notice(f"{group.title}: {identity.reason}; a projection is learned"))
    return projection


def _learned(
    store: Store,
    group: ModelGroup,
    provider: Cached,
    calibration: Calibration,
    limit: SpendingLimit,
    conversation: Conversation,
) -> Learned:
    """What the collections of one model are migrated with; its training is shown."""
    from lightmigrate.budget.learn import learn
    from lightmigrate.commands.train import Trained
    from lightmigrate.projection.model import Model

    learned = learn(
        group.open(store),
        provider,
        calibration.documents,
        opened_by=calibration.target.to_json(),
        source_model=Model(group.name or "unnamed", group.dimension),
        limit=limit,
        on_progress=conversation.on_progress,
    )
    if learned.training is not None:
        conversation.show(Trained(learned.training, ()))
    else:
        texts = len(learned.embedded.digests)
        conversation.show(
            Notice(f"{group.title}: all {texts:,} texts were embedded, because learning would have cost as much")
        )
    return learned


def _left_out(errors: Sequence[LightmigrateError]) -> str:
    """Which collections are not migrated, and why; the first of many."""
    more = f"; and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    return "not migrated: " + "; ".join(map(str, errors[:SHOWN])) + more
