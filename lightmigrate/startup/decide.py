"""Decides, in the open database, what is done about each collection that may be of another model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from lightmigrate.errors import LightmigrateError, ModelMismatchError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.progress import logger
from lightmigrate.startup.detect import by_measuring
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.startup.report import CollectionReport, StartupFinding
from lightmigrate.startup.target_model import recorded_model
from lightmigrate.startup.texts import StartupTexts, startup_texts
from lightmigrate.stores.base import Address, CollectionFacts, Store


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

    def jobs(self, store: Store, pending: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """Measure the pending collections and return the migrations. Only reads; may call the model.

        Raises:
            ModelMismatchError: there is a mismatch, and the policy says `raise`.
        """
        jobs = []
        for address, facts in pending.items():
            texts = startup_texts(store.collection(address), facts, self.source)
            finding = by_measuring(facts, texts.collection, self.source.target, self.source.limit)
            self.reports[address] = CollectionReport(finding, texts=texts.line)
            if finding.mismatch:
                job = self._act(finding, functools.partial(self._job, texts, facts))
                jobs += [job] if job is not None else []
            elif finding.verdict == "unknown":
                logger.warning("%s: the model of its vectors is not known: %s", address, finding.evidence)
        return jobs

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
        self.reports[finding.address] = replace(
            self.reports[finding.address], action="refused" if refused else "warned", reason=reason
        )
        return None

    def _job(self, texts: StartupTexts, facts: CollectionFacts) -> CollectionJob:
        texts.require_known()
        if texts.line:
            logger.info("%s: what was embedded is %s", facts.address, texts.line)
        source_name = self.memory.model(facts) or recorded_model(facts.embedding_function)
        found = self.source.find(texts.collection, facts, source_name)
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
        return CollectionJob(facts.address, found.projection, function, texts=texts.collection.source)


def preservation_line(report: CollectionReport) -> str:
    """What a migration is expected to keep, in one line."""
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
