"""A map learned on the spot: the collection's own documents, embedded by the new model within what may be spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from lightmigrate.calibration.collection import CalibrationSample, sample_collection
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider, estimated_tokens
from lightmigrate.quality.gate import Thresholds
from lightmigrate.startup.deadline import Deadline
from lightmigrate.startup.purse import Purse
from lightmigrate.stores.base import Collection
from lightmigrate.training import Material, OnTraining, Reading, Training, train

# Fewer documents teach nothing, whatever the gate makes of them.
FEWEST_DOCUMENTS = 50

# Embedded first, to see how fast the model is.
TIMED_DOCUMENTS = 16

# Of the time there is, this part may go into embedding: writing and verifying take theirs.
SHARE_OF_TIME = 0.5


def calibrate(
    collection: Collection,
    provider: Provider,
    documents: int,
    *,
    source_model: Model,
    priors: Sequence[Projection | None] = (None,),
    previous: Provider | None = None,
    purse: Purse | None = None,
    deadline: Deadline | None = None,
    thresholds: Thresholds | None = None,
    on_progress: OnTraining | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Training:
    """Learn and judge a map from a collection's stored vectors to a model. Only reads; calls the model.

    Args:
        collection: an open collection that stores documents.
        provider: the new model.
        documents: to calibrate on, fewer where the collection has fewer or the time does not suffice.
        source_model: who made the stored vectors.
        priors: maps between the same dimensions to build on, `None` for none. Each is tried, and the gate chooses: a
            general map helps where its texts are like these, and harms where they are not.
        previous: the old model, when it is at hand: then the gate also says what doing nothing gives.
        purse: what may be spent; anything when left out.
        deadline: until when; there is no end when left out.
        thresholds: of the gate.
        on_progress: hears how far embedding and fitting are.
        say: hears what it costs before it is spent.

    Raises:
        NotEnoughTextsError: the collection has fewer than 50 different documents with a vector.
        CostError: it would cost more than there is in the purse, or nobody knows what it costs.
        DeadlineError: there is no time for 50 documents.
        ProviderError: the model fails.
    """
    deadline = deadline or Deadline(None)
    sample = _sample(collection, documents)
    reading = Reading.of(_material(sample))
    bill = reading.bill(provider)
    say(f"{len(reading):,} texts, about {bill.tokens:,} tokens" + (f", ${bill.dollars:.2f}" if bill.dollars else ""))
    if purse is not None:
        purse.pay(provider, bill.dollars, f"calibrating on {len(sample.texts)} documents")
    sample = _in_time(sample, reading, provider, deadline)

    def progress(step: str, done: int, total: int) -> None:
        deadline.require()
        if on_progress is not None:
            on_progress(step, done, total)

    def trained(prior: Projection | None) -> Training:
        return train(
            _material(sample),
            provider,
            previous,
            source_model=None if previous is not None else source_model,
            prior=prior,
            thresholds=thresholds,
            on_progress=progress,
        )

    return max(map(trained, priors), key=lambda done: done.gate.expected_retention.value)


def _sample(collection: Collection, documents: int) -> CalibrationSample:
    try:
        return sample_collection(collection, max(documents, FEWEST_DOCUMENTS))
    except NotEnoughTextsError as error:
        if error.available < FEWEST_DOCUMENTS:
            raise NotEnoughTextsError(
                f"the collection {collection.address} stores {error.available} different documents, calibrating takes "
                f"{FEWEST_DOCUMENTS}",
                asked=FEWEST_DOCUMENTS,
                available=error.available,
            ) from None
        return sample_collection(collection, error.available)


def _material(sample: CalibrationSample) -> Material:
    about = {"corpus": "the collection itself", **sample.report.to_json()}
    return Material(sample.texts, sample.vectors, sample.words, sample.report.usable, about)


def _in_time(sample: CalibrationSample, reading: Reading, provider: Provider, deadline: Deadline) -> CalibrationSample:
    """The sample, or as much of it as the new model can embed in time, by what a few documents take."""
    if deadline.left == float("inf"):
        return sample
    some = list(reading.documents[:TIMED_DOCUMENTS])
    provider.embed(some[:1])  # loads the model
    started = time.monotonic()
    provider.embed(some[1:])
    each = (time.monotonic() - started) / max(1, estimated_tokens(some[1:]))
    expected = each * estimated_tokens([*reading.documents, *reading.queries, *reading.words])
    allowed = SHARE_OF_TIME * deadline.left
    if expected <= allowed:
        return sample
    documents = int(len(sample.texts) * allowed / expected) if allowed > 0 else 0
    if documents < FEWEST_DOCUMENTS:
        deadline.require(2 * expected * FEWEST_DOCUMENTS / len(sample.texts), f"embedding {FEWEST_DOCUMENTS} documents")
        documents = FEWEST_DOCUMENTS
    words, share = sample.words, documents / len(sample.texts)
    most = int(len(words.words) * share)
    return CalibrationSample(
        sample.texts[:documents],
        sample.vectors[:documents],
        replace(words, words=words.words[:most], counts=words.counts[:most]),
        replace(sample.report, chosen=documents),
    )
