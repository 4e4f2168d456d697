"""What the collections of one model are migrated with: a projection that all of them teach, and exact vectors.

Whatever the new model embedded on the way is paid for, so the records of those texts get its own vectors. Where
learning a projection would cost as much as embedding every text, every text is embedded and nothing has to be learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.budget.quality_estimator import EVERYTHING
from lightmigrate.estimators.fit import fit
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.gate import Gate, Thresholds
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.stores.base import Address
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.calibrate import SHARE_OF_TIME, calibrate, seconds_to_embed
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.limits import Deadline, SpendingLimit
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.texts import NO_TEXTS
from lightmigrate.training.train import Training
from lightmigrate.vectors import finite_rows

# Shares of exact rows for which the expected quality is stored, for `status`.
STATUS_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75)

# All texts are read into memory to compare prices only if they are at most so many times the calibration documents.
MOST_COMPARED = 4

# Every text is embedded without a judged projection only if at most such a share of the records has no text.
MOST_WITHOUT_TEXT = 0.1

# Nothing is known of the quality of a projection that nobody judged.
UNKNOWN = QualityEstimate(0.0, 0.0, 1.0)


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
    """

    projection: Projection
    training: Training | None
    embedded: EmbeddedTexts
    gates: Mapping[Address, Gate]
    without_text: int

    def projection_for(self, address: Address) -> Projection:
        """The projection with the judgement of one collection in its header."""
        gate = self.gates.get(address)
        if self.training is None or gate is None or gate is self.training.gate:
            return self.projection
        return self.projection.with_facts(training={}, quality=gate.to_json())


def learn(
    collection: JoinedCollections,
    provider: Cached,
    documents: int,
    *,
    opened_by: Mapping[str, Any],
    source_model: Model,
    priors: Sequence[Projection | None] = (None,),
    previous: Provider | None = None,
    limit: SpendingLimit | None = None,
    deadline: Deadline | None = None,
    thresholds: Thresholds | None = None,
    on_progress: OnProgress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> Learned:
    """Embed what is needed of some collections of one model. Only reads; calls the new model, and fills its cache.

    Args:
        collection: the open collections as one.
        provider: the new model.
        documents: to calibrate on, over all collections; see `calibrate`.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.
        source_model: the model of the stored vectors.
        priors: see `calibrate`.
        previous: see `calibrate`.
        limit: of the cost; none when left out.
        deadline: of the time; none when left out.
        thresholds: of the gate.
        on_progress: receives the progress.
        announce: receives a line about what is embedded before it is.

    Raises:
        NotEnoughTextsError: too few records have a text.
        LightmigrateError: as `calibrate`.
    """
    limit, deadline = limit or SpendingLimit(None), deadline or Deadline(None)
    data = data_from_readable(collection, max(documents, FEWEST_DOCUMENTS), fewest=1, on_progress=on_progress)
    texts = _all_texts(collection, data, provider)
    without_text = int(data.about["without_document"])
    if texts is not None and without_text > MOST_WITHOUT_TEXT * collection.count():
        texts = None
    if texts is not None and seconds_to_embed(texts, provider, deadline) > SHARE_OF_TIME * deadline.left:
        texts = None
    facts = {
        "model": provider.name,
        "provider": opened_by,
        "reads_texts": texts is None,
        "texts_file": NO_TEXTS.to_json(),
    }
    if texts is not None:
        bill = provider.bill(texts)
        price = f", ${bill.dollars:.2f}" if bill.dollars else ""
        announce(f"{len(texts):,} texts, all of them, about {bill.tokens:,} tokens{price}: learning would cost as much")
        limit.pay(provider, bill.dollars, f"embedding {len(texts)} texts")
        report = reporting(on_progress)
        taken = finite_rows(provider.embed_each(texts, lambda done, total: report("embed", done, total)))
        projection = _for_the_others(data, provider, source_model)
        expected = [(0.0, UNKNOWN.to_json()), (1.0, EVERYTHING.to_json())]
        digests = {text_digest(text) for text, embedded in zip(texts, taken, strict=True) if embedded}
        facts |= {"dimension": projection.info.target.dimension, "expected": expected}
        return Learned(projection, None, EmbeddedTexts(provider, digests, digests, facts), {}, without_text)
    training = calibrate(
        collection,
        provider,
        documents,
        data=data,
        source_model=source_model,
        priors=priors,
        previous=previous,
        limit=limit,
        deadline=deadline,
        thresholds=thresholds,
        on_progress=on_progress,
        announce=announce,
    )
    facts |= {"dimension": training.projection.info.target.dimension, "expected": _expected_by_share(training)}
    fitted = {text_digest(text) for text in training.data.texts}
    embedded = EmbeddedTexts(provider, embedded_texts(collection, provider), fitted, facts)
    return Learned(training.projection, training, embedded, _gates(collection, training), without_text)


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


def _all_texts(collection: JoinedCollections, data: CalibrationData, provider: Cached) -> Sequence[str] | None:
    """Every different text, where embedding all of them costs no more than learning a projection; `None` otherwise."""
    if data.collection_size > MOST_COMPARED * len(data.texts):
        return None
    texts = {
        text_digest(text): text
        for page in collection.scan(PAGE_ROWS, vectors=False)
        for text in page.texts
        if text and text.strip()
    }
    everything = list(texts.values())
    if len(data.texts) == data.collection_size:
        return everything
    learning = EmbeddingRequest.of(data).bill(provider).tokens
    return everything if provider.bill(everything).tokens <= learning else None


def _for_the_others(data: CalibrationData, provider: Cached, source_model: Model) -> Projection:
    """A projection for records without a text, fitted to texts that are embedded already."""
    embedded = provider.embed_each(data.texts)
    taken = finite_rows(embedded)
    new, old = embedded[taken], np.asarray(data.vectors)[taken]
    if len(new) < 2:
        weights = np.zeros((old.shape[1], new.shape[1]), dtype=np.float32)
        return Projection.affine(weights, new[0], source=source_model, target=provider.model)
    return fit(old, new, method="ridge", source_model=source_model, target_model=provider.model)


def _expected_by_share(training: Training) -> list[tuple[float, dict[str, Any]]]:
    """The quality to expect for some shares of exact records, for `status`."""
    shares = [(share, training.gate_when_exact(share).expected_retention.to_json()) for share in STATUS_SHARES]
    return [*shares, (1.0, EVERYTHING.to_json())]


def _gates(collection: JoinedCollections, training: Training) -> dict[Address, Gate]:
    """The judgement of each collection; see `Learned.gates`."""
    positions, addresses = training.data.positions, [member.address for member in collection.members]
    if len(addresses) == 1 or positions is None:
        return dict.fromkeys(addresses, training.gate)
    member_of = collection.members_of(positions)
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
