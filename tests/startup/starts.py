"""Databases of real vectors for these tests, and projections to the application's new model, wordllama."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import Model, Projection, Registry, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.at_end import AT_END
from tests.encoders import MiniLMFunction, WordLlamaFunction, shared_wordllama

CORPUS = load_corpus()
ROWS = 160

# Small collections of `many`, and the records of each.
SMALL, ROWS_OF_EACH = 30, 7

POTION = Model("potion-base-8M", 256)
MINILM = Model("all-MiniLM-L6-v2", 384)
WORDLLAMA = Model("wordllama-256", 256)
# Not the application's model: a projection to it must not be taken for one to the application's.
SHORT = Model("wordllama-64", 64)

NEW = WordLlamaFunction()

# Policy of a start that trains nothing.
QUICK: dict[str, Any] = {"calibrate": 0, "min_quality": 0.2}


@functools.cache
def vectors_of(model: Model) -> Vectors:
    """Of all abstracts of the corpus."""
    if model is POTION:
        return CORPUS.old_documents
    if model is MINILM:
        return CORPUS.new_documents
    return shared_wordllama(model.dimension).embed(CORPUS.documents)


@functools.cache
def fitted(source: Model, target: Model) -> Projection:
    """A real projection, fitted to abstracts that are in none of the databases."""
    old, new = (vectors_of(model)[ROWS:] for model in (source, target))
    return fit(old, new, method="ridge", source_model=source, target_model=target)


def registry(folder: Path, *links: tuple[Model, Model]) -> Path:
    """A folder of projections."""
    for number, (source, target) in enumerate(links):
        Registry(folder).add(fitted(source, target), f"{number}.npz")
    return folder


def write(
    folder: Path,
    vectors: Vectors,
    *,
    documents: Sequence[str] | None = None,
    function: Any = None,
    name: str = "memory",
) -> Path:
    """A database with one collection that holds these vectors."""
    with open_client(folder) as client:
        collection = client.create_collection(name, embedding_function=function)
        if len(vectors):
            collection.add(
                ids=CORPUS.ids[: len(vectors)],
                embeddings=vectors,
                documents=None if documents is None else list(documents),
                metadatas=[{"row": row} for row in range(len(vectors))],
            )
    return folder


def stored(folder: Path, name: str = "memory") -> Vectors:
    """All vectors of a collection."""
    with open_client(folder) as client:
        found = client.get_collection(name, embedding_function=None).get(include=["embeddings"])
    return np.asarray(found["embeddings"], dtype=np.float32)


def database_of(model: Model, folder: Path, **options: Any) -> Path:
    """A database of one model's vectors, with their texts; without options a copy of one that is made once."""
    if options or folder.exists():
        return write(folder, vectors_of(model)[:ROWS], **{"documents": CORPUS.documents[:ROWS], **options})
    return Path(shutil.copytree(_made(model), folder))


@functools.cache
def _made(model: Model) -> Path:
    folder = Path(AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-starts-")))
    return write(folder, vectors_of(model)[:ROWS], documents=CORPUS.documents[:ROWS])


def many(folder: Path, collections: int = SMALL, rows: int = ROWS_OF_EACH) -> Path:
    """Small collections of one old model, as an application makes one for every uploaded file."""
    with open_client(folder) as client:
        for number in range(collections):
            part = slice(number * rows, (number + 1) * rows)
            collection = client.create_collection(f"file-{number:03}", embedding_function=MiniLMFunction())
            collection.add(
                ids=CORPUS.ids[part],
                embeddings=vectors_of(MINILM)[part],
                documents=CORPUS.documents[part],
            )
    return folder
