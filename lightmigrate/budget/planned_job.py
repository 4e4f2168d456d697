"""A migration by a budget plan: embed what the plan pays for, project the rest, record where each vector comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lightmigrate.budget.carry_out import Sampling, carry_out
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.errors import FailedGateError, ModelMismatchError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.distance import require_distance
from lightmigrate.progress import OnProgress, Report, reporting
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Thresholds
from lightmigrate.stores.base import Collection, Metric, Store
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.source import Texts, TextSource, form_from_json

# What to do in place of a plan that is refused.
_INSTEAD = "stay with the old model, plan for more (--budget 100% embeds everything), or add --force"


def planned_job(
    plan: BudgetPlan,
    provider: Cached,
    *,
    embedding_function: object = None,
    source_model: Model | None = None,
    queries: Sequence[str] = (),
    texts: Texts = None,
    distance: Metric | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Callable[[Store], Sequence[CollectionJob]]:
    """How to migrate one collection exactly as planned, for `Migrator.migrate`. Its result calls the model.

    An interrupted run is run again with the same plan: what it embedded is in the cache.

    Args:
        plan: what to do.
        provider: the new model.
        embedding_function: the application's embedding function of the new model.
        source_model: the model of the stored vectors; unnamed by default.
        queries: the queries that the plan was made with.
        texts: the texts by id that the plan was made with; or where the embedded texts come from, which the plan says,
            too.
        distance: that the collection gets; by default as planned.
        force: go on although it is expected to keep little, and no more than doing nothing.
        on_progress: receives the progress of each step.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made.
        FailedGateError: it is expected to keep little, and no more than doing nothing; see `BudgetPlan.objection`.
        ModelMismatchError: the provider is another model than the plan's.
    """
    wanted = require_distance(distance or plan.distance or None)

    def decide(store: Store) -> Sequence[CollectionJob]:
        report = reporting(on_progress, str(plan.address))
        if provider.name != plan.model:
            raise ModelMismatchError(
                f"the plan is for the model {plan.model}, not for {provider.name}: use {plan.model}, or plan again"
            )
        plan.query_set.require(queries)
        collection = with_texts(store.collection(plan.address), planned_texts(plan, texts))
        size = size_as_planned(plan, collection, provider, report)
        if plan.objection is not None and not force:  # before anything is paid for
            raise FailedGateError(f"collection {plan.address}: {plan.objection}: {_INSTEAD}")
        learned = carry_out(
            JoinedCollections([collection], wanted),
            provider,
            plan.setting,
            size,
            Sampling(plan.sampled, plan.representative, plan.words, plan.seed, queries),
            opened_by=plan.provider,
            source_model=source_model,
            texts_file=plan.texts_file,
            thresholds=Thresholds(failing=0.0),  # what is too little is decided here, by what doing nothing keeps
            on_progress=on_progress,
        )
        found = replace(plan, expected=learned.expected)
        if found.objection is not None and not force:
            raise FailedGateError(f"collection {plan.address}: {found.objection}: {_INSTEAD}")
        return [
            CollectionJob(
                plan.address,
                learned.projection.with_facts(training={"compared": [way.to_json() for way in plan.compared]}),
                embedding_function,
                texts=collection.source,
                embedded=learned.embedded,
                distance=wanted,
            )
        ]

    return decide


def size_as_planned(plan: BudgetPlan, collection: Collection, provider: Provider, report: Report) -> CollectionSize:
    """The size of a collection that has not changed since it was planned for. Reads all of it, and calls no model.

    Args:
        plan: for it.
        collection: with its embedded texts.
        provider: the new model.
        report: receives the number of records that were counted.

    Raises:
        PlanOutdatedError: it has changed.
    """
    lengths = [plan.setting.extract_words] if plan.setting.extract_words else []
    size = CollectionSize.of(collection, provider, lengths, lambda done, total: report("count", done, total))
    plan.require_unchanged(size)
    return size


def planned_texts(plan: BudgetPlan, texts: Texts) -> Texts:
    """The texts of a plan: those that are given, in the form that the plan says if only texts by id are."""
    form = form_from_json(plan.text_form)
    return texts if isinstance(texts, TextSource) or form is None else TextSource(form, texts or {})
