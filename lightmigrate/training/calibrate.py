"""A projection trained on the collection that is to be migrated, within limits of money and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.progress import OnProgress, Progress
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Thresholds
from lightmigrate.stores.joined import Readable
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.limits import Deadline, SpendingLimit
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
    *,
    data: CalibrationData | None = None,
    source_model: Model,
    priors: Sequence[Projection | None] = (None,),
    previous: Provider | None = None,
    limit: SpendingLimit | None = None,
    deadline: Deadline | None = None,
    thresholds: Thresholds | None = None,
    on_progress: OnProgress | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> Training:
    """Train and judge a projection from a collection's stored vectors to a model. Only reads; calls the model.

    Args:
        collection: an open collection that stores documents, or several of one model as one.
        provider: the new model.
        documents: to calibrate on; fewer when the collection has fewer or time is short, but at least 50.
        data: of the collection, where it was read already; otherwise it is read here.
        source_model: the model of the stored vectors.
        priors: projections between the same spaces to build on, `None` for none. Each is tried, and the one with the
            highest expected retention is returned: a general projection helps on texts like those it was trained on,
            and harms on others.
        previous: the old model, where it is available: then the gate also measures what doing nothing gives.
        limit: of the cost; none when left out.
        deadline: of the time; none when left out.
        thresholds: of the gate.
        on_progress: receives the progress of embedding and fitting.
        announce: receives a line with the number of texts and their cost before anything is embedded.

    Raises:
        NotEnoughTextsError: the collection has fewer than 50 different documents with a vector.
        CostError: it would cost more than the limit allows, or its price is not known.
        DeadlineError: there is no time for 50 documents.
        ProviderError: the model fails.
    """
    deadline = deadline or Deadline(None)
    data = _data(collection, documents, data)
    request = EmbeddingRequest.of(data)
    bill = request.bill(provider)
    price = f", ${bill.dollars:.2f}" if bill.dollars else ""
    announce(f"{len(request):,} texts, about {bill.tokens:,} tokens{price}")
    if limit is not None:
        limit.pay(provider, bill.dollars, f"calibrating on {len(data.texts)} documents")
    data = _in_time(data, request, provider, deadline)

    def progress(event: Progress) -> None:
        deadline.require()
        if on_progress is not None:
            on_progress(event)

    trainings = [
        train(
            data,
            provider,
            previous,
            source_model=None if previous is not None else source_model,
            prior=prior,
            thresholds=thresholds,
            on_progress=progress,
        )
        for prior in priors
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
