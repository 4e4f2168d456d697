"""What a start found and did, as the server gets it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, CollectionFacts

Verdict = Literal["same", "other dimension", "other model", "mixed", "empty", "unknown"]
Action = Literal["nothing", "migrated", "warned", "refused", "failed"]
Route = Literal["calibrated", "projection", "chain"]


@dataclass(frozen=True)
class Finding(Result):
    """Whose vectors a collection holds, and how that is known.

    Attributes:
        name: the collection's.
        tenant: its tenant.
        database: its database.
        count: records in it.
        current_dim: dimension of its vectors.
        expected_dim: of the application's; `None` where nobody had to know.
        verdict: `same` is the application's model; `unknown` could not be told.
        evidence: how that is known, in a sentence with the numbers.
    """

    name: str
    tenant: str
    database: str
    count: int
    current_dim: int | None
    expected_dim: int | None
    verdict: Verdict
    evidence: str

    @classmethod
    def about(cls, facts: CollectionFacts, expected_dim: int | None, verdict: Verdict, evidence: str) -> Finding:
        """A finding about a collection."""
        return cls(
            facts.name, facts.tenant, facts.database, facts.count, facts.dimension, expected_dim, verdict, evidence
        )

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.name, self.tenant, self.database)

    @property
    def mismatch(self) -> bool:
        """Whether searches by the application's model would find nothing sensible in it."""
        return self.verdict in ("other dimension", "other model", "mixed")


@dataclass(frozen=True)
class Preservation(Result):
    """What a map is expected to keep of searches.

    Attributes:
        expected: retention as the gate expects it on this collection; `None` when it could not be measured.
        nothing: overlap of the old model's answers with those of re-embedding; `None` when it was not at hand.
        stated: what the map's maker measured elsewhere, in a sentence; empty when nobody did.
    """

    expected: Estimate | None
    nothing: Estimate | None
    stated: str


@dataclass(frozen=True)
class CollectionReport(Result):
    """What became of one collection.

    Attributes:
        finding: what was found.
        action: what was done about it.
        route: where the map came from.
        source_model: model the map leads from.
        target_model: model it leads to.
        preservation: what it is expected to keep.
        migrated: vectors migrated.
        reason: why it was not migrated, in a sentence with the way out.
    """

    finding: Finding
    action: Action = "nothing"
    route: Route | None = None
    source_model: str = ""
    target_model: str = ""
    preservation: Preservation | None = None
    migrated: int = 0
    reason: str = ""


@dataclass(frozen=True)
class StartReport(Result):
    """What `auto_migrate` found and did.

    Attributes:
        database: the folder or server.
        action: the gravest of what happened: `failed`, `refused`, `warned`, `migrated`, or `nothing`.
        collections: one report for each collection that was looked at.
        recovered: what was found of an interrupted run, and done about it.
        backup: name of the backup that was made.
        seconds: all of it.
        error: what failed; empty when nothing did.
    """

    database: str
    action: Action
    collections: tuple[CollectionReport, ...]
    recovered: str | None
    backup: str | None
    seconds: float
    error: str = ""

    @property
    def mismatches(self) -> tuple[CollectionReport, ...]:
        """The collections that were of another model."""
        return tuple(report for report in self.collections if report.finding.mismatch)
