"""Finds the projection for a collection: trained on its own documents, or else the best one that exists."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import (
    CostError,
    DeadlineError,
    FailedGateError,
    NoProjectionError,
    NotEnoughTextsError,
)
from lightmigrate.migration.baseline import sample_of
from lightmigrate.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.registry.library import Candidate, Library
from lightmigrate.registry.ranking import Ranked, rank
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.report import Origin, Preservation
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import Collection, CollectionFacts, Page
from lightmigrate.training.calibrate import calibrate
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.vectors import Vectors, finite_rows

# Documents, with a sentence of each, that the new model embeds to compare existing projections.
MEASURED_DOCUMENTS = 200


@dataclass(frozen=True)
class FoundProjection:
    """A projection that may be used.

    Attributes:
        origin: where it comes from.
        projection: the projection.
        preservation: what it is expected to keep.
    """

    origin: Origin
    projection: Projection
    preservation: Preservation


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
        database: the database's folder, as a command would name it.
    """

    target: TargetModel
    policy: Policy
    deadline: Deadline
    limit: SpendingLimit
    previous: Provider | None
    library: Library
    database: str

    def find(self, collection: Collection, facts: CollectionFacts, source_name: str) -> FoundProjection:
        """The best projection for an open collection. Only reads; may call the new model.

        Args:
            collection: the open collection.
            facts: about it.
            source_name: name of the model of its vectors; empty when not known.

        Raises:
            NoProjectionError: there is none; the message holds the command that makes one.
            FailedGateError: the best one keeps less than is allowed.
            ProviderError: the new model fails.
        """
        candidates = self._candidates(facts, source_name)
        reason = "there is no embedding function to train with"
        if self.target.provider is not None:
            reason = "calibrate=0"
            if self.policy.calibrate:
                try:
                    return self._calibrated(collection, self.target.provider, facts, source_name, candidates)
                except (NotEnoughTextsError, CostError, DeadlineError) as error:
                    reason = str(error)
                    logger.info("%s: cannot train a projection on its documents: %s", facts.address, reason)
        if not candidates:
            raise NoProjectionError(_nothing_found(facts, self.target, reason, self.database))
        return self._existing(collection, facts, candidates, reason)

    def _candidates(self, facts: CollectionFacts, source_name: str) -> Sequence[Candidate]:
        return self.library.find(
            source_dim=facts.dimension or 0,
            target_dim=self.target.dimension,
            source=source_name,
            target=self.target.model,
        )

    def _calibrated(
        self,
        collection: Collection,
        provider: Provider,
        facts: CollectionFacts,
        source_name: str,
        candidates: Sequence[Candidate],
    ) -> FoundProjection:
        """A projection trained on the collection's own documents."""
        prior = self._prior(collection, candidates)
        source = prior.info.source if prior is not None else Model(source_name or "unnamed", facts.dimension or 0)
        training = calibrate(
            collection,
            provider,
            self.policy.calibrate,
            source_model=source,
            priors=[None] if prior is None else [None, prior],
            previous=self.previous,
            limit=self.limit,
            deadline=self.deadline,
            thresholds=self._thresholds,
            announce=lambda line: logger.info("%s: training a projection on its documents: %s", facts.address, line),
        )
        found = FoundProjection("calibrated", training.projection, _measured(training.gate, ""))
        return self._passed(found, training.gate)

    def _prior(self, collection: Collection, candidates: Sequence[Candidate]) -> Projection | None:
        """An existing projection between the two models that fits the vectors, to build on."""
        direct = [candidate for candidate in candidates if candidate.by in ("pair", "target")]
        if not direct:
            return None
        ranked = rank(direct, sample_of(collection).vectors, [], None)
        return next((candidate.projection for candidate in ranked if candidate.fits), None)

    def _existing(
        self, collection: Collection, facts: CollectionFacts, candidates: Sequence[Candidate], reason: str
    ) -> FoundProjection:
        """The best of the existing projections, measured on the collection where the new model may be called."""
        page = sample_of(collection, MEASURED_DOCUMENTS)
        measured = self._embedded(page)
        ranked = rank(candidates, page.vectors, page.texts, None if measured is None else measured.documents)
        fitting = ranked if measured is not None else self._trusted(ranked)
        fitting = [candidate for candidate in fitting if candidate.fits is not False]
        if not fitting:
            reason = f"{reason}; {self._why_none_fits(ranked)}"
            raise NoProjectionError(_nothing_found(facts, self.target, reason, self.database))
        targets = {candidate.projection.info.target.name for candidate in fitting}
        if measured is None and not self.target.model and len(targets) > 1:
            raise NoProjectionError(
                f"collection {facts.address}: there are projections to {' and '.join(sorted(targets))}, all of "
                f"{self.target.dimension} dimensions: name the application's model (target_model)"
            )
        best = fitting[0]
        if best.candidate.by == "dimension":
            logger.warning(
                "%s: no projection between these two models is known; using %s, of which only the dimensions are known "
                "to fit", facts.address, best.candidate.description,
            )  # fmt: skip
        stated = _stated(best)
        origin: Origin = "chain" if len(best.candidate.entries) > 1 else "projection"
        if measured is None:
            if self.policy.min_quality is not None:
                raise FailedGateError(
                    f"collection {facts.address}: what {best.candidate.description} keeps cannot be measured here, and "
                    f"min_quality is {self.policy.min_quality}: give the embedding function, or leave min_quality out"
                )
            return FoundProjection(origin, best.projection, Preservation(None, None, stated))
        judgement = gate(
            true=measured.documents,
            projected=best.projection.apply(measured.page.vectors, measured.page.texts),
            queries=measured.queries,
            taken_from=measured.query_rows,
            old=None if measured.old_queries is None else measured.page.vectors,
            old_queries=measured.old_queries,
            collection_size=facts.count,
            thresholds=self._thresholds,
        )
        projection = best.projection.with_facts(training={}, quality=judgement.to_json())  # of this collection
        return self._passed(FoundProjection(origin, projection, _measured(judgement, stated)), judgement)

    def _trusted(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        """Candidates that may be used without being measured: equal dimensions alone do not tell the model."""
        return [
            candidate
            for candidate in ranked
            if candidate.projection.info.quality.get("verdict") != "FAIL"
            and (not self.target.model or candidate.candidate.by != "dimension")
        ]

    def _why_none_fits(self, ranked: Sequence[Ranked]) -> str:
        """Why none of the candidates may be used, in one line."""
        reasons = []
        for candidate in ranked:
            name = candidate.candidate.description
            if candidate.fits is False:
                reasons.append(f"{name} is for other vectors, likeness {candidate.likeness or 0:.2f}")
            elif self.target.model and candidate.candidate.by == "dimension":
                reasons.append(f"{name} leads to another model")
            else:
                reasons.append(f"{name} failed the gate when it was made, and cannot be measured here")
        return "; ".join(reasons) or "no projection in the registry can be read"

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

    @property
    def _thresholds(self) -> Thresholds:
        usual, least = Thresholds(), self.policy.min_quality
        return usual if least is None else Thresholds(max(usual.passing, least), least)

    @staticmethod
    def _passed(found: FoundProjection, judgement: Gate) -> FoundProjection:
        if judgement.verdict == "FAIL":
            raise FailedGateError(
                f"its projection failed the gate: {judgement.reason}; embed its documents again, or lower min_quality"
            )
        return found


@dataclass(frozen=True)
class _Embedded:
    page: Page
    documents: Vectors
    queries: Vectors
    old_queries: Vectors | None
    query_rows: Sequence[int]


def _measured(judgement: Gate, stated: str) -> Preservation:
    nothing = judgement.nothing.overlap if judgement.nothing is not None else None
    return Preservation(judgement.expected_retention, nothing, stated)


def _stated(ranked: Ranked) -> str:
    """What was measured when a projection was made, in words; empty for a chain, which nobody measured."""
    stated = ranked.candidate.stated_quality
    return "" if stated is None else f"{stated:.0%} on the texts it was trained on, other texts keep less"


def _nothing_found(facts: CollectionFacts, target: TargetModel, reason: str, database: str) -> str:
    command = ["lightmigrate", "train", "--from", database, "--collection", str(facts.address)]
    if target.identity is not None:
        command += ["--target-provider", "chroma", "--target-model", json.dumps(target.identity)]
    else:
        command += ["--target-model", target.model or "NEW_MODEL"]
    found = f"✗ No projection found for {facts.dimension}D → {target.dimension or '?'}D"
    return f"{found} ({reason}); make one:  {shlex.join(command)}"
