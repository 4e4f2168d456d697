"""An existing projection as a route: the best that fits, judged on the documents that others are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.budget.quality_estimator import sentences_for
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.quality.gate import Gate, gate
from lightmigrate.registry.library import Candidate
from lightmigrate.registry.ranking import rank
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.vectors import finite_rows

# A projection of which only the dimension fits is no candidate: nothing says that it leads to this model.
FITTING = ("pair", "target", "chain")


@dataclass(frozen=True)
class KnownProjection:
    """An existing projection that fits some collections.

    Attributes:
        projection: the projection, with the judgement in its header.
        description: its models.
        gate: the judgement on these collections.
    """

    projection: Projection
    description: str
    gate: Gate


def best_known(
    candidates: Sequence[Candidate], data: CalibrationData, provider: Provider, seed: int
) -> KnownProjection | None:
    """The best existing projection; `None` when none fits. What it asks the model for is in the cache already.

    Args:
        candidates: from `Library.find`.
        data: documents of the collections and their stored vectors, which were embedded already.
        provider: the new model, with a cache.
        seed: of the choice of sentences.
    """
    wanted = [candidate for candidate in candidates if candidate.by in FITTING]
    if not wanted or data.vectors is None:
        return None
    request = EmbeddingRequest.of(data, seed, sentences=sentences_for(len(data.texts)))
    documents, queries = provider.embed_each(data.texts), provider.embed_each(request.queries, queries=True)
    taken = finite_rows(documents)
    texts = [text for text, kept in zip(data.texts, taken.tolist(), strict=True) if kept]
    ranked = rank(wanted, data.vectors[taken], texts, documents[taken])
    best = next((one for one in ranked if one.fits), None)
    if best is None:
        return None
    usable, query_rows = finite_rows(queries), None
    if request.query_rows is not None:
        rows = np.asarray(request.query_rows)
        usable &= taken[rows]
        query_rows = (np.cumsum(taken) - 1)[rows[usable]].tolist()
    judgement = gate(
        true=documents[taken],
        projected=best.projection.apply(data.vectors[taken], texts),
        queries=queries[usable],
        taken_from=query_rows,
        collection_size=data.collection_size,
        metric=data.metric,
    )
    projection = best.projection.with_facts(training={}, quality=judgement.to_json())
    return KnownProjection(projection, best.candidate.description, judgement)
