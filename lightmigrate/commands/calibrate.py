"""`migrate --calibrate`: one projection for all collections of one old model, trained on their own documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lightmigrate.commands.arguments import FOUND_TEXTS, ModelChoice, TextsChoice
from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import DatabaseChoice, addresses_of_other_dimension, require_one_for_texts
from lightmigrate.commands.migrate import new_job, own_function, require_consent, run_migration
from lightmigrate.errors import (
    AmbiguousTextsError,
    CostError,
    FailedGateError,
    LightmigrateError,
    NotEnoughTextsError,
    NotTextsError,
    RefusedError,
)

if TYPE_CHECKING:
    from lightmigrate.budget.learn import Learned
    from lightmigrate.migration.collection_job import CollectionJob
    from lightmigrate.migration.options import MigrationOptions
    from lightmigrate.migration.results import MigrationResult
    from lightmigrate.projection.projection import Projection
    from lightmigrate.providers.cache import Cached
    from lightmigrate.stores.base import Address, CollectionFacts, Metric, Page, Store
    from lightmigrate.stores.joined import JoinedCollections
    from lightmigrate.texts.collection import CollectionsWithTexts
    from lightmigrate.texts.source import Texts, TextSource
    from lightmigrate.training.grouping import ModelGroup
    from lightmigrate.training.limits import SpendingLimit

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


def migrate_calibrated(
    database: DatabaseChoice,
    calibration: Calibration,
    options: MigrationOptions,
    *,
    collections: Sequence[str] = (),
    function: object = None,
    texts: TextsChoice = FOUND_TEXTS,
    distance: Metric | None = None,
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
        texts: where the embedded texts come from; a file of texts by id is for one collection.
        distance: that the collections get, by which the projection is judged; `None` keeps theirs.
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
        function = own_function(provider)
    wanted = addresses_of_other_dimension(migrator, provider.model.dimension, collections, distance)
    require_one_for_texts([facts.address for facts in wanted], texts.path)
    given = texts.read()

    def decide(store: Store) -> list[CollectionJob]:
        from lightmigrate.migration.embed_again import EmbedAgain
        from lightmigrate.training.grouping import ModelGroup, group_by_model, recorded_name
        from lightmigrate.training.limits import SpendingLimit

        limit = SpendingLimit(calibration.max_cost)
        again = EmbedAgain(provider.model, provider.embed_each)
        jobs = [new_job(facts.address, again, function, distance=distance) for facts in wanted if not facts.count]
        embedded, left_out = _with_texts(store, [facts for facts in wanted if facts.count], given, options.force)
        filled = [facts for facts in wanted if facts.address in embedded.sources]
        grouping = group_by_model(embedded, filled, {facts.address: recorded_name(facts) for facts in filled})
        left_out += [
            RefusedError(f"collection {address}: {reason}; embed its documents again, or add --force")
            for address, reason in grouping.mixed.items()
            if not options.force
        ]
        forced = [ModelGroup((facts,)) for facts in filled if options.force and facts.address in grouping.mixed]
        for group in (*grouping.groups, *forced):
            opened = group.open(embedded, distance)
            computed = _computed(opened, group, grouping.samples, provider, limit, conversation)
            if computed is not None:
                jobs += [new_job(facts.address, computed, function, distance=distance) for facts in group.members]
                continue
            try:
                learned = _learned(opened, group, provider, calibration, limit, conversation)
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
                    texts_of = embedded.sources[facts.address]
                    jobs.append(
                        new_job(facts.address, projection, function, texts_of, learned.embedded, distance=distance)
                    )
        if not jobs and left_out:
            raise left_out[0]
        if left_out:
            conversation.show(Notice(_left_out(left_out)))
        require_consent(conversation, options)
        return jobs

    return run_migration(migrator, decide, options)


def _with_texts(
    store: Store, wanted: Sequence[CollectionFacts], given: Texts, force: bool
) -> tuple[CollectionsWithTexts, list[LightmigrateError]]:
    """The collections with their embedded texts, and why others cannot be learned from."""
    from lightmigrate.texts.chosen import chosen_texts
    from lightmigrate.texts.collection import CollectionsWithTexts
    from lightmigrate.texts.find import SAMPLED
    from lightmigrate.texts.not_texts import require_texts, rows_by_uri

    sources: dict[Address, TextSource] = {}
    left_out: list[LightmigrateError] = []
    for facts in wanted:
        try:
            collection = store.collection(facts.address)
            source = chosen_texts(collection, given)
            if not force:
                page = collection.sample(SAMPLED)
                require_texts(facts.address, rows_by_uri(page, source.texts_of(page)), len(page))
        except (AmbiguousTextsError, NotTextsError) as error:
            left_out.append(error)
        else:
            sources[facts.address] = source
    return CollectionsWithTexts(store, sources), left_out


def _computed(
    opened: JoinedCollections,
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
    # lengths count if they do before or after the migration
    metric = opened.metric if opened.present_metric == "cosine" else opened.present_metric
    identity = measure_form(pool, provider, limit, metric)
    if identity is None:
        return None
    projection = identity.exact(replace(model, dimension=group.dimension, normalised=False), model)
    if projection is not None:
        conversation.show(Notice(f"{group.title}: {identity.reason}; computed exactly, nothing is learned"))
    elif identity.verdict == "form":
        conversation.show(Notice(f"{group.title}: {identity.reason}; a projection is learned"))
    return projection


def _learned(
    opened: JoinedCollections,
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
        opened,
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
