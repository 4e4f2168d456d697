"""The demo's corpus: real abstracts and claims, and what two real models made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.demo.replay import Recording, ReplayedModel
from lightmigrate.projection.projection import Projection
from lightmigrate.vectors import Vectors

COLLECTION = "abstracts"


@dataclass(frozen=True)
class Corpus:
    """Abstracts, searches for them, and who is right.

    Attributes:
        ids: of the n abstracts.
        documents: the n abstracts.
        queries: q claims, each a search for the abstracts that bear on it.
        relevant: for each claim the grade of each relevant abstract, by its row.
        old_documents: float32 `(n, 256)`, from potion-base-8M.
        new_documents: float32 `(n, 384)`, from all-MiniLM-L6-v2: what re-embedding would give.
        old_queries: float32 `(q, 256)`.
        new_queries: float32 `(q, 384)`.
    """

    ids: list[str]
    documents: list[str]
    queries: list[str]
    relevant: list[dict[int, float]]
    old_documents: Vectors
    new_documents: Vectors
    old_queries: Vectors
    new_queries: Vectors


def load_corpus() -> Corpus:
    """Read the corpus that ships with the package."""
    with np.load(_path("scifact.npz"), allow_pickle=False) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    texts = json.loads(arrays.pop("texts").tobytes())
    relevant: list[dict[int, float]] = [{} for _ in texts["queries"]]
    for query, row, grade in arrays.pop("relevant").tolist():
        relevant[query][row] = grade
    return Corpus(
        ids=[document["id"] for document in texts["documents"]],
        documents=[document["text"] for document in texts["documents"]],
        queries=texts["queries"],
        relevant=relevant,
        **{name: vectors.astype(np.float32) for name, vectors in arrays.items()},
    )


def load_projection() -> Projection:
    """The projection that ships with the demo: potion-base-8M → all-MiniLM-L6-v2."""
    return Projection.load(_path("potion_to_minilm.npz"))


def load_model(corpus: Corpus, name: str) -> ReplayedModel:
    """The new model, which is not there: it gives what it gave for the texts that the demo asks it for.

    Args:
        corpus: what it embedded whole.
        name: of the model.
    """
    with np.load(_path("minilm.npz"), allow_pickle=False) as archive:
        recording = Recording.from_arrays(archive)
    return ReplayedModel(
        name,
        [*corpus.documents, *corpus.queries],
        np.concatenate([corpus.new_documents, corpus.new_queries]),
        recording,
    )


def _path(name: str) -> Path:
    return Path(str(resources.files("lightmigrate.demo") / "data" / name))
