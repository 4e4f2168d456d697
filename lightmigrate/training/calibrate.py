"""A projection trained on the collection that is to be migrated, within limits of money and time."""

from __future__ import annotations

import math

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.progress import Progress
from lightmigrate.providers.base import Provider
from lightmigrate.stores.joined import Readable
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.limits import Deadline
from lightmigrate.training.model_speed import measure_speed
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable
from lightmigrate.training.train import Training, train

# Share of the time left that embedding may take: writing and verifying take theirs.
SHARE_OF_TIME = 0.5


def calibrate(
    collection: Readable,
    provider: Provider,
    documents: int,
    options: LearningOptions,
    *,
    data: CalibrationData | None = None,
) -> Training:
    """Train and judge a projection from a collection's stored vectors to a model. Only reads; calls the model.

    Args:
        collection: an open collection that stores documents, or several of one model as one.
        provider: the new model.
        documents: to calibrate on; fewer when the collection has fewer or time is short, but at least 50.
        options: what it builds on, and its limits.
        data: of the collection, where it was read already; otherwise it is read here.

    Raises:
        NotEnoughTextsError: the collection has fewer than 50 different documents with a vector.
        CostError: it would cost more than the limit allows, or its price is not known.
        DeadlineError: there is no time for 50 documents.
        ProviderError: the model fails.
    """
    data = _data(collection, documents, data)
    request = EmbeddingRequest.of(data, sentences=options.sentences)
    bill = request.bill(provider)
    price = f", ${bill.dollars:.2f}" if bill.dollars else ""
    options.announce(f"{len(request):,} texts, about {bill.tokens:,} tokens{price}")
    options.limit.pay(provider, bill.dollars, f"calibrating on {len(data.texts)} documents")
    in_time = _in_time(data, request, provider, options.deadline)
    if in_time is not data:
        kept = EmbeddingRequest.of(in_time, sentences=options.sentences).bill(provider)
        options.limit.give_back(provider.priced(max(0, request.bill(provider).tokens - kept.tokens)).dollars)
    data = in_time

    def progress(event: Progress) -> None:
        options.deadline.require()
        if options.on_progress is not None:
            options.on_progress(event)

    trainings = [
        train(
            data,
            provider,
            options.previous,
            source_model=None if options.previous is not None else options.source_model,
            prior=prior,
            thresholds=options.thresholds,
            sentences=options.sentences,
            on_progress=progress,
        )
        for prior in options.priors
    ]
    return max(trainings, key=lambda training: training.gate.expected_retention.value)


def _data(collection: Readable, documents: int, read: CalibrationData | None) -> CalibrationData:
    try:
        data = read or data_from_readable(collection, max(documents, FEWEST_DOCUMENTS), fewest=FEWEST_DOCUMENTS)
        available = len(data.texts)
    except NotEnoughTextsError as error:
        available = error.available
    if available < FEWEST_DOCUMENTS:
        raise NotEnoughTextsError(
            f"collection {collection.address} stores {available} different documents, calibrating needs at least "
            f"{FEWEST_DOCUMENTS}: use a projection made elsewhere:  lightmigrate registry list",
            asked=FEWEST_DOCUMENTS,
            available=available,
        )
    return data


def _in_time(
    data: CalibrationData, request: EmbeddingRequest, provider: Provider, deadline: Deadline
) -> CalibrationData:
    """The data, or the part of it that the new model can embed in time, at the speed measured on a few documents."""
    if math.isinf(deadline.left):
        return data
    expected = measure_speed(provider, request.documents).seconds(len(request), request.bill(provider).tokens)
    allowed = SHARE_OF_TIME * deadline.left
    if expected <= allowed:
        return data
    documents = int(len(data.texts) * allowed / expected) if allowed > 0 else 0
    if documents < FEWEST_DOCUMENTS:
        deadline.require(2 * expected * FEWEST_DOCUMENTS / len(data.texts), f"embedding {FEWEST_DOCUMENTS} documents")
        documents = FEWEST_DOCUMENTS
    part = data.first(documents)
    return part.with_words(int(len(request.words) * documents / len(data.texts)))
