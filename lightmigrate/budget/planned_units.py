"""A budget plan for a folder or a table that workers convert: each embeds what the plan pays for of its units."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.budget.planned_job import planned_job, planned_texts, size_as_planned
from lightmigrate.errors import RefusedError
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.projection import Projection
from lightmigrate.scale import digests
from lightmigrate.scale.embedding import Embedding, NewModel
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.new_vectors import with_model
from lightmigrate.scale.planning import require_column
from lightmigrate.stores.base import Store
from lightmigrate.stores.open import open_database
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.source import form_from_json


class PlannedUnits:
    """Units are migrated exactly as planned. See `scale.job.UnitJob`, and `planned_job` for the errors.

    Args:
        plan: what to do.
        digest: of its file, by which an interrupted run is known.
        database: the folder or the table, as it is opened.
        model: the new model, with the cache that the plan was made with, and the purse of this run.
        queries: the queries that the plan was made with.
        force: go on although the gate's verdict is FAIL, or it surely keeps no more than doing nothing.
        on_progress: receives the progress of what comes before the units.
    """

    of_counted_texts = True

    def __init__(
        self,
        plan: BudgetPlan,
        digest: str,
        database: object,
        model: NewModel,
        *,
        queries: Sequence[str] = (),
        force: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._plan, self._digest, self._database, self._model = plan, digest, database, model
        self._queries, self._force, self._on_progress = queries, force, on_progress

    @property
    def asked(self) -> Mapping[str, str]:
        """See `UnitJob`: the plan."""
        return {"plan": self._digest}

    def write(self, projection: Path, whole: Path) -> None:
        """See `UnitJob`: reads everything, and embeds what the projection is fitted to.

        Raises:
            RefusedError: the plan is for other texts or another distance than workers can give.
        """
        self._require_possible()
        provider = self._model.open()
        decide = planned_job(
            self._plan, provider, queries=self._queries, force=self._force, on_progress=self._on_progress
        )
        with contextlib.closing(provider), self._opened() as store:
            (job,) = decide(store)
            assert isinstance(job.projection, Projection)  # noqa: S101  # as `planned_job` makes it
            with_model(job.projection, provider).save(projection)
        digests.write(whole, () if job.embedded is None else job.embedded.digests)

    def require_unchanged(self) -> None:
        """See `UnitJob`: reads everything."""
        report = reporting(self._on_progress, str(self._plan.address))
        with contextlib.closing(self._model.open()) as provider, self._opened() as store:
            collection = with_texts(store.collection(self._plan.address), planned_texts(self._plan, None))
            size_as_planned(self._plan, collection, provider, report)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Store]:
        store = open_database(self._database)
        if not isinstance(store, Store):
            raise RefusedError(f"{self._database} is not migrated by workers: leave out --workers")
        with contextlib.closing(store):
            yield store

    def _require_possible(self) -> None:
        require_column(form_from_json(self._plan.text_form))
        if self._plan.texts_file.path or self._plan.distance:
            option = "--texts" if self._plan.texts_file.path else "--distance"
            raise RefusedError(f"the plan was made with {option}, which workers do not heed: plan again without")

    @contextlib.contextmanager
    def for_workers(self, executor: Executor, whole: Path) -> Iterator[Embedding]:
        """See `UnitJob`."""
        with self._model.for_workers(executor, whole) as embedding:
            yield embedding
