"""Decides, in the open database, what is done about each collection that may be of another model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lightmigrate.errors import LightmigrateError, ModelMismatchError, ProviderError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.embed_again import EmbedAgain
from lightmigrate.progress import logger
from lightmigrate.projection.model import Model
from lightmigrate.projection.terms.extract import Embed
from lightmigrate.providers.base import Provider
from lightmigrate.startup.detect import by_measuring
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.startup.report import Action, CollectionReport, StartupFinding
from lightmigrate.startup.target_model import recorded_model
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.vectors import Vectors


@dataclass
class Decision:
    """The reports on the collections, filled in as they are decided.

    Attributes:
        source: finds projections.
        memory: of the models of the database.
        reports: one for each collection that was looked at.
    """

    source: ProjectionSource
    memory: Memory
    reports: dict[Address, CollectionReport] = field(default_factory=dict)

    def add_known(self, finding: StartupFinding) -> None:
        """Report on a collection that was decided without opening the database."""
        self.reports[finding.address] = CollectionReport(finding)
        if finding.mismatch:
            self._act(finding, lambda: None)

    def add_damaged(self, facts: CollectionFacts, fault: str) -> bool:
        """Report on a collection whose vectors cannot be read; returns whether it is to be made anew from its texts."""
        finding = StartupFinding.about(facts, self.source.target.stated_dimension, "damaged", fault)
        policy = self.source.policy
        if policy.on_mismatch == "migrate" and policy.embed_again and self.source.target.provider is not None:
            self.reports[facts.address] = CollectionReport(finding)
            return True
        logger.warning("⚠ %s cannot be read and is left as it is: %s", facts.address, fault)
        action: Action = "refused" if policy.on_mismatch == "migrate" else "warned"
        self.reports[facts.address] = CollectionReport(finding, action, reason=fault)
        return False

    def jobs(self, store: Store, pending: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """Measure the pending collections and return the migrations. Only reads; may call the model.

        Raises:
            ModelMismatchError: there is a mismatch, and the policy says `raise`.
        """
        jobs = []
        for address, facts in pending.items():
            earlier = self.reports.get(address)
            if earlier is not None and (earlier.finding.emptied or earlier.finding.verdict == "damaged"):
                job = self._act(earlier.finding, functools.partial(self._anew, store.collection(address), facts))
                jobs += [job] if job is not None else []
                continue
            collection = store.collection(address)
            finding = by_measuring(facts, collection, self.source.target, self.source.limit)
            self.reports[address] = CollectionReport(finding)
            if finding.mismatch:
                job = self._act(finding, functools.partial(self._job, collection, facts))
                jobs += [job] if job is not None else []
            elif finding.verdict == "unknown":
                logger.warning("%s: the model of its vectors is not known: %s", address, finding.evidence)
        return jobs

    def add_emptied(self, finding: StartupFinding) -> None:
        """Report on a collection that is to be made anew for another dimension."""
        self.reports[finding.address] = CollectionReport(finding)

    def _anew(self, collection: Collection, facts: CollectionFacts) -> CollectionJob:
        """The migration of a collection that is made anew from its stored texts, if it has any."""
        target, provider = self.source.target, self.source.target.provider
        dimension = target.dimension or 0
        model = Model(target.model or "unnamed", dimension) if provider is None else provider.model
        if facts.count and provider is not None:
            pages = collection.scan(PAGE_ROWS, vectors=False)
            bills = [provider.bill([text for text in page.texts if text and text.strip()]) for page in pages]
            dollars = (
                None if any(bill.dollars is None for bill in bills) else sum(bill.dollars or 0.0 for bill in bills)
            )
            self.source.limit.pay(provider, dollars, f"embedding the documents of {facts.address} again")
        logger.info("✓ %s is made anew for %s, %d dimensions", facts.address, model.name, dimension)
        self.reports[facts.address] = replace(self.reports[facts.address], target_model=model.name)
        return CollectionJob(facts.address, EmbedAgain(model, _embed(provider)), target.function)

    def require_no_mismatch(self) -> None:
        """Raise `ModelMismatchError` for a mismatch, when the policy says `raise`."""
        mismatches = [report.finding for report in self.reports.values() if report.finding.mismatch]
        if mismatches and self.source.policy.on_mismatch == "raise":
            raise ModelMismatchError(
                "; ".join(f"collection {finding.address}: {finding.evidence}" for finding in mismatches)
            )

    def _act(self, finding: StartupFinding, job: Callable[[], CollectionJob | None]) -> CollectionJob | None:
        """The migration of a mismatching collection; or a warning, with the reason why there is none."""
        reason = ""
        if finding.verdict == "mixed":
            reason = "its vectors are of two models, so no projection fits all: embed its documents again"
        elif self.source.policy.on_mismatch == "migrate":
            try:
                return job()
            except LightmigrateError as error:
                reason = str(error)
        logger.warning(
            "⚠ %s is not of the application's model: %s%s", finding.address, finding.evidence,
            f". {reason}" if reason else "",
        )  # fmt: skip
        refused = self.source.policy.on_mismatch == "migrate"
        self.reports[finding.address] = CollectionReport(finding, "refused" if refused else "warned", reason=reason)
        return None

    def _job(self, collection: Collection, facts: CollectionFacts) -> CollectionJob:
        source_name = self.memory.model(facts) or recorded_model(facts.embedding_function)
        found = self.source.find(collection, facts, source_name)
        info = found.projection.info
        logger.info(
            "✓ %s projection %s → %s, migrating %s...", "Learned" if found.origin == "calibrated" else "Found",
            info.source.name, info.target.name, facts.address,
        )  # fmt: skip
        self.reports[facts.address] = replace(
            self.reports[facts.address],
            origin=found.origin,
            source_model=info.source.name,
            target_model=info.target.name,
            preservation=found.preservation,
        )
        function = self.source.target.function
        return CollectionJob(facts.address, found.projection, function)


def _embed(provider: Provider | None) -> Embed:
    """How a provider embeds texts; without one there are no texts to embed."""
    if provider is not None:
        return provider.embed_each

    def refuse(texts: Sequence[str]) -> Vectors:
        raise ProviderError(f"no embedding function was given for {len(texts)} texts: give the application's")

    return refuse


def preservation_line(report: CollectionReport) -> str:
    """What a migration is expected to keep, in one line."""
    if report.finding.verdict in ("empty", "damaged"):
        return "made anew: empty" if not report.finding.count else "made anew from its stored documents"
    preservation = report.preservation
    if preservation is None or preservation.expected is None:
        stated = preservation.stated if preservation is not None else ""
        return f"Semantic preservation: not measured on this collection ({stated or 'nor on any other'})"
    expected, nothing = preservation.expected, preservation.nothing
    doing_nothing = "unknown, the old model is not at hand" if nothing is None else f"finds {nothing.value:.0%} of it"
    return (
        f"Semantic preservation: {expected.value:.1%} (95 % interval {expected.low:.1%} to {expected.high:.1%}; "
        f"doing nothing: {doing_nothing})"
    )
