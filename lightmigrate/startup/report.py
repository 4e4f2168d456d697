"""What `auto_migrate` found and did, as typed results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lightmigrate.providers.careful import NONE_SHORTENED, Shortened
from lightmigrate.quality.form import Form
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.refinement.background import BackgroundRefinement
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.vectors import Metric

Verdict = Literal[
    "same", "variant", "other form", "other dimension", "other model", "mixed", "empty", "damaged", "unknown"
]
Action = Literal["nothing", "migrated", "warned", "refused", "failed"]
Origin = Literal["arithmetic", "embedded", "calibrated", "projection", "chain"]


@dataclass(frozen=True)
class StartupFinding(Result):
    """Which model a collection's vectors are of, and how that is known.

    Attributes:
        name: the collection's.
        tenant: its tenant.
        database: its database.
        count: number of records.
        current_dim: dimension of its vectors.
        expected_dim: of the application's vectors; `None` where it did not matter.
        verdict: `same` is the application's model; `variant` is its model with another prefix, precision or revision,
            which is searched a little worse until it is migrated; `other form` is its model, too, in another length or
            shortened, which follows from what is stored; `damaged` vectors cannot be read; `unknown` could not be
            determined.
        evidence: how that is known, in one sentence with the numbers.
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
        form: in which form the vectors are the application's model's, where that was measured.
    """

    name: str
    tenant: str
    database: str
    count: int
    current_dim: int | None
    expected_dim: int | None
    verdict: Verdict
    evidence: str
    vector: str = ""
    part: str = ""
    form: Form | None = None

    @classmethod
    def about(
        cls,
        facts: CollectionFacts,
        expected_dim: int | None,
        verdict: Verdict,
        evidence: str,
        form: Form | None = None,
    ) -> StartupFinding:
        """A finding about a collection."""
        return cls(
            facts.name, facts.tenant, facts.database, facts.count, facts.dimension, expected_dim, verdict, evidence,
            facts.vector, facts.part, form,
        )  # fmt: skip

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.name, self.tenant, self.database, self.vector, self.part)

    @property
    def mismatch(self) -> bool:
        """Whether the application's model cannot search it, or cannot add to it."""
        return self.verdict in ("other form", "other dimension", "other model", "mixed") or self.emptied

    @property
    def emptied(self) -> bool:
        """Whether it holds nothing, but only takes vectors of another dimension than the application's."""
        return (
            self.verdict == "empty"
            and None not in (self.current_dim, self.expected_dim)
            and (self.current_dim != self.expected_dim)
        )


@dataclass(frozen=True)
class Preservation(Result):
    """What a projection is expected to keep of searches.

    Attributes:
        expected: retention that the gate expects on this collection; `None` when it could not be measured.
        nothing: retention to expect of doing nothing; `None` when it could not be estimated.
        stated: what was measured when the projection was made, in one sentence; empty when nothing was.
    """

    expected: QualityEstimate | None
    nothing: QualityEstimate | None
    stated: str


@dataclass(frozen=True)
class CollectionReport(Result):
    """What was found and done about one collection.

    Attributes:
        finding: what was found.
        action: what was done about it.
        origin: where the new vectors come from: `arithmetic` when they were computed from the stored ones exactly,
            `embedded` when every text was embedded, otherwise a projection that was `calibrated` on the database
            itself, an existing `projection`, or a `chain` of existing ones.
        source_model: the model it projects from.
        target_model: the model it projects to.
        preservation: what it is expected to keep.
        migrated: vectors migrated.
        exact: those among them that the new model made from the whole text.
        reason: why it was not migrated, in one sentence with the way out.
        texts: where its embedded texts come from and how that is known; empty for documents that nobody doubts.
        distance: that the policy gave its index; `None` where it was not migrated, or the policy asks for none.
    """

    finding: StartupFinding
    action: Action = "nothing"
    origin: Origin | None = None
    source_model: str = ""
    target_model: str = ""
    preservation: Preservation | None = None
    migrated: int = 0
    exact: int = 0
    reason: str = ""
    texts: str = ""
    distance: Metric | None = None

    @property
    def made_anew(self) -> bool:
        """Whether its records got their vectors from their texts alone, if it was migrated: the old are not read."""
        return self.origin is None and self.finding.verdict in ("empty", "damaged", "mixed")

    @property
    def route(self) -> Origin | None:
        """`origin` under its first name."""
        return self.origin


@dataclass(frozen=True)
class StartReport(Result):
    """What `auto_migrate` found and did.

    Attributes:
        database: the folder or server.
        action: the most severe of what happened: `failed`, `refused`, `warned`, `migrated`, or `nothing`.
        collections: one report for each collection that was looked at.
        recovered: what an interrupted run had left, and what was done about it; `None` if there was nothing.
        backup: name of the backup that was made.
        seconds: duration.
        error: what failed; empty when nothing did.
        shortened: the texts that the application's model did not take whole.
        refinement: makes every projected row exact while the server serves; `None` where nothing is to be refined.
    """

    database: str
    action: Action
    collections: tuple[CollectionReport, ...]
    recovered: str | None
    backup: str | None
    seconds: float
    error: str = ""
    shortened: Shortened = NONE_SHORTENED
    refinement: BackgroundRefinement | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain JSON values; the refinement as its status."""
        return {**super().to_json(), "refinement": None if self.refinement is None else self.refinement.to_json()}

    @property
    def mismatches(self) -> tuple[CollectionReport, ...]:
        """The collections that were of another model."""
        return tuple(report for report in self.collections if report.finding.mismatch)
