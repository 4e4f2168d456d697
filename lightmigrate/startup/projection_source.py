"""Finds the projection for a collection: trained on its own documents, or else the best one that exists."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightmigrate.budget.learned import Learned, embedded_texts
from lightmigrate.errors import (
    CostError,
    DeadlineError,
    FailedGateError,
    NoProjectionError,
    NotEnoughTextsError,
)
from lightmigrate.migration.baseline import SAMPLE, meaningful_rows
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.form import Form
from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.quality.retention import EVERYTHING
from lightmigrate.registry.library import Candidate, Library
from lightmigrate.registry.ranking import Ranked, rank
from lightmigrate.startup.learning import StartLimits, learn_for_start
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.report import Origin, Preservation
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.joined import Collections, JoinedCollections
from lightmigrate.training.grouping import ModelGroup
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.training.texts import NO_TEXTS
from lightmigrate.vectors import Metric, Vectors, finite_rows

# Documents, with a sentence of each, that the new model embeds to compare existing projections.
MEASURED_DOCUMENTS = 200


@dataclass(frozen=True)
class FoundProjection:
    """A projection that may be used for the collections of one model.

    Attributes:
        origin: where it comes from.
        projection: the projection.
        preservation: what it is expected to keep of them all.
        embedded: texts that the new model has embedded whole; `None` when it was not called.
        learned: how it was learned on the collections themselves; `None` for an existing one.
    """

    origin: Origin
    projection: Projection
    preservation: Preservation
    embedded: EmbeddedTexts | None = None
    learned: Learned | None = None

    def projection_for(self, address: Address) -> Projection:
        """The projection for one of the collections.

        Raises:
            FailedGateError: it keeps too little of that one.
        """
        if self.learned is None:
            return self.projection
        if (judgement := self.learned.gates.get(address)) is not None:
            _require_passed(judgement)
        return self.learned.projection_for(address)

    def preservation_of(self, address: Address) -> Preservation:
        """What it is expected to keep of one of the collections."""
        if self.learned is None or self.learned.training is None:
            return self.preservation
        judgement = self.learned.gates.get(address, self.learned.training.gate)
        return self.preservation if judgement is self.learned.training.gate else _measured(judgement, "")


@dataclass(frozen=True)
class ProjectionSource:
    """Finds projections to one model, within limits.

    Attributes:
        target: the new model.
        policy: what may be done.
        deadline: of the start.
        limit: of what may be spent on the new model.
        previous: the old model, if available.
        library: existing projections.
        database: the database, as a command is given it.
        folder: its folder, likewise; empty for a server.
    """

    target: TargetModel
    policy: Policy
    deadline: Deadline
    limit: SpendingLimit
    previous: Provider | None
    library: Library
    database: str
    folder: str

    def computed(self, form: Form) -> FoundProjection | None:
        """The arithmetic from vectors of the new model in another form; `None` where there is none."""
        provider = self.target.provider
        if provider is None:
            return None
        model = provider.model
        projection = form.projection(replace(model, dimension=form.dimensions[0], normalised=False), model)
        if projection is None:
            return None
        return FoundProjection("arithmetic", projection, Preservation(EVERYTHING, None, "computed, not learned"))

    def find(self, store: Collections, group: ModelGroup, distance: Metric | None = None) -> FoundProjection:
        """What to migrate the collections of one model with. Only reads; may call the new model.

        Args:
            store: the open database.
            group: the collections.
            distance: that they get, by which projections are judged; `None` if they keep theirs.

        Raises:
            NoProjectionError: there is no projection; the message holds the command that makes one.
            FailedGateError: the best one keeps less than is allowed.
            ProviderError: the new model fails.
        """
        collection = group.open(store, distance)
        candidates = self._candidates(group)
        reason, lacks_texts = "there is no embedding function to train with", False
        if self.target.provider is not None:
            reason = "calibrate=0"
            if self.policy.calibrate != 0:
                try:
                    return self._learned(collection, self.target.provider, group, candidates)
                except (NotEnoughTextsError, CostError, DeadlineError) as error:
                    reason, lacks_texts = str(error), isinstance(error, NotEnoughTextsError)
                    logger.info("%s: cannot train a projection on its documents: %s", group.title, reason)
        if not candidates:
            raise NoProjectionError(self._nothing_found(group, reason, lacks_texts=lacks_texts))
        return self._existing(collection, group, candidates, reason, lacks_texts=lacks_texts)

    def _candidates(self, group: ModelGroup) -> Sequence[Candidate]:
        return self.library.find(
            source_dim=group.dimension,
            target_dim=self.target.dimension,
            source=group.name,
            target=self.target.model,
        )

    def _learned(
        self, collection: JoinedCollections, provider: Cached, group: ModelGroup, candidates: Sequence[Candidate]
    ) -> FoundProjection:
        """A projection trained on the collections' own documents, or none because every text was embedded."""
        prior = self._prior(collection, candidates)
        source = prior.info.source if prior is not None else Model(group.name or "unnamed", group.dimension)
        learned = learn_for_start(
            collection,
            provider,
            StartLimits(
                self.policy.calibrate,
                may_cost=self.policy.max_cost is not None,
                refined=self.soon_exact,
                keeps_graph=self.soon_exact and bool(self.folder),
            ),
            LearningOptions(
                source_model=source,
                priors=[None] if prior is None else [None, prior],
                previous=self.previous,
                limit=self.limit,
                deadline=self.deadline,
                thresholds=self._thresholds,
            ),
            title=group.title,
            opened_by=self.target.opened_by,
        )
        if learned.training is None:
            if learned.without_text:
                logger.warning(
                    "%s: %d records have no text; their vectors were projected, and how well was not measured",
                    group.title, learned.without_text,
                )  # fmt: skip
            kept = Preservation(learned.expected, None, "")
            return FoundProjection("embedded", learned.projection, kept, learned.embedded)
        measured = replace(_measured(learned.training.gate, ""), expected=learned.expected)
        found = FoundProjection("calibrated", learned.projection, measured, learned.embedded, learned)
        if all(judgement.verdict == "FAIL" for judgement in learned.gates.values()):
            _require_passed(learned.training.gate)
        return found

    def _prior(self, collection: JoinedCollections, candidates: Sequence[Candidate]) -> Projection | None:
        """An existing projection between the two models that fits the vectors, to build on."""
        direct = [candidate for candidate in candidates if candidate.by in ("pair", "target")]
        if not direct:
            return None
        ranked = rank(direct, meaningful_rows(collection.sample(SAMPLE)).vectors, [], None)
        return next((candidate.projection for candidate in ranked if candidate.fits), None)

    def _existing(
        self,
        collection: JoinedCollections,
        group: ModelGroup,
        candidates: Sequence[Candidate],
        reason: str,
        *,
        lacks_texts: bool,
    ) -> FoundProjection:
        """The best of the existing projections, measured on the collection where the new model may be called."""
        page = meaningful_rows(collection.sample(MEASURED_DOCUMENTS))
        measured = self._embedded(page)
        ranked = rank(candidates, page.vectors, page.texts, None if measured is None else measured.documents)
        fitting = ranked if measured is not None else self._trusted(ranked)
        fitting = [candidate for candidate in fitting if candidate.fits is not False]
        if not fitting:
            reason = f"{reason}; {self._why_none_fits(ranked)}"
            raise NoProjectionError(self._nothing_found(group, reason, lacks_texts=lacks_texts))
        targets = {candidate.projection.info.target.name for candidate in fitting}
        if measured is None and not self.target.model and len(targets) > 1:
            raise NoProjectionError(
                f"{group.title}: there are projections to {' and '.join(sorted(targets))}, all of "
                f"{self.target.dimension} dimensions: name the application's model (target_model)"
            )
        best = fitting[0]
        if best.candidate.by == "dimension":
            logger.warning(
                "%s: no projection between these two models is known; using %s, of which only the dimensions are known "
                "to fit", group.title, best.candidate.description,
            )  # fmt: skip
        stated = _stated(best)
        origin: Origin = "chain" if len(best.candidate.entries) > 1 else "projection"
        if measured is None:
            if self.policy.min_quality is not None:
                raise FailedGateError(
                    f"{group.title}: what {best.candidate.description} keeps cannot be measured here, and "
                    f"min_quality is {self.policy.min_quality}: give the embedding function, or leave min_quality out"
                )
            return FoundProjection(origin, best.projection, Preservation(None, None, stated))
        judgement = gate(
            true=measured.documents,
            projected=best.projection.apply(measured.page.vectors, measured.page.texts),
            queries=measured.queries,
            taken_from=measured.query_rows,
            old=measured.page.vectors,
            old_queries=measured.old_queries,
            collection_size=group.count,
            metric=collection.metric,
            thresholds=self._thresholds,
        )
        _require_passed(judgement)
        projection = best.projection.with_facts(training={}, quality=judgement.to_json())  # of this collection
        if self.target.provider is None:
            return FoundProjection(origin, projection, _measured(judgement, stated))
        embedded = self._known(collection, self.target.provider, judgement)
        share = min(1.0, len(embedded.digests) / max(1, group.count))
        kept = _measured(judgement, stated)
        kept = replace(kept, expected=EVERYTHING.mixed(judgement.expected_retention, share))
        return FoundProjection(origin, projection, kept, embedded)

    def _known(self, collection: JoinedCollections, provider: Cached, judgement: Gate) -> EmbeddedTexts:
        """The texts that were embedded to measure an existing projection, and before."""
        facts = {
            "model": provider.name,
            "provider": self.target.opened_by,
            "dimension": provider.model.dimension,
            "reads_texts": True,
            "texts_file": NO_TEXTS.to_json(),
            "expected": [(0.0, judgement.expected_retention.to_json()), (1.0, EVERYTHING.to_json())],
        }
        return EmbeddedTexts(provider, embedded_texts(collection, provider), frozenset(), facts)

    def _trusted(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        """Candidates that may be used without being measured: neither a name nor a dimension tells the model.

        The stored vectors must look like those that the projection was made for.
        """
        return [
            candidate
            for candidate in ranked
            if candidate.projection.info.quality.get("verdict") != "FAIL"
            and candidate.fits
            and (not self.target.model or candidate.candidate.by != "dimension")
        ]

    def _why_none_fits(self, ranked: Sequence[Ranked]) -> str:
        """Why none of the candidates may be used, in one line."""
        reasons: dict[str, list[str]] = {}
        for candidate in ranked:
            if candidate.fits is False:
                reason = f"for other vectors, likeness {candidate.likeness or 0:.2f} (1 by chance)"
            elif self.target.model and candidate.candidate.by == "dimension":
                reason = "to another model"
            elif candidate.fits is None:
                reason = "perhaps for other vectors: there are too few of them to tell, or it has no sketch of its own"
            else:
                reason = "one that failed the gate when it was made, and cannot be measured here"
            reasons.setdefault(reason, []).append(candidate.candidate.description)
        lines = [
            f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
            for reason, names in reasons.items()
        ]
        return "; ".join(lines) or "no projection in the registry can be read"

    def _embedded(self, page: Page) -> _Embedded | None:
        """Some documents as the new model embeds them; `None` if it may not be called, or there are too few."""
        with_text = [row for row, text in enumerate(page.texts) if text and text.strip()]
        provider = self.target.provider
        if provider is None or len(with_text) < 3:
            return None
        part = page.rows(with_text)
        texts = [text or "" for text in part.texts]
        queries, query_rows = pseudo_queries(texts, most=MEASURED_DOCUMENTS)
        try:
            self.limit.pay(provider, provider.bill(texts, queries).dollars, f"measuring on {len(texts)} documents")
            old_queries = self._old_queries(queries, part.vectors.shape[1])
        except CostError:
            return None
        documents, embedded = provider.embed_each(texts), provider.embed_each(queries, queries=True)
        taken = finite_rows(documents)
        place = np.cumsum(taken) - 1
        kept = np.flatnonzero(taken[list(query_rows)] & finite_rows(embedded))
        if taken.sum() < 3:
            return None
        return _Embedded(
            part.rows(np.flatnonzero(taken).tolist()),
            documents[taken],
            embedded[kept],
            None if old_queries is None else old_queries[kept],
            [int(place[query_rows[row]]) for row in kept],
        )

    def _old_queries(self, queries: Sequence[str], dimension: int) -> Vectors | None:
        """Queries as the old model embeds them, if it is available and has the dimension of the stored vectors."""
        old = self.previous
        if old is None or old.model.dimension != dimension:
            return None
        self.limit.pay(old, old.bill([], queries).dollars, f"embedding {len(queries)} queries with the old model")
        return old.embed_queries(queries)

    def _nothing_found(self, group: ModelGroup, reason: str, *, lacks_texts: bool) -> str:
        """Why there is no projection, and what makes one; texts that are not stored are given to the command by id."""
        found = f"✗ No projection found for {group.dimension}D → {self.target.dimension or '?'}D ({reason})"
        options = self.target.options
        if options is None:
            by_hand = "make one in Python with Migrator.train"
            way_out = f"let a start learn one (LIGHTMIGRATE_CALIBRATE=500), or {by_hand}"
            if lacks_texts:  # another start would find none either
                way_out = f"{by_hand}(…, texts={{ID: TEXT, …}}), and put it into the registry"
            return f"{found}; no command can build the application's embedding function: {way_out}"
        named = ["--collection", str(group.members[0].address)] if len(group.members) == 1 else []
        named += ["--texts", "FILE.jsonl"] if lacks_texts else []
        # training reads a copy of a folder; the collections of a server are migrated at once with what is learned
        begin = f"train --from {self.folder}" if self.folder else f"migrate {self.database} --calibrate 500"
        return f"{found}; make one:  lightmigrate {begin} {shlex.join([*named, *options])}"

    @property
    def soon_exact(self) -> bool:
        """Whether the records become exact soon after the start, in the background and for nothing."""
        provider = self.target.provider
        free = provider is not None and provider.priced(1_000_000).dollars == 0
        return free and self.policy.refine != "off"

    @property
    def _thresholds(self) -> Thresholds:
        """Of the gate. What lasts for minutes only may keep little: nothing else answers the new model's queries."""
        usual, least = Thresholds(), self.policy.min_quality
        if least is None:
            return Thresholds(usual.passing, 0.0) if self.soon_exact and self.policy.calibrate is None else usual
        return Thresholds(max(usual.passing, least), least)


@dataclass(frozen=True)
class _Embedded:
    page: Page
    documents: Vectors
    queries: Vectors
    old_queries: Vectors | None
    query_rows: Sequence[int]


def _require_passed(judgement: Gate) -> None:
    if judgement.verdict == "FAIL":
        raise FailedGateError(
            f"its projection failed the gate: {judgement.reason}; lower min_quality, or embed its documents again"
        )


def _measured(judgement: Gate, stated: str) -> Preservation:
    return Preservation(judgement.expected_retention, judgement.expected_nothing, stated)


def _stated(ranked: Ranked) -> str:
    """What was measured when a projection was made, in words; empty for a chain, which nobody measured."""
    stated = ranked.candidate.stated_quality
    return "" if stated is None else f"{stated:.0%} on the texts it was trained on, other texts keep less"
