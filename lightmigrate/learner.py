"""The part of `Migrator` that learns and measures with models. It calls them, and only reads the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lightmigrate.bridge import fit_bridge
from lightmigrate.budget.curve import CostQualityCurve, measure_curve
from lightmigrate.budget.curve_data import read_curve_data
from lightmigrate.budget.measuring_options import MeasuringOptions
from lightmigrate.errors import DamagedCollectionError, LightmigrateError
from lightmigrate.migration.distance import require_distance
from lightmigrate.migration.recall import distances_from
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import cached
from lightmigrate.providers.chroma import provider_of
from lightmigrate.reader import DatabaseReader
from lightmigrate.registry.library import Library
from lightmigrate.routes.compare import Comparison, compare_routes
from lightmigrate.routes.goal import DEFAULT_GOAL, Goal
from lightmigrate.scores.shift import QUERIES, ScoreShift
from lightmigrate.stores.base import Address, Metric
from lightmigrate.stores.excerpt import Excerpts
from lightmigrate.stores.joined import Collections, JoinedCollections
from lightmigrate.texts.chosen import chosen_texts, stated_form, with_texts
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.find import FoundTexts, find_texts
from lightmigrate.texts.source import Texts, TextSource, by_id
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.grouping import only_group, recorded_name
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable
from lightmigrate.training.train import Training, train
from lightmigrate.vectors import meaningful


class DatabaseLearner(DatabaseReader):
    """One database, read with models at hand. See `DatabaseReader`."""

    def calibration_data(
        self,
        collection: str | Address | None = None,
        samples: int = 1000,
        *,
        texts: Texts = None,
        reads_texts: bool | None = None,
        distance: Metric | None = None,
        seed: int = 0,
    ) -> CalibrationData:
        """Sample documents and their vectors to train on. Only reads. See `data_from_readable`.

        Args:
            collection: name or address of the collection; `None` for all collections of the database, which must be of
                one model, as one.
            samples: documents to calibrate on; all where there are fewer, but at least 50.
            texts: where the embedded texts come from, or texts by id for records of one collection that stores none; by
                default what the records tell (`chosen_texts`).
            reads_texts: whether the projection may read texts; by default only if none are given by id.
            distance: to judge by, where the migration changes it; `None` for that of the collection.
            seed: of every random choice.

        Raises:
            CollectionNotFoundError: the database holds vectors of several models, or none.
            LightmigrateError: as `data_from_readable`.
        """
        damaged = self._require_readable(collection)
        with self._reading() as store:
            parts = Excerpts(store)
            read = replace(self._as_one(parts, collection, texts, damaged), distance=require_distance(distance))
            data = data_from_readable(
                read,
                samples,
                fewest=FEWEST_DOCUMENTS,
                reads_texts=not by_id(texts) if reads_texts is None else reads_texts,
                about=stated_form([one for one in read.members if isinstance(one, WithTexts)], texts),
                seed=seed,
                on_progress=self._on_progress,
            )
            return replace(data, collection_size=parts.of_all(data.collection_size))

    def train(
        self,
        collection: str | Address | None,
        provider: Provider | object,
        previous: Provider | object | None = None,
        *,
        samples: int = 1000,
        source_model: Model | None = None,
        texts: Texts = None,
        distance: Metric | None = None,
        seed: int = 0,
    ) -> Training:
        """Train and judge a projection on a collection's own documents. Calls the model; only reads the database.

        `train` of `lightmigrate` takes `calibration_data` and has more options.

        Args:
            collection: name or address of the collection; `None` for all, see `calibration_data`.
            provider: the new model: a `Provider`, or an embedding function of any kind (`providers.functions`). Without
                a cache it gets the default one.
            previous: likewise the old model, where it is available: then doing nothing is measured, too.
            samples: documents to calibrate on; see `calibration_data`.
            source_model: the model of the stored vectors; unnamed by default.
            texts: where the embedded texts come from (`TextSource`), or texts by id for records that store none; by
                default what the records tell.
            distance: to judge by; see `calibration_data`.
            seed: of every random choice.

        Raises:
            LightmigrateError: as `data_from_collection` and `train`.
        """
        data = self.calibration_data(collection, samples, texts=texts, distance=distance, seed=seed)
        return train(
            data,
            cached(provider),
            None if previous is None else provider_of(previous),
            source_model=source_model,
            seed=seed,
            on_progress=self._on_progress,
        )

    def cost_quality_curve(
        self,
        collection: str | Address | None,
        provider: Provider | object,
        previous: Provider | object | None = None,
        *,
        samples: int | None = None,
        lengths: Sequence[int] | None = None,
        tokens: float | None = None,
        token_share: float | None = None,
        queries: Sequence[str] = (),
        texts: Texts = None,
        source_model: Model | None = None,
        distance: Metric | None = None,
        seed: int = 0,
    ) -> CostQualityCurve:
        """Measure what each budget setting costs and keeps for a collection. Calls the model; only reads the database.

        `collection` is a name or an address; `None` stands for all collections of the database, which must be of one
        model: see `calibration_data`, also for `distance`. See `read_curve_data` and `measure_curve` for the arguments
        and errors; `provider` without a cache gets the default one.
        """
        model = cached(provider)
        options = MeasuringOptions(
            samples,
            lengths,
            tokens,
            token_share,
            queries,
            None if previous is None else provider_of(previous),
            source_model,
            seed,
            self._on_progress,
        )
        damaged = self._require_readable(collection)
        with self._reading() as store:
            opened = self._as_one(store, collection, texts, damaged, options.previous)
            read = read_curve_data(replace(opened, distance=require_distance(distance)), model, options)
        return measure_curve(read, model, options)

    def compare_routes(
        self,
        collection: str | Address | None,
        provider: Provider | object,
        previous: Provider | object | None = None,
        *,
        goal: Goal = DEFAULT_GOAL,
        samples: int | None = None,
        tokens: float | None = None,
        token_share: float | None = None,
        queries: Sequence[str] = (),
        texts: Texts = None,
        source_model: Model | None = None,
        distance: Metric | None = None,
        seed: int = 0,
        even_own: bool = False,
    ) -> Comparison:
        """Compare the ways to a new model: cost, time and quality of each. Calls the model; only reads the database.

        `collection` is a name or an address; `None` stands for all collections of the database, which must be of one
        model: see `calibration_data`, also for `distance`. Nothing is measured where the vectors are the new model's
        own, unless `even_own`, or lead to its own by arithmetic. See `routes.compare.compare_routes` for the arguments
        and errors; `provider` without a cache gets the default one.
        """
        model = cached(provider)
        options = MeasuringOptions(
            samples,
            None,
            tokens,
            token_share,
            queries,
            None if previous is None else provider_of(previous),
            source_model,
            seed,
            self._on_progress,
        )
        damaged = self._require_readable(collection)
        with self._reading() as store:
            read = self._as_one(store, collection, texts, damaged, options.previous)
            names = {recorded_name(member.facts()) for member in read.members}
            return compare_routes(
                replace(read, distance=require_distance(distance)),
                model,
                goal,
                options,
                stored_bytes=self.stored_bytes,
                always=True,
                recognising=True,
                even_own=even_own,
                candidates=Library().find(
                    source_dim=read.members[0].facts().dimension or 0,
                    target_dim=None,  # asking for it would call the model before the texts are counted
                    source=names.pop() if len(names) == 1 else "",
                    target=model.name,
                ),
            )

    def bridge(
        self,
        collection: str | Address,
        provider: Provider | object,
        *,
        samples: int = 1000,
        texts: Texts = None,
        source_model: Model | None = None,
        seed: int = 0,
    ) -> Projection:
        """Fit a projection from the new model's space to a collection's. Calls the model; only reads the database.

        See `fit_bridge` for the arguments and errors; `provider` without a cache gets the default one.
        """
        self._require_readable(collection)
        with self._reading() as store:
            return fit_bridge(
                store.collection(self._address_of(collection)),
                cached(provider),
                samples=samples,
                texts=texts,
                source_model=source_model,
                seed=seed,
                on_progress=self._on_progress,
            )

    def find_texts(self, collection: str | Address, model: Provider | object | None = None) -> FoundTexts:
        """Find where a collection's embedded texts come from: proposed from its records, and checked. Only reads.

        Args:
            collection: name or address of the collection.
            model: the model of the stored vectors, where it is at hand: then it embeds a few of each candidate.
        """
        self._require_readable(collection)
        with self._reading() as store:
            opened = store.collection(self._address_of(collection))
            return find_texts(opened, None if model is None else provider_of(model), beside_documents=True)

    def text_source(
        self, collection: str | Address, texts: Texts = None, model: Provider | object | None = None
    ) -> TextSource:
        """Where a collection's embedded texts come from: as given, or as found. Only reads. See `chosen_texts`."""
        self._require_readable(collection)
        with self._reading() as store:
            opened = store.collection(self._address_of(collection))
            return chosen_texts(opened, texts, None if model is None else provider_of(model))

    def measure_scores(
        self,
        queries: Sequence[str],
        source: Provider | object,
        target: Provider | object,
        *,
        thresholds: Sequence[float] = (),
    ) -> list[ScoreShift]:
        """How the distances from users' queries moved: both models embed them. Calls the models; only reads.

        They are compared with the vectors of the newest backup and with those of now, of every collection that has
        vectors of the old model's dimension there and of the new one's here. Of a folder temporary copies are read.

        Args:
            queries: what users searched for; a few hundred are enough.
            source: the old model: a `Provider`, or an embedding function of any kind. Without a cache it gets the
                default one, and so does `target`.
            target: the new model.
            thresholds: see `scores`.

        Raises:
            LightmigrateError: there are no queries, no backup has vectors of the old model's dimension, or a model
                fails.
        """
        old, new = (cached(model) for model in (source, target))
        with self._explaining():
            if not queries:
                raise LightmigrateError(
                    "there are no queries to measure with: give what users searched for, one a line"
                )
            embedded = [model.embed_each(queries, queries=True) for model in (old, new)]
            usable = np.logical_and(*map(meaningful, embedded))
            before, now = (vectors[usable] for vectors in embedded)
            with self._engine.before(old.model.dimension) as collections:
                measured = {
                    address: distances_from(before, collection, self._page_size)
                    for address, collection in collections.items()
                }
            shifts = []
            with self._reading() as store:
                for facts in store.collections():
                    if facts.address in measured and facts.count and facts.dimension == new.model.dimension:
                        found = distances_from(now, store.collection(facts.address), self._page_size)
                        shifts.append(ScoreShift.of(facts.address, measured[facts.address], found, QUERIES))
            moved = [shift.with_thresholds(thresholds) for shift in shifts if shift is not None]
            if not moved:
                raise LightmigrateError(
                    f"{self.path}: no backup holds a collection with {old.model.dimension} dimensions that has "
                    f"{new.model.dimension} now: name the models of the last migration, whose backup is still there:  "
                    "lightmigrate clean DATABASE  lists them"
                )
            return moved

    def _as_one(
        self,
        store: Collections,
        collection: str | Address | None,
        texts: Texts,
        damaged: Collection[Address],
        model: Provider | None = None,
    ) -> JoinedCollections:
        """One collection, or all readable collections of the database as one, with their embedded texts."""
        if collection is not None:
            return JoinedCollections([with_texts(store.collection(self._address_of(collection)), texts, model)])
        catalog = [facts for facts in self.collections() if facts.count and facts.address not in damaged]
        group = only_group(store, [facts for facts in catalog if facts.dimension], self._argument)
        if by_id(texts) and len(group.members) > 1:
            raise LightmigrateError(
                f"texts by id are of one collection, {self.path} holds {len(group.members)}: name one (--collection)"
            )
        return JoinedCollections([with_texts(member, texts, model) for member in group.open(store).members])

    def _require_readable(self, collection: str | Address | None) -> Mapping[Address, str]:
        """The collections whose vectors cannot be read; raises `DamagedCollectionError` when the one meant is."""
        catalog = self.collections()
        damaged = self.damaged(catalog=catalog)
        addresses = [facts.address for facts in catalog] if collection is None else [self._address_of(collection)]
        if len(addresses) == 1 and (fault := damaged.get(addresses[0])) is not None:
            raise DamagedCollectionError(f"collection {addresses[0]} cannot be read: {fault}")
        return damaged
