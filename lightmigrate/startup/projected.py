"""Rows that an earlier migration projected to the application's model: they are nearly its own, and no other model's.

A collection that was projected by hand, or whose start remembers nothing, is measured by its other rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import LightmigrateError
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, VectorOrigin
from lightmigrate.refinement.recorded_model import is_recorded
from lightmigrate.refinement.vector_fingerprint import matches
from lightmigrate.registry.library import same_name
from lightmigrate.startup.report import StartupFinding
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import Address, Collection, CollectionFacts, Page
from lightmigrate.stores.joined import Collections
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.source import STORED

# Records in which a collection without any other row is looked for.
SAMPLED = 200


def exact_rows(place: Path) -> Mapping[Address, int]:
    """How many rows of each migrated collection of a database the new model embedded whole. Only reads."""
    if not Provenance.file_in(place).exists():
        return {}
    with Provenance.existing(place) as provenance:
        return {address: provenance.counts(address)[VectorOrigin.EXACT] for address in provenance.addresses()}


@dataclass(frozen=True)
class ProjectedBefore:
    """Which rows of a database were projected to one model, by the provenance file and by their vectors.

    Attributes:
        place: where the provenance file is; it need not exist.
        target: the application's model.
    """

    place: Path
    target: TargetModel

    def finding(self, collection: Collection, facts: CollectionFacts) -> StartupFinding | None:
        """The finding about a collection that holds nothing but such rows; `None` for others. Only reads."""
        if not self._is_target(facts.address):
            return None
        page = collection.sample(SAMPLED)
        if not len(page) or len(self.others(facts.address, page)):
            return None
        evidence = "its rows were projected to this model, and hold the vectors that they were given"
        return StartupFinding.about(facts, facts.dimension, "same", evidence)

    def others(self, address: Address, page: Page) -> Page:
        """The records of a page that are no such rows. Only reads."""
        if not len(page) or not self._is_target(address):
            return page
        with Provenance.existing(self.place) as provenance:
            known = provenance.rows_by_id(address, page.ids)
        rows = [known.get(record) for record in page.ids]
        held = matches(page.vectors, [b"" if row is None else row.fingerprints for row in rows])
        kept = [
            number
            for number, row in enumerate(rows)
            if row is None or row.origin not in NOT_EXACT or not bool(held[number])
        ]
        return page if len(kept) == len(page) else page.rows(kept)

    def _is_target(self, address: Address) -> bool:
        """Whether the last recorded migration of a collection was to this model, and not to another one of its name.

        Embeds one short text, once in a run. If the model cannot be called, its name and its dimension are believed.
        """
        if not self.target.model or not Provenance.file_in(self.place).exists():
            return False
        try:
            with Provenance.existing(self.place) as provenance:
                facts = provenance.facts(address) if address in provenance.addresses() else None
            if facts is None or not same_name(facts["model"], self.target.model):
                return False
            if self.target.stated_dimension not in (None, facts["dimension"]):
                return False
            return self.target.probe is None or is_recorded(facts, self.target.probe)
        except LightmigrateError:
            return False  # what cannot be read tells nothing


@dataclass(frozen=True)
class OtherRows:
    """Opens collections so that samples leave out rows that were projected before.

    Attributes:
        collections: opens them with all rows.
        before: tells these rows.
    """

    collections: Collections
    before: ProjectedBefore

    def collection(self, address: Address) -> Collection:
        """The collection; only to be sampled."""
        return _Sampled(self.collections.collection(address), STORED, self.before)


@dataclass(frozen=True)
class _Sampled(WithTexts):
    """A collection whose samples leave out rows."""

    before: ProjectedBefore

    def sample(self, n: int, seed: int = 0) -> Page:
        """Some of the other records from all over."""
        return self.before.others(self.address, self.collection.sample(n, seed))
