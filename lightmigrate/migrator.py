"""`Migrator(database)`: everything that can be done with one database, whatever store it is in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.budget.planned_job import planned_job
from lightmigrate.budget.recorded import SECONDS_OF_BACKGROUND, migrate_recorded
from lightmigrate.engine import requests_of
from lightmigrate.errors import RefusedError
from lightmigrate.learner import DatabaseLearner
from lightmigrate.migration.changes import OnWritten
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.options import MigrationOptions, Verify
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.results import Backup, MigrationResult, Rollback
from lightmigrate.progress import reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import cached
from lightmigrate.refinement.checks import ProvenVectors
from lightmigrate.refinement.estimate import Limits, RefinementEstimate
from lightmigrate.refinement.lock import only_run
from lightmigrate.refinement.order import Order
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.refine import Refinement, Refiner
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, Metric, Store
from lightmigrate.stores.files import FileDatabase, IndexRoute, require_unused, warn_if_unknown
from lightmigrate.stores.open import open_database
from lightmigrate.stores.others import require_no_others
from lightmigrate.texts.chosen import with_texts
from lightmigrate.texts.source import Texts, TextSource, form_from_json
from lightmigrate.transfer import Transfer


class Migrator(DatabaseLearner):
    """One database: its collections, their migrations, and what comes before and after them.

    A database that is files (a folder) is migrated aside: the new one is built in a copy, verified, and exchanged with
    the old one in one step; the old folder is the backup. In an open database (a client, a server) a shadow collection
    is built, kept up with writers, verified and exchanged; the old collection is the backup.

    Every method says whether it writes. Those that read never write to the database, and they do not end an exchange
    that a crash interrupted: `unfinished` says that there is one. Those that write end it first, and `recovered` says
    what they did.

    Args:
        database: a folder, a URL, an open client, or an opened `Store`.
        page_size: records held in memory at once; 500 to 5,000 are sensible.
        on_progress: receives the progress of every long step; by default the `lightmigrate` logger does.

    Raises:
        DatabaseError: there is no database.
    """

    @property
    def recovered(self) -> str | None:
        """What a method of this object did about an interrupted run, in a sentence; `None` when nothing."""
        return self._engine.recovered

    def migrate(
        self,
        jobs: Sequence[CollectionJob] | Callable[[Store], Sequence[CollectionJob]],
        auto_backup: bool = True,
        verify: Verify = True,
        *,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: IndexRoute = "keep",
    ) -> list[MigrationResult]:
        """Migrate collections in one go: one exchange, one backup. Writes. See `MigrationOptions` for the options.

        Ids, texts, payloads, their order, and the collection's metadata, index settings and distance (unless a job asks
        for another one) are kept; other collections are not touched. An interrupted run of the same jobs is continued.

        Args:
            jobs: the collections. Or a function that decides, given a `Store` to read in: the copy of the folder that
                is built on, or the client's database. Without jobs nothing is done.
            auto_backup: see `MigrationOptions`, here and below.
            verify: read everything back and compare it before the exchange; `"full"`: through the store's engine alone.
            invalid_vectors: `refuse`, or `centre` to replace them by the centre of the new space.
            force: skip the checks of the gate and of the source model.
            index: `keep`, `rebuild` or `rewrite`.

        Returns:
            One result for each job, in the same order.

        Raises:
            LightmigrateError: of the kind that says why; the database is unchanged.
        """
        with self._naming():
            if not callable(jobs) and all(job.embedded is None for job in jobs):
                return self._engine.migrate(
                    requests_of(jobs, self._engine), auto_backup, verify, invalid_vectors, force, index
                )
            return migrate_recorded(
                self._engine,
                jobs if callable(jobs) else lambda store: jobs,
                lambda decided: requests_of(decided, self._engine),
                MigrationOptions(auto_backup, verify, invalid_vectors, force, index),
                reporting(self._on_progress),
            )

    def plan_transfer(self, jobs: Sequence[CollectionJob], target: object) -> Plan:
        """What `transfer` would do, and whether it can. Only reads; raises the same errors."""
        with self._naming(), self._transfer(target) as transfer:
            return transfer.plan(self.collections(), requests_of(jobs, self._engine))

    def transfer(
        self,
        jobs: Sequence[CollectionJob],
        target: object,
        verify: bool = True,
        *,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
    ) -> list[MigrationResult]:
        """Build collections in another database, with new vectors or the same. This one is only read.

        Ids, texts, the application's fields and the distance are kept. Each collection is verified, and appears in the
        target at once. An interrupted run is continued by the same call.

        Args:
            jobs: the collections, each with a projection; or without one and with `rebuild_index`, for a copy.
            target: the other database: a URL, an open client, or an opened `Store` that can receive collections.
            verify: read everything back and compare it before a collection appears.
            invalid_vectors: see `MigrationOptions`.
            force: skip the checks of the gate and of the source model.

        Raises:
            RefusedError: the target has a collection of that name.
            LightmigrateError: of the kind that says why; both databases are as they were.
        """
        with self._naming(), self._transfer(target) as transfer:
            requests = requests_of(jobs, self._engine)
            models = [transfer.describe_model(job.embedding_function) for job in jobs]
            requests = [replace(request, model=model) for request, model in zip(requests, models, strict=True)]
            return transfer.run(
                self.collections(), requests, verify=verify, invalid_vectors=invalid_vectors, force=force
            )

    @contextlib.contextmanager
    def _transfer(self, target: object) -> Iterator[Transfer]:
        """To another database, which is closed afterwards unless the caller opened it."""
        opened = open_database(target)
        with contextlib.ExitStack() as stack:
            if isinstance(target, (str, Path)) and isinstance(opened, Store):
                stack.callback(opened.close)
            yield Transfer(self._database, opened, self._page_size, self._on_progress)

    def migrate_collections(
        self,
        jobs: Sequence[CollectionJob] | Callable[[Store], Sequence[CollectionJob]],
        auto_backup: bool = True,
        verify: Verify = True,
        *,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: IndexRoute = "keep",
    ) -> list[MigrationResult]:
        """`migrate` under its first name. Writes."""
        return self.migrate(jobs, auto_backup, verify, invalid_vectors=invalid_vectors, force=force, index=index)

    def migrate_collection(
        self,
        collection_name: str,
        projection_path: Projection | str | Path | None = None,
        auto_backup: bool = True,
        verify: Verify = True,
        *,
        embedding_function: object = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: IndexRoute = "keep",
        distance: Metric | None = None,
    ) -> MigrationResult:
        """Migrate one collection. Writes. See `migrate`, and `CollectionJob` for `distance`."""
        job = CollectionJob(collection_name, projection_path, embedding_function, tenant, database, distance=distance)
        return self.migrate([job], auto_backup, verify, invalid_vectors=invalid_vectors, force=force, index=index)[0]

    def migrate_by_plan(
        self,
        plan: BudgetPlan,
        provider: Provider | object,
        auto_backup: bool = True,
        verify: Verify = True,
        *,
        embedding_function: object = None,
        source_model: Model | None = None,
        queries: Sequence[str] = (),
        texts: Texts = None,
        distance: Metric | None = None,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: IndexRoute = "keep",
    ) -> MigrationResult:
        """Migrate one collection exactly as planned. Calls the model; writes.

        See `migrate` for the options, and `budget.planned_job` for the other arguments and the errors.
        `provider`, or an embedding function of any kind, without a cache gets the default one.

        Raises:
            RefusedError: before the model is called: the store cannot give the collection new vectors any more.
        """
        model = cached(provider)
        wanted = [facts for facts in self.collections() if facts.address == plan.address]
        if (reason := self.refused(wanted, None).get(plan.address)) is not None:
            raise RefusedError(reason)
        job = planned_job(
            plan,
            model,
            embedding_function=embedding_function,
            source_model=source_model,
            queries=queries,
            texts=texts,
            distance=distance,
            force=force,
            on_progress=self._on_progress,
        )
        (result,) = self.migrate(job, auto_backup, verify, invalid_vectors=invalid_vectors, force=force, index=index)
        return replace(result, shortened=model.shortened)

    def refine(
        self,
        collection: str | Address,
        provider: Provider | object,
        *,
        documents: int | None = None,
        tokens: float | None = None,
        seconds: float | None = None,
        order: Order = "random",
        queries: Sequence[str] = (),
        texts: Texts = None,
        refit: bool = True,
        seed: int = 0,
        stop: Callable[[], bool] = lambda: False,
        on_estimate: Callable[[RefinementEstimate], None] | None = None,
    ) -> Refinement:
        """Embed projected rows of a migrated collection with the new model, within limits. Calls the model; writes.

        It can be interrupted at any time and called again. What the application writes meanwhile is left alone.

        Args:
            collection: name or address of the collection.
            provider: the new model: a `Provider`, or an embedding function of any kind (`providers.functions`). Without
                a cache it gets the default one.
            documents: embed at most so many.
            tokens: embed at most so many tokens, estimated.
            seconds: stop after about so many; one batch is embedded at least.
            order: which rows come first: `random`, `newest`, `retrieved` (most often found by `queries`), or
                `uncertain` (the largest expected error of the projection).
            queries: queries of users, for `retrieved`.
            texts: texts by id for records that store none; or where the embedded texts come from, by default as the
                collection was migrated.
            refit: refit the projection on the exact rows and apply it to the others; only in the order `random`.
            seed: of every random choice.
            stop: called before every batch; `True` ends the run.
            on_estimate: called before the model is, with what the run would pay for at most; it may raise to stop it.
                Finding that out reads the texts of the rows to embed.

        Raises:
            ModelMismatchError: the collection was migrated to another model.
            RefusedError: its vectors are not those of its migration: it was rolled back, or migrated again.
            AnotherRunError: another run is working on the database.
            LightmigrateError: it was not migrated by a plan, or the provider fails.
        """
        address = self._address_of(collection)
        with (
            self._naming(),
            only_run(self.place, SECONDS_OF_BACKGROUND),
            self._writing() as store,
            Provenance.existing(self.place, self._argument) as provenance,
        ):
            noted = form_from_json(provenance.facts(address).get("text_form") or {})
            if noted is not None and not isinstance(texts, TextSource):
                texts = TextSource(noted, texts or {})
            collection_read = with_texts(store.collection(address), texts)
            refiner = Refiner(address, collection_read, provenance, cached(provider), queries=queries, seed=seed)
            limits = Limits(documents, tokens, seconds)
            if on_estimate is not None:
                on_estimate(refiner.estimate(limits, order, refit=refit))
            return refiner.run(limits, order, refit=refit, stop=stop, on_progress=self._on_progress)

    def resume(
        self, auto_backup: bool = True, verify: Verify = True, *, force: bool = False, index: IndexRoute = "keep"
    ) -> list[MigrationResult]:
        """Continue an interrupted migration, or end an interrupted exchange. Writes. See `migrate` for the options.

        Returns:
            One result for each collection; none when only an exchange was ended: `recovered` says how.

        Raises:
            NothingToMigrateError: nothing was interrupted.
            LightmigrateError: as `migrate`.
        """
        if self.unfinished is not None and not self.interrupted:
            self._engine.recover()
            return []
        with self._naming():
            return self._engine.resume(auto_backup, verify, force, index)

    def recover(self) -> str | None:
        """Finish or undo an exchange that a crash interrupted. Writes only when there is something to do.

        Returns:
            What was found and done, in a sentence; `None` when there was nothing.

        Raises:
            AnotherRunError: another run is working on the database.
        """
        return self._engine.recover()

    def undo(self) -> bool:
        """Discard what an interrupted migration has built; the database is not changed by it. Writes.

        Returns:
            Whether there was something.
        """
        return self._engine.undo()

    def rollback(self, backup: str | None = None, *, written: OnWritten = "refuse") -> Rollback:
        """Put a backup back in place, exactly, by exchange; the database it replaces becomes a backup. Writes.

        Args:
            backup: name of the backup; the newest by default.
            written: what to do with records written after the migration; those that only `refine` has written since
                are not counted. `discard`: they stay in the database that becomes a backup. `carry`: they are added to
                a copy of the backup, their texts exactly, their vectors through a projection fitted to the records of
                both databases.

        Raises:
            BackupError: no such backup.
            WrittenSinceError: records were written after the migration, and `written` is `refuse`.
            DatabaseInUseError: another process has the database open.
        """
        with self._naming():
            return self._engine.rollback(backup, written, ProvenVectors(self.place))

    def clean(self, names: Sequence[str] | None = None) -> list[Backup]:
        """Delete backups for good. Writes.

        Args:
            names: of the backups; all of them by default.

        Returns:
            What was deleted.

        Raises:
            BackupError: one of the names is no backup of this database; nothing was deleted.
        """
        with self._naming():
            return self._engine.clean(names)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Store]:
        """The open database, or one that is files and that nobody else has open, opened."""
        if not isinstance(self._database, FileDatabase):
            require_no_others(self._database)
            yield self._database
            return
        self._engine.recover()
        require_unused(self._database)
        warn_if_unknown(self._database)
        with self._database.open() as store:
            yield store


# The class under the name it had first.
ChromaMigrator = Migrator
