"""A migration by a budget plan: embed what the plan pays for, project the rest, record where each vector comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.budget.carry_out import CarriedOut, carry_out
from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.budget.recorded import Recorded, add_late_rows, keep_beside
from lightmigrate.engine import Engine
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.distance import require_distance
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import MigrationResult
from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.lock import only_run
from lightmigrate.stores.base import Metric, Store
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.source import Texts, TextSource, form_from_json


def migrate_by_plan(
    engine: Engine,
    plan: BudgetPlan,
    provider: Provider,
    options: MigrationOptions,
    *,
    embedding_function: object = None,
    model: Mapping[str, Any] | None = None,
    source_model: Model | None = None,
    queries: Sequence[str] = (),
    texts: Texts = None,
    distance: Metric | None = None,
    on_progress: OnProgress | None = None,
) -> MigrationResult:
    """Migrate one collection exactly as planned. Calls the model; writes the database and the provenance file.

    An interrupted run is run again with the same plan: what it embedded is in the cache.

    Args:
        engine: of the database.
        plan: what to do.
        provider: the new model, with a cache.
        options: how to migrate.
        embedding_function: the application's embedding function of the new model.
        model: what to record of it.
        source_model: the model of the stored vectors; unnamed by default.
        queries: the queries that the plan was made with.
        texts: the texts by id that the plan was made with; or where the embedded texts come from, which the plan says,
            too.
        distance: that the collection gets; by default as planned.
        on_progress: receives the progress of each step.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made; nothing was changed.
        AnotherRunError: another run is working on the database.
        LightmigrateError: as `carry_out` and `Migrator.migrate`; the database is unchanged.
    """
    wanted = require_distance(distance or plan.distance or None)
    with only_run(engine.place), tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "provenance.sqlite3"
        stores: list[Store] = []
        sources: list[TextSource] = []
        carried_out: list[CarriedOut] = []

        def requests(store: Store) -> Sequence[Request]:
            stores.append(store)
            collection = with_texts(store.collection(plan.address), planned_texts(plan, texts))
            sources.append(collection.source)
            done = carry_out(
                plan,
                collection,
                provider,
                draft,
                source_model=source_model,
                queries=queries,
                distance=wanted,
                force=options.force,
                on_progress=on_progress,
            )
            carried_out.append(done)
            source = collection.source
            return [Request(plan.address, done.projection, model, None, embedding_function, source, distance=wanted)]

        def beside(place: Path) -> None:
            keep_beside(place, draft)

        (result,) = engine.migrate(
            requests,
            options.auto_backup,
            options.verify,
            options.invalid_vectors,
            options.force,
            options.index,
            beside,
        )
        if not isinstance(engine, AsideMigration) and result.backup_path is not None:
            projection, extract_words = carried_out[0].projection, plan.setting.extract_words
            add_late_rows(engine.place, stores[0], [Recorded(plan.address, projection, extract_words, sources[0])])
    return replace(result, shortened=provider.shortened)


def planned_texts(plan: BudgetPlan, texts: Texts) -> Texts:
    """The texts of a plan: those that are given, in the form that the plan says if only texts by id are."""
    form = form_from_json(plan.text_form)
    return texts if isinstance(texts, TextSource) or form is None else TextSource(form, texts or {})
