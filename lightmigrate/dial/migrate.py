"""A migration by a plan: pay, map, and note where every row's vector comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightmigrate.dial.alone import alone
from lightmigrate.dial.budget import BudgetPlan
from lightmigrate.dial.census import PAGE_ROWS
from lightmigrate.dial.pay import Paid, pay, rows_of
from lightmigrate.dial.provenance import Provenance
from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.migrator import ChromaMigrator, CollectionJob
from lightmigrate.migration.results import MigrationResult
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.base import Collection, Store
from lightmigrate.stores.with_texts import WithTexts
from lightmigrate.training import OnTraining


def migrate_by_plan(
    migrator: ChromaMigrator,
    plan: BudgetPlan,
    provider: Provider,
    *,
    embedding_function: Any = None,
    source_model: Model | None = None,
    queries: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
    auto_backup: bool = True,
    verify: bool = True,
    invalid_vectors: InvalidVectors = "refuse",
    force: bool = False,
    index: Route = "keep",
    on_progress: OnTraining | None = None,
) -> MigrationResult:
    """Migrate one collection exactly as it was planned. Calls the model; writes as `migrate_collections` does.

    Interrupted, it is run again with the same plan: what was embedded is in the cache and not paid for again.

    Args:
        migrator: of the database.
        plan: what was decided.
        provider: the new model. Without a cache it is given the default one.
        embedding_function: see `CollectionJob`.
        source_model: who made the stored vectors; unnamed by default.
        queries: what users asked, when the plan was made with that: the same.
        texts: of the records by id, when the plan was made with some that the collection does not store: the same.
        auto_backup: see `migrate_collections`.
        verify: see `migrate_collections`.
        invalid_vectors: see `migrate_collections`.
        force: see `migrate_collections`.
        index: see `migrate_collections`.
        on_progress: hears how far embedding is; the migrator's own callback hears the rest.

    Raises:
        PlanOutdatedError: the collection, or what users asked, is not what was planned with; nothing was changed.
        AnotherRunError: another run is at work on the database.
        LightmigrateError: as `pay` and `migrate_collections`; the database is as it was.
    """
    asked = provider if isinstance(provider, Cached) else Cached(provider)
    with alone(migrator.place), tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "provenance.sqlite3"

        stores: list[Store] = []
        made: list[Paid] = []

        def decided(store: Store) -> Sequence[CollectionJob]:
            stores.append(store)
            paid = pay(
                plan,
                WithTexts(store.collection(plan.address), texts or {}),
                asked,
                draft,
                source_model=source_model,
                queries=queries,
                force=force,
                on_progress=on_progress,
            )
            made.append(paid)
            a = plan.address
            return [CollectionJob(a.name, paid.projection, embedding_function, a.tenant, a.database, texts or {})]

        def beside(place: Path) -> None:
            with Provenance.of(place) as kept:
                kept.take_over(draft)

        (result,) = migrator.migrate_collections(
            decided, auto_backup, verify, invalid_vectors=invalid_vectors, force=force, index=index, beside=beside
        )
        if not migrator.is_folder and result.backup_path is not None:
            backup = replace(plan.address, name=result.backup_path.name)
            late = WithTexts(stores[0].collection(backup), texts or {})
            _note_late(migrator.place, plan, made[0].projection, late)
    return result


def _note_late(place: Path, plan: BudgetPlan, projection: Projection, backup: Collection) -> None:
    """Rows that somebody wrote to the old collection while the new one was built: they were mapped like the others."""
    with Provenance.of(place) as kept:
        for page in backup.pages(PAGE_ROWS):
            known = kept.some(plan.address, page.ids)
            late = page.rows([row for row, one in enumerate(page.ids) if one not in known])
            if len(late):
                kept.add(plan.address, rows_of(late, projection, plan.setting.first_words, frozenset(), frozenset()))
