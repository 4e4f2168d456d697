"""A migration by a budget plan: embed what the plan pays for, project the rest, record where each vector comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.budget.carry_out import CarriedOut, carry_out, rows_of
from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.engine import Engine
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import MigrationResult
from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.checks import EXACT_WHEN_MIGRATED
from lightmigrate.refinement.lock import only_run
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.stores.base import Collection, Role, Store
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.source import Texts, TextSource, form_from_json
from lightmigrate.training.collection_sample import PAGE_ROWS


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
        on_progress: receives the progress of each step.

    Raises:
        PlanOutdatedError: the collection, or the queries, changed since the plan was made; nothing was changed.
        AnotherRunError: another run is working on the database.
        LightmigrateError: as `carry_out` and `Migrator.migrate`; the database is unchanged.
    """
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
                force=options.force,
                on_progress=on_progress,
            )
            carried_out.append(done)
            return [Request(plan.address, done.projection, model, None, embedding_function, collection.source)]

        def beside(place: Path) -> None:
            with Provenance.of(place) as provenance:
                provenance.take_over(draft)
                exact = provenance.counts(plan.address)[VectorOrigin.EXACT]
                provenance.note(plan.address, {EXACT_WHEN_MIGRATED: exact})

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
            kept = [version for version in stores[0].versions() if version.role is Role.BACKUP]
            newest = next(version for version in reversed(kept) if version.own == plan.address)
            late = WithTexts(stores[0].collection(newest.address), sources[0])
            _add_late_rows(engine.place, plan, carried_out[0].projection, late)
    return result


def planned_texts(plan: BudgetPlan, texts: Texts) -> Texts:
    """The texts of a plan: those that are given, in the form that the plan says if only texts by id are."""
    form = form_from_json(plan.text_form)
    return texts if isinstance(texts, TextSource) or form is None else TextSource(form, texts or {})


def _add_late_rows(place: Path, plan: BudgetPlan, projection: Projection, backup: Collection) -> None:
    """Record the rows that were written to the old collection while the new one was built: they were projected."""
    with Provenance.of(place) as provenance:
        for page in backup.scan(PAGE_ROWS):
            known = provenance.rows_by_id(plan.address, page.ids)
            late = page.rows([row for row, record in enumerate(page.ids) if record not in known])
            if len(late):
                rows = rows_of(late, projection, plan.setting.extract_words, frozenset(), frozenset())
                provenance.add(plan.address, rows)
