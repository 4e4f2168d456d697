"""For those who cannot rewrite their database yet: the new model's queries, mapped into the old model's space.

The old model can be switched off at once; the collection stays as it is. What this keeps is bounded by what the old
vectors know, so it is a bridge and no place to stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.calibration.collection import sample_collection
from lightmigrate.calibration.sentences import pseudo_queries
from lightmigrate.dial.database import opened
from lightmigrate.errors import NotEnoughTextsError, WrongDirectionError
from lightmigrate.estimators.fit import fit
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.quality.metrics import search
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address
from lightmigrate.training import OnTraining

# Of the documents so many are left out of a first fit, to measure what the map does to searches for them.
MEASURED_SHARE = 0.2

NEAREST = 10

# From fewer nothing is learned.
FEWEST_DOCUMENTS = 50


class BridgedEmbeddingFunction:
    """A Chroma embedding function that embeds with the new model and answers in the old one's space.

        collection = client.get_collection("notes", embedding_function=BridgedEmbeddingFunction(new, "new-to-old.npz"))

    In Chroma's eyes it is the function it stands in for, so that a collection which records one can be opened with it.
    Do not create collections with it. Documents that are added through it are in the old space approximately.

    Args:
        function: the new model's embedding function.
        projection: a projection from the new model's space to the old one's, or the path of one; see `fit_bridge`.
        stands_for: name and configuration of the function the collection records; by default Chroma's own.

    Raises:
        WrongDirectionError: the projection leads from the old model to the new one.
    """

    def __init__(
        self, function: Any, projection: Projection | str | Path, stands_for: dict[str, Any] | None = None
    ) -> None:
        self._function = function
        loaded = projection if isinstance(projection, Projection) else Projection.load(projection)
        info, own = loaded.info, ChromaProvider(function).name
        if own == info.target.name != info.source.name:
            raise WrongDirectionError(
                f"wrong direction: the projection leads {info.direction}, and the function is {own} itself; use one "
                f"that leads from {own} to the model of the stored vectors (lightmigrate bridge)",
                expected=info.source.dimension,
                found=info.target.dimension,
            )
        self._projection = loaded
        self._stands_for = stands_for or {"name": "default", "config": {}}

    def __call__(self, input: Sequence[str]) -> list[Vectors]:
        """Documents in the old space, `(n, d_old)`; raises `WrongDirectionError` or `DimensionError`."""
        return self._mapped(self._function(list(input)), list(input))

    def embed_query(self, input: Sequence[str]) -> list[Vectors]:
        """Queries in the old space; their words are not looked at, because they are not a stored text's."""
        embed = getattr(self._function, "embed_query", self._function)
        return self._mapped(embed(list(input)), None)

    def name(self) -> str:
        """Of the function it stands in for."""
        return str(self._stands_for["name"])

    def get_config(self) -> dict[str, Any]:
        """Of the function it stands in for."""
        return dict(self._stands_for.get("config") or {})

    def is_legacy(self) -> bool:
        """Chroma asks whether it has a name and a configuration."""
        return False

    def default_space(self) -> str:
        """Chroma asks for the distance of collections that are created with it, which none should be."""
        return "l2"

    def supported_spaces(self) -> list[str]:
        """All that Chroma has."""
        return ["l2", "cosine", "ip"]

    def _mapped(self, vectors: Any, texts: Sequence[str] | None) -> list[Vectors]:
        return list(self._projection.apply(np.asarray(vectors, dtype=np.float32), texts))


def fit_bridge(
    database: Any,
    collection_name: str,
    provider: Provider,
    *,
    samples: int = 1000,
    source_model: Model | None = None,
    tenant: str = DEFAULT_TENANT,
    tenant_database: str = DEFAULT_DATABASE,
    seed: int = 0,
    on_progress: OnTraining | None = None,
) -> Projection:
    """A projection from the new model's space to that of a collection's stored vectors. Calls the model; only reads.

    What it keeps stands in its header, measured on documents that the fit was not given: share of sentences that find
    their document among the first 10, with the new model itself (`reembedded_recall`) and through the bridge
    (`bridged_recall`).

    Args:
        database: the folder, which nobody else may have open, or an open client.
        collection_name: of the collection, which must store texts.
        provider: the new model. Without a cache it is given the default one.
        samples: documents to fit to, fewer where there are fewer.
        source_model: who made the stored vectors; unnamed by default.
        tenant: of the collection.
        tenant_database: of the collection.
        seed: of every random choice.
        on_progress: hears how far it is.

    Raises:
        NotEnoughTextsError: the collection stores fewer than 50 different texts.
        ProviderError: the model fails.
    """
    asked = provider if isinstance(provider, Cached) else Cached(provider)
    say = on_progress or (lambda step, done, total: None)
    with opened(database) as store:
        collection = store.collection(Address(collection_name, tenant, tenant_database))
        try:
            sample = sample_collection(collection, samples, seed=seed)
        except NotEnoughTextsError as error:
            if error.available < FEWEST_DOCUMENTS:
                raise
            sample = sample_collection(collection, error.available, seed=seed)
    old, new = sample.vectors, asked.embed(sample.texts, lambda done, total: say("documents", done, total))
    fitted = partial(fit, seed=seed, source_model=asked.model, target_model=source_model)
    measured = max(1, round(MEASURED_SHARE * len(old)))
    trial = fitted(new[measured:], old[measured:])
    sentences, rows = pseudo_queries(sample.texts[:measured], seed=seed)
    queries = asked.embed_queries(sentences, lambda done, total: say("queries", done, total))
    say("fitting", 0, 1)
    quality = {
        "reembedded_recall": _recall(new, queries, rows),
        "bridged_recall": _recall(old, trial.apply(queries), rows),
        "queries": len(sentences),
    }
    found = fitted(new, old)
    say("fitting", 1, 1)
    return found.with_facts(training={"purpose": "bridge"}, quality=quality)


def _recall(documents: Vectors, queries: Vectors, rows: Sequence[int]) -> float:
    found = search(queries, documents, min(NEAREST, len(documents)))
    return float((found == np.asarray(rows)[:, None]).any(axis=1).mean())
