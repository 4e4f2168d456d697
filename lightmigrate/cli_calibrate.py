"""`lightmigrate migrate --calibrate N`: the map is learned from the collection's own documents, judged, and used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lightmigrate.bars import TrainingBars
from lightmigrate.cli_jobs import address_of
from lightmigrate.console import projections, terminal
from lightmigrate.errors import CollectionNotFoundError, FailedGateError, LightmigrateError, NothingToMigrateError
from lightmigrate.migration.migrator import ChromaMigrator, CollectionJob
from lightmigrate.projection.model import Model
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.open import open_provider
from lightmigrate.startup.calibrate import calibrate
from lightmigrate.startup.purse import Purse
from lightmigrate.startup.wanted import recorded_model
from lightmigrate.stores.base import CollectionFacts, Store


@dataclass(frozen=True)
class Calibration:
    """What `--calibrate` asks for.

    Attributes:
        documents: to calibrate on.
        model: the new model, as its provider calls it.
        provider: who computes it.
        max_cost: dollars at most.
    """

    documents: int
    model: str
    provider: str
    max_cost: float | None

    def jobs(
        self,
        migrator: ChromaMigrator,
        names: Sequence[str] | None,
        function: dict[str, Any] | None,
        *,
        force: bool,
        agreed: Callable[[], None],
    ) -> Callable[[Store], list[CollectionJob]]:
        """What decides in the open database: learns a map for each collection, shows what to expect, and asks.

        Args:
            migrator: of the database.
            names: of the collections; by default all whose vectors have another dimension than the model's.
            function: what to record as their embedding function; one of Chroma's own records itself.
            force: whether a map that failed the gate is used all the same.
            agreed: returns if the user agrees.

        Raises:
            NothingToMigrateError: all vectors have the model's dimension already, and no collection was named.
        """
        if not self.model:
            raise LightmigrateError("--calibrate needs the new model: --target-model, and --target-provider")
        inner = open_provider(self.provider, self.model)
        provider = Cached(inner)
        if function is None and self.provider == "chroma":
            from lightmigrate.stores.chroma import describe_function

            function = describe_function(inner.function)  # type: ignore[attr-defined]  # a ChromaProvider
        everything = migrator.collections()
        chosen = {address_of(name, everything) for name in names or ()}
        if unknown := chosen - {facts.address for facts in everything}:
            known = ", ".join(str(facts.address) for facts in everything) or "none at all"
            raise CollectionNotFoundError(f"no collection {unknown.pop()} in {migrator.path}; there are: {known}")
        dimension = provider.model.dimension
        wanted = [
            facts
            for facts in everything
            if (facts.address in chosen if chosen else facts.count and facts.dimension not in (None, dimension))
        ]
        if not wanted:
            raise NothingToMigrateError(
                f"{migrator.path}: no collection has vectors of another dimension than {dimension}; name one "
                "(--collection) to migrate it all the same"
            )

        def decide(store: Store) -> list[CollectionJob]:
            purse = Purse(self.max_cost)
            found = [self._job(store, facts, provider, purse, function, force) for facts in wanted]
            agreed()
            return found

        return decide

    def _job(
        self,
        store: Store,
        facts: CollectionFacts,
        provider: Cached,
        purse: Purse,
        function: dict[str, Any] | None,
        force: bool,
    ) -> CollectionJob:
        source = Model(recorded_model(facts.embedding_function) or "unnamed", facts.dimension or 0)
        with TrainingBars() as bars:
            done = calibrate(
                store.collection(facts.address),
                provider,
                self.documents,
                source_model=source,
                purse=purse,
                on_progress=bars,
            )
        terminal.messages.print(projections.trained(done, []))
        if done.gate.verdict == "FAIL" and not force:
            raise FailedGateError(f"collection {facts.address}: {done.gate.reason}; embed again, or add --force")
        return CollectionJob(facts.name, done.projection, function, facts.tenant, facts.database)
