"""What the collections of one model are migrated with: a projection that all of them teach, and exact vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Gate
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate
from lightmigrate.stores.base import Address
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.sources import FEWEST_DOCUMENTS
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.train import Training

# Shares of exact rows for which the expected quality is stored, for `status`.
STATUS_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Learned:
    """What to migrate the collections of one model with.

    Attributes:
        projection: for the records that have no exact vector.
        training: of the projection; `None` where every text was embedded, so that nothing had to be learned.
        embedded: the texts whose records get the new model's own vectors.
        gates: the judgement of each collection: its own if enough of its documents were calibrated on, otherwise one of
            all small collections together; empty without a training.
        without_text: records without a text, which are projected whatever was embedded.
        expected: what searches of all collections together are expected to keep.
    """

    projection: Projection
    training: Training | None
    embedded: EmbeddedTexts
    gates: Mapping[Address, Gate]
    without_text: int
    expected: QualityEstimate

    def projection_for(self, address: Address) -> Projection:
        """The projection with the judgement of one collection in its header."""
        gate = self.gates.get(address)
        if self.training is None or gate is None or gate is self.training.gate:
            return self.projection
        return self.projection.with_facts(training={}, quality=gate.to_json())


def embedded_texts(collection: JoinedCollections, provider: Cached) -> set[bytes]:
    """The digests of all stored texts that the new model has embedded whole, by its cache. Only reads.

    Among them are texts that were embedded for another purpose: by an earlier `train` or `plan`, or to recognise the
    model, or because they are a single frequent word.
    """
    known: set[bytes] = set()
    for page in collection.scan(PAGE_ROWS, vectors=False):
        texts = {text_digest(text): text for text in page.texts if text and text.strip()}
        new = [digest for digest in texts if digest not in known]
        cached = provider.has([texts[digest] for digest in new])
        known.update(digest for digest, there in zip(new, cached, strict=True) if there)
    return known


def expected_by_share(
    training: Training, without_texts: Gate | None = None, with_text: float = 1.0
) -> list[tuple[float, dict[str, Any]]]:
    """The quality to expect for some shares of exact records, as JSON, for `status`.

    Args:
        training: of the projection.
        without_texts: the judgement of how records without a text are projected, which stay so.
        with_text: share of the records that have a text, in [0, 1].
    """
    kept = [(share, training.gate.expected_retention.when_exact(share)) for share in STATUS_SHARES]
    kept.append((1.0, EVERYTHING))
    if without_texts is not None:
        others = without_texts.expected_retention
        kept = [(share * with_text, expected.mixed(others, with_text)) for share, expected in kept]
    return [(share, expected.to_json()) for share, expected in kept]


def gates_of(collection: JoinedCollections, training: Training) -> dict[Address, Gate]:
    """The judgement of each collection; see `Learned.gates`."""
    positions, addresses = training.data.positions, [member.address for member in collection.members]
    if len(addresses) == 1 or positions is None:
        return dict.fromkeys(addresses, training.gate)
    member_of = collection.members_of(positions[: training.data.judging])
    sampled = np.bincount(member_of, minlength=len(addresses))
    large = np.flatnonzero(sampled >= FEWEST_DOCUMENTS).tolist()
    small = np.flatnonzero(~np.isin(member_of, large))
    together = training.gate
    if large and len(small) >= FEWEST_DOCUMENTS:
        others = np.setdiff1d(np.arange(len(addresses)), large)
        together = training.gate_of(small, int(collection.counts[others].sum()))
    gates = dict.fromkeys(addresses, together)
    for number in large:
        rows = np.flatnonzero(member_of == number)
        gates[addresses[number]] = training.gate_of(rows, int(collection.counts[number]))
    return gates
