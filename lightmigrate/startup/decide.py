"""What is done about each collection that may be of another model, decided in the open database."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from lightmigrate.errors import LightmigrateError, ModelMismatchError
from lightmigrate.migration.migrator import CollectionJob
from lightmigrate.migration.progress import logger
from lightmigrate.startup.detect import look
from lightmigrate.startup.memory import Memory
from lightmigrate.startup.report import CollectionReport, Finding
from lightmigrate.startup.route import Search
from lightmigrate.startup.wanted import recorded_model
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Store


@dataclass
class Decision:
    """The reports so far, and how they come about.

    Attributes:
        search: for maps.
        memory: of the database's models.
        reports: one for each collection that was looked at.
    """

    search: Search
    memory: Memory
    reports: dict[Address, CollectionReport] = field(default_factory=dict)

    def known(self, finding: Finding) -> None:
        """Take in what was known without opening the database."""
        self.reports[finding.address] = CollectionReport(finding)
        if finding.mismatch:
            self._act(finding, lambda: None)

    def jobs(self, store: Store, pending: Mapping[Address, CollectionFacts]) -> list[CollectionJob]:
        """Look into the pending collections; which are migrated, and through what. Only reads; may call the model.

        Raises:
            ModelMismatchError: there is a mismatch, and the policy says `raise`.
        """
        found = []
        for address, facts in pending.items():
            collection = store.collection(address)
            finding = look(facts, collection, self.search.wanted, self.search.purse)
            self.reports[address] = CollectionReport(finding)
            if finding.mismatch:
                job = self._act(finding, functools.partial(self._job, collection, facts))
                found += [job] if job is not None else []
            elif finding.verdict == "unknown":
                logger.warning("%s: whose vectors it holds is not known: %s", address, finding.evidence)
        return found

    def require_no_mismatch(self) -> None:
        """Raise `ModelMismatchError` when the policy wants that of a mismatch."""
        wrong = [report.finding for report in self.reports.values() if report.finding.mismatch]
        if wrong and self.search.policy.on_mismatch == "raise":
            raise ModelMismatchError("; ".join(f"collection {one.address}: {one.evidence}" for one in wrong))

    def _act(self, finding: Finding, job: Callable[[], CollectionJob | None]) -> CollectionJob | None:
        """Migrate, warn, or say why not."""
        reason = ""
        if finding.verdict == "mixed":
            reason = "nobody can tell which map is whose: embed its documents again"
        elif self.search.policy.on_mismatch == "migrate":
            try:
                return job()
            except LightmigrateError as error:
                reason = str(error)
        logger.warning(
            "⚠ %s is not of the application's model: %s%s", finding.address, finding.evidence,
            f". {reason}" if reason else "",
        )  # fmt: skip
        refused = self.search.policy.on_mismatch == "migrate"
        self.reports[finding.address] = CollectionReport(finding, "refused" if refused else "warned", reason=reason)
        return None

    def _job(self, collection: Collection, facts: CollectionFacts) -> CollectionJob:
        source = self.memory.model(facts) or recorded_model(facts.embedding_function)
        way = self.search.way(collection, facts, source)
        info = way.projection.info
        logger.info(
            "✓ %s projection %s → %s, migrating %s...", "Learned" if way.route == "calibrated" else "Found",
            info.source.name, info.target.name, facts.address,
        )  # fmt: skip
        self.reports[facts.address] = replace(
            self.reports[facts.address],
            route=way.route,
            source_model=info.source.name,
            target_model=info.target.name,
            preservation=way.preservation,
        )
        function = self.search.wanted.function
        return CollectionJob(facts.name, way.projection, function, facts.tenant, facts.database)


def preservation_said(report: CollectionReport) -> str:
    """What a migration is expected to keep, in a line."""
    found = report.preservation
    if found is None or found.expected is None:
        stated = found.stated if found is not None else ""
        return (
            f"Semantic preservation: not measured on this collection ({stated or 'and nobody measured it elsewhere'})"
        )
    expected, nothing = found.expected, found.nothing
    doing_nothing = "unknown, the old model is not at hand" if nothing is None else f"finds {nothing.value:.0%} of it"
    return (
        f"Semantic preservation: {expected.value:.1%} (95 % interval {expected.low:.1%} to {expected.high:.1%}; "
        f"doing nothing: {doing_nothing})"
    )
