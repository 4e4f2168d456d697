"""A bridge: queries of the new model, projected into the space of a collection that is not migrated yet.

The old model can be switched off at once; the collection does not change. The old vectors limit the quality: a bridge
is for the time until the migration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import WrongDirectionError
from lightmigrate.estimators.fit import fit
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.quality.metrics import search
from lightmigrate.stores.base import Collection
from lightmigrate.texts.source import Texts
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_collection
from lightmigrate.vectors import Metric, Vectors, finite_rows

# Share of the documents left out of a first fit, on which the recall of the bridge is measured.
MEASURED_SHARE = 0.2

NEAREST = 10


class BridgedModel:
    """An embedding model of any kind, projected into the space of another one.

    Args:
        model: the new model: an embedding function of Chroma, an object of LangChain or LlamaIndex, a callable.
        projection: a projection from the new model's space to the old one's, or its path; see `Migrator.bridge`.

    Raises:
        LightmigrateError: the object cannot embed texts.
        WrongDirectionError: the projection leads from the old model to the new one.
    """

    def __init__(self, model: object, projection: Projection | str | Path) -> None:
        self._provider = ChromaProvider(model)
        self._projection = projection if isinstance(projection, Projection) else Projection.load(projection)
        info, own = self._projection.info, self._provider.name
        if own == info.target.name != info.source.name:
            raise WrongDirectionError(
                f"wrong direction: the projection leads {info.direction}, and the function is {own} itself; use one "
                f"that leads from {own} to the model of the stored vectors (lightmigrate bridge)",
                expected=info.source.dimension,
                found=info.target.dimension,
            )

    def documents(self, texts: Sequence[str]) -> Vectors:
        """Documents in the old space, `(n, d_old)`; raises `WrongDirectionError` or `DimensionError`."""
        embedded = self._provider.encode(texts)
        return self._projection.apply(np.asarray(embedded, dtype=np.float32), list(texts))

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Queries in the old space. Their words are not read: the projection knows the words of documents."""
        embedded = self._provider.encode(texts, queries=True)
        return self._projection.apply(np.asarray(embedded, dtype=np.float32), None)


class BridgedEmbeddingFunction:
    """A Chroma embedding function that embeds with the new model and projects into the old model's space.

        collection = client.get_collection("notes", embedding_function=BridgedEmbeddingFunction(new, "new-to-old.npz"))

    To Chroma it looks like the function that it replaces, so that a collection which records that function can be
    opened with it. Do not create collections with it. The vectors of documents added through it are approximate.

    Args:
        function: the new model's embedding function.
        projection: a projection from the new model's space to the old one's, or its path; see `Migrator.bridge`.
        replaces: name and configuration of the function that the collection records; by default Chroma's default one.

    Raises:
        WrongDirectionError: the projection leads from the old model to the new one.
    """

    def __init__(
        self, function: Any, projection: Projection | str | Path, replaces: Mapping[str, Any] | None = None
    ) -> None:
        self._model = BridgedModel(function, projection)
        self._replaces = dict(replaces or {"name": "default", "config": {}})

    def __call__(self, input: Sequence[str]) -> list[Vectors]:
        """Documents in the old space, `(n, d_old)`; raises `WrongDirectionError` or `DimensionError`."""
        return list(self._model.documents(input))

    def embed_query(self, input: Sequence[str]) -> list[Vectors]:
        """Queries in the old space. Their words are not read: the projection knows the words of documents."""
        return list(self._model.queries(input))

    def name(self) -> str:
        """Name of the function that it replaces."""
        return str(self._replaces["name"])

    def get_config(self) -> dict[str, Any]:
        """Configuration of the function that it replaces."""
        return dict(self._replaces.get("config") or {})

    def is_legacy(self) -> bool:
        """Tells Chroma that it has a name and a configuration."""
        return False

    def default_space(self) -> str:
        """The distance of collections that Chroma creates with it; do not create any."""
        return "l2"

    def supported_spaces(self) -> list[str]:
        """All distances of Chroma."""
        return ["l2", "cosine", "ip"]


def fit_bridge(
    collection: Collection,
    provider: Provider,
    *,
    samples: int = 1000,
    texts: Texts = None,
    source_model: Model | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Projection:
    """Fit a projection from the new model's space to that of a collection's vectors. Calls the model; only reads.

    Its header says what it keeps, measured on documents left out of the fit: the share of sentences that find their
    document among the first 10, with the new model itself (`reembedded_recall`) and through the bridge
    (`bridged_recall`).

    Args:
        collection: an open collection that stores texts.
        provider: the new model, with a cache.
        samples: documents to fit to; fewer where the collection has fewer, but at least 50.
        texts: where the embedded texts come from; by default what the records tell.
        source_model: the model of the stored vectors; unnamed by default.
        seed: of every random choice.
        on_progress: receives the progress of each step.

    Raises:
        NotEnoughTextsError: the collection stores fewer than 50 different texts.
        ProviderError: the model fails.
    """
    report = reporting(on_progress, collection.address.name)
    data = data_from_collection(
        collection, samples, fewest=FEWEST_DOCUMENTS, texts=texts, seed=seed, on_progress=on_progress
    )
    new = provider.embed_each(data.texts, partial(report, "embed documents"))
    refused = np.flatnonzero(~finite_rows(new)).tolist()
    data = data.without(frozenset(), frozenset(refused))
    old, new = np.asarray(data.vectors), np.delete(new, refused, axis=0)
    fit_to = partial(fit, seed=seed, source_model=provider.model, target_model=source_model)
    measured = max(1, round(MEASURED_SHARE * len(old)))
    trial = fit_to(new[measured:], old[measured:])
    sentences, rows = pseudo_queries(data.texts[:measured], seed=seed)
    queries = provider.embed_each(sentences, partial(report, "embed queries"), queries=True)
    taken = finite_rows(queries)
    queries, rows = queries[taken], [row for row, kept in zip(rows, taken, strict=True) if kept]
    report("fit", 0, 1)
    quality = {
        "reembedded_recall": _recall(new, queries, rows, "cosine"),
        "bridged_recall": _recall(old, trial.apply(queries), rows, data.metric),
        "queries": len(sentences),
    }
    bridge = fit_to(new, old)
    report("fit", 1, 1)
    return bridge.with_facts(training={"purpose": "bridge"}, quality=quality)


def _recall(documents: Vectors, queries: Vectors, rows: Sequence[int], metric: Metric) -> float:
    nearest = search(queries, documents, min(NEAREST, len(documents)), metric)
    return float((nearest == np.asarray(rows)[:, None]).any(axis=1).mean())
