"""Collections that an earlier start left as they are, for a reason that holds as long as nothing changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from lightmigrate.startup.memory import Left, Memory
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.startup.report import CollectionReport, StartupFinding
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.files import FileDatabase
from lightmigrate.version import __version__

# What depends on the records of the collection alone; whether a projection is found depends on all collections of its
# model, which are learned from together.
_OF_ITSELF = ("unknown", "mixed")

# How the evidence of such a report begins.
LEFT = "as an earlier start found, "


@dataclass(frozen=True)
class LeftAlone:
    """What is remembered of such collections of a folder, outside of it: a start that is refused changes nothing.

    Attributes:
        memory: where it is remembered.
        files: the folder.
        source: finds projections; its model and its policy count.
        exchanged: what changes when the files of the folder are exchanged.
    """

    memory: Memory
    files: FileDatabase
    source: ProjectionSource
    exchanged: tuple[int, int] | None

    def recall(self, facts: CollectionFacts) -> CollectionReport | None:
        """What an earlier start reported of a collection; `None` when it has to be looked at (again).

        Reads the numbers of the last writes, and embeds one short text, where anything is remembered of it.
        """
        known = self.memory.left(facts, self.source.target)
        if known is None or known.circumstances != self._circumstances(facts, known.verdict):
            return None
        evidence = f"{LEFT}{known.evidence}"
        finding = StartupFinding.about(facts, known.expected_dim, known.verdict, evidence)
        return CollectionReport(finding, reason=known.reason)

    def remember(
        self,
        catalog: Iterable[CollectionFacts],
        reports: Mapping[Address, CollectionReport],
        lasting: Collection[Address],
    ) -> None:
        """Store the reports on the collections that were left for a lasting reason. Writes, if there are any."""
        self.memory.learn_left(
            {
                facts.id: Left(
                    self._circumstances(facts, report.finding.verdict),
                    report.finding.verdict,
                    report.finding.evidence,
                    report.finding.expected_dim,
                    report.reason,
                )
                for facts in catalog
                if facts.address in lasting and (report := reports[facts.address]).action != "migrated"
            },
            self.source.target,
        )

    def _circumstances(self, facts: CollectionFacts, verdict: str) -> str:
        """A digest of all that the report depends on, except the model itself."""
        own = [facts.id, facts.count, facts.dimension, facts.space, self._writes.get(facts.address)]
        others = [] if verdict in _OF_ITSELF else sorted((str(a), number) for a, number in self._writes.items())
        return hashlib.sha256(json.dumps([own, others, self._of_start], default=str).encode()).hexdigest()

    @cached_property
    def _writes(self) -> Mapping[Address, int]:
        return self.files.last_writes()

    @cached_property
    def _of_start(self) -> object:
        target, library = self.source.target, self.source.library
        projections = sorted(entry.sha256 for _, entry in library.entries())
        asked = [target.identity, target.model, target.stated_dimension, self.source.previous is None]
        return [__version__, self.source.policy.to_json(), asked, projections, self.exchanged]
