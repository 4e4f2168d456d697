"""Where the map for a collection comes from: learned from its own documents, or else the best one there is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.calibration.sentences import pseudo_queries
from lightmigrate.errors import (
    CostError,
    DeadlineError,
    FailedGateError,
    NoProjectionError,
    NotEnoughTextsError,
)
from lightmigrate.migration.baseline import sample_of
from lightmigrate.migration.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.registry.library import Candidate, Library
from lightmigrate.registry.ranking import Ranked, rank
from lightmigrate.startup.calibrate import calibrate
from lightmigrate.startup.deadline import Deadline
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.purse import Purse
from lightmigrate.startup.report import Preservation, Route
from lightmigrate.startup.wanted import Wanted
from lightmigrate.stores.base import Collection, CollectionFacts, Page

# Documents, and a sentence of each, that the new model is asked for to compare maps that others have made.
MEASURED_DOCUMENTS = 200


@dataclass(frozen=True)
class Way:
    """A map that may be used.

    Attributes:
        route: where it comes from.
        projection: the map.
        preservation: what it is expected to keep.
    """

    route: Route
    projection: Projection
    preservation: Preservation


@dataclass(frozen=True)
class Search:
    """What a map is sought for, and within which limits.

    Attributes:
        wanted: the new model.
        policy: what may be done.
        deadline: until when.
        purse: what may be spent on the new model.
        previous: the old model, when it is at hand.
        library: maps that others have made.
        place: the database's folder, as a command would name it.
    """

    wanted: Wanted
    policy: Policy
    deadline: Deadline
    purse: Purse
    previous: Provider | None
    library: Library
    place: str

    def way(self, collection: Collection, facts: CollectionFacts, source_name: str) -> Way:
        """The best map for an open collection. Only reads; may call the new model.

        Args:
            collection: it.
            facts: what is known of it.
            source_name: of the model its vectors are of; empty when nobody knows.

        Raises:
            NoProjectionError: there is none, with the command that makes one.
            FailedGateError: the best one keeps less than is allowed.
            ProviderError: the new model fails.
        """
        candidates = self._candidates(facts, source_name)
        why_not = "the embedding function is not at hand"
        if self.wanted.provider is not None:
            why_not = "calibrate=0"
            if self.policy.calibrate:
                try:
                    return self._calibrated(collection, self.wanted.provider, facts, source_name, candidates)
                except (NotEnoughTextsError, CostError, DeadlineError) as error:
                    why_not = str(error)
                    logger.info("%s: no map is learned from its documents: %s", facts.address, why_not)
        if not candidates:
            raise NoProjectionError(_nothing_found(facts, self.wanted, why_not, self.place))
        return self._made_by_others(collection, facts, candidates, why_not)

    def _candidates(self, facts: CollectionFacts, source_name: str) -> Sequence[Candidate]:
        return self.library.find(
            source_dim=facts.dimension or 0,
            target_dim=self.wanted.dimension,
            source=source_name,
            target=self.wanted.model,
        )

    def _calibrated(
        self,
        collection: Collection,
        provider: Provider,
        facts: CollectionFacts,
        source_name: str,
        candidates: Sequence[Candidate],
    ) -> Way:
        prior = self._prior(collection, candidates)
        source = prior.info.source if prior is not None else Model(source_name or "unnamed", facts.dimension or 0)
        done = calibrate(
            collection,
            provider,
            self.policy.calibrate,
            source_model=source,
            priors=[None] if prior is None else [None, prior],
            previous=self.previous,
            purse=self.purse,
            deadline=self.deadline,
            thresholds=self._thresholds,
            say=lambda line: logger.info("%s: learning a map from its documents: %s", facts.address, line),
        )
        return self._judged(Way("calibrated", done.projection, _measured(done.gate, "")), done.gate)

    def _prior(self, collection: Collection, candidates: Sequence[Candidate]) -> Projection | None:
        """A direct map between the two models, to build on, if one fits."""
        direct = [one for one in candidates if one.by in ("pair", "target")]
        if not direct:
            return None
        ranked = rank(direct, sample_of(collection).vectors, [], None)
        return next((one.projection for one in ranked if one.fits), None)

    def _made_by_others(
        self, collection: Collection, facts: CollectionFacts, candidates: Sequence[Candidate], why_not: str
    ) -> Way:
        page = sample_of(collection, MEASURED_DOCUMENTS)
        new = self._asked(page)
        ranked = rank(candidates, page.vectors, page.documents, None if new is None else new.documents)
        fitting = ranked if new is not None else self._trusted(ranked)
        fitting = [one for one in fitting if one.fits is not False]
        if not fitting:
            raise NoProjectionError(
                _nothing_found(facts, self.wanted, f"{why_not}; {self._why_none(ranked)}", self.place)
            )
        targets = {one.projection.info.target.name for one in fitting}
        if new is None and not self.wanted.model and len(targets) > 1:
            raise NoProjectionError(
                f"collection {facts.address}: there are maps to {' and '.join(sorted(targets))}, all of "
                f"{self.wanted.dimension} dimensions: say which is the application's (target_model)"
            )
        best = fitting[0]
        if best.candidate.by == "dimension":
            logger.warning(
                "%s: no map between these two models is known; %s has the right dimensions, and that is all that is "
                "known of it", facts.address, best.candidate.description,
            )  # fmt: skip
        stated = _stated(best)
        route: Route = "chain" if len(best.candidate.entries) > 1 else "projection"
        if new is None:
            if self.policy.min_quality is not None:
                raise FailedGateError(
                    f"collection {facts.address}: what {best.candidate.description} keeps cannot be measured here, and "
                    f"min_quality is {self.policy.min_quality}: give the embedding function, or leave min_quality out"
                )
            return Way(route, best.projection, Preservation(None, None, stated))
        judged = gate(
            true=new.documents,
            mapped=best.projection.apply(new.page.vectors, new.page.documents),
            queries=new.queries,
            taken_from=new.taken_from,
            old=None if new.old_queries is None else new.page.vectors,
            old_queries=new.old_queries,
            collection_size=facts.count,
            thresholds=self._thresholds,
        )
        projection = best.projection.with_facts(training={}, quality=judged.to_json())  # of this collection
        return self._judged(Way(route, projection, _measured(judged, stated)), judged)

    def _trusted(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        """What may be used without being measured here: the right dimensions say nothing of the model it leads to."""
        return [
            one
            for one in ranked
            if one.projection.info.quality.get("verdict") != "FAIL"
            and (not self.wanted.model or one.candidate.by != "dimension")
        ]

    def _why_none(self, ranked: Sequence[Ranked]) -> str:
        """Why none of these may be used, in a line."""
        reasons = []
        for one in ranked:
            if one.fits is False:
                reasons.append(f"{one.candidate.description} is for other vectors, likeness {one.likeness or 0:.2f}")
            elif self.wanted.model and one.candidate.by == "dimension":
                reasons.append(f"{one.candidate.description} leads to another model")
            else:
                reasons.append(
                    f"{one.candidate.description} failed the gate when it was made, and is not measured here"
                )
        return "; ".join(reasons) or "none that is listed can be read"

    def _asked(self, page: Page) -> _Asked | None:
        """What the new model says to some documents, when it may be asked and there are enough."""
        told = [row for row, text in enumerate(page.documents) if text and text.strip()]
        provider = self.wanted.provider
        if provider is None or len(told) < 3:
            return None
        some = page.rows(told)
        texts = [text or "" for text in some.documents]
        queries, taken_from = pseudo_queries(texts, most=MEASURED_DOCUMENTS)
        try:
            self.purse.pay(provider, provider.bill(texts, queries).dollars, f"measuring on {len(texts)} documents")
            old_queries = self._asked_before(queries, some.vectors.shape[1])
        except CostError:
            return None
        return _Asked(some, provider.embed(texts), provider.embed_queries(queries), old_queries, taken_from)

    def _asked_before(self, queries: Sequence[str], dimension: int) -> Vectors | None:
        """What the old model says to some queries, when it is at hand and can be the one that made the vectors."""
        old = self.previous
        if old is None or old.model.dimension != dimension:
            return None
        self.purse.pay(old, old.bill([], queries).dollars, f"asking the old model {len(queries)} queries")
        return old.embed_queries(queries)

    @property
    def _thresholds(self) -> Thresholds:
        usual, least = Thresholds(), self.policy.min_quality
        return usual if least is None else Thresholds(max(usual.passing, least), least)

    @staticmethod
    def _judged(way: Way, judged: Gate) -> Way:
        if judged.verdict == "FAIL":
            raise FailedGateError(f"its map failed the gate: {judged.reason}; embed again, or lower min_quality")
        return way


@dataclass(frozen=True)
class _Asked:
    page: Page
    documents: Vectors
    queries: Vectors
    old_queries: Vectors | None
    taken_from: Sequence[int]


def _measured(judged: Gate, stated: str) -> Preservation:
    nothing = judged.nothing.overlap if judged.nothing is not None else None
    return Preservation(judged.expected_retention, nothing, stated)


def _stated(ranked: Ranked) -> str:
    """What its maker measured, in words; of a chain nobody did."""
    stated = ranked.candidate.stated_quality
    return "" if stated is None else f"{stated:.0%} on the texts it was made from, other texts keep less"


def _nothing_found(facts: CollectionFacts, wanted: Wanted, why: str, place: str) -> str:
    command = ["lightmigrate", "train", "--from-chroma", place, "--collection", str(facts.address)]
    if wanted.identity is not None:
        command += ["--target-provider", "chroma", "--target-model", json.dumps(wanted.identity)]
    else:
        command += ["--target-model", wanted.model or "NEW_MODEL"]
    found = f"✗ No projection found for {facts.dimension}D → {wanted.dimension or '?'}D"
    return f"{found} ({why}); make one:  {shlex.join(command)}"
