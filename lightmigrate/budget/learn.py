"""Learns a projection on the collections of one model. What the new model embeds for that is stored exactly.

Where learning would cost as much as embedding every text, every text is embedded and nothing has to be learned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightmigrate.budget.embed_everything import embed_everything
from lightmigrate.budget.learned import Learned, embedded_texts, expected_by_share, gates_of
from lightmigrate.budget.text_count import TextCount
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.calibrate import SHARE_OF_TIME, calibrate
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.model_speed import measure_speed
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.texts import NO_TEXTS

# All texts are counted to compare prices only if they are at most so many times the calibration documents.
MOST_COMPARED = 4

# Every text is embedded without a judged projection only if at most such a share of the records has no text.
MOST_WITHOUT_TEXT = 0.1


def learn(
    collection: JoinedCollections,
    provider: Cached,
    documents: int,
    options: LearningOptions,
    *,
    opened_by: Mapping[str, Any],
) -> Learned:
    """Embed what is needed of some collections of one model. Only reads; calls the new model, and fills its cache.

    Args:
        collection: the open collections as one.
        provider: the new model.
        documents: to calibrate on, over all collections; see `calibrate`.
        options: what it builds on, and its limits.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.

    Raises:
        NotEnoughTextsError: too few records have a text.
        LightmigrateError: as `calibrate`.
    """
    data = data_from_readable(collection, max(documents, FEWEST_DOCUMENTS), fewest=1, on_progress=options.on_progress)
    count = _if_cheaper(collection, data, provider, options)
    if count is None:
        return learn_projection(collection, provider, data, options, opened_by=opened_by)
    bill = provider.priced(count.missing_tokens)
    price = f", ${bill.dollars:.2f}" if bill.dollars else ""
    options.announce(
        f"{count.texts:,} texts, all of them, about {bill.tokens:,} tokens{price}: learning would cost as much"
    )
    options.limit.pay(provider, bill.dollars, f"embedding {count.texts} texts")
    return embed_everything(
        collection,
        provider,
        opened_by=opened_by,
        source_model=options.source_model,
        on_progress=options.on_progress,
    )


def learn_projection(
    collection: JoinedCollections,
    provider: Cached,
    data: CalibrationData,
    options: LearningOptions,
    *,
    opened_by: Mapping[str, Any],
) -> Learned:
    """Learn a projection on this data of the collections, whatever that costs. See `learn`."""
    training = calibrate(collection, provider, len(data.texts), options, data=data)
    facts = {
        "model": provider.name,
        "provider": opened_by,
        "reads_texts": True,
        "texts_file": NO_TEXTS.to_json(),
        "dimension": training.projection.info.target.dimension,
        "expected": expected_by_share(training),
    }
    fitted = {text_digest(text) for text in training.data.texts}
    embedded = EmbeddedTexts(provider, embedded_texts(collection, provider), fitted, facts)
    share = min(1.0, len(embedded.digests) / max(1, training.data.collection_size))
    return Learned(
        training.projection,
        training,
        embedded,
        gates_of(collection, training),
        int(data.about["without_document"]),
        training.gate.expected_retention.when_exact(share),
    )


def _if_cheaper(
    collection: JoinedCollections, data: CalibrationData, provider: Cached, options: LearningOptions
) -> TextCount | None:
    """All texts, where embedding them costs no more than learning a projection and there is time; `None` otherwise."""
    if data.collection_size > MOST_COMPARED * len(data.texts):
        return None
    if int(data.about["without_document"]) > MOST_WITHOUT_TEXT * collection.count():
        return None
    count = TextCount.of(collection, provider)
    learning = EmbeddingRequest.of(data, sentences=options.sentences).bill(provider).tokens
    if len(data.texts) < data.collection_size and count.missing_tokens > learning:
        return None
    if not math.isinf(options.deadline.left):
        seconds = measure_speed(provider, count.some_missing).seconds(count.missing_texts, count.missing_tokens)
        if seconds > SHARE_OF_TIME * options.deadline.left:
            return None
    return count
