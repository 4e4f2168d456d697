"""The whole job on a small real database: build, look, migrate, measure against doing nothing, search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.demo.data import COLLECTION, Corpus, load_corpus, load_projection
from lightmigrate.errors import LocationError
from lightmigrate.migration.results import MigrationResult, Mismatch
from lightmigrate.migrator import Migrator
from lightmigrate.progress import OnProgress
from lightmigrate.quality.retention import Retention, measure_retention
from lightmigrate.results import Result
from lightmigrate.stores.open import open_chroma_client

SEARCHES = (50, 150, 250)  # evenly spread over the 300 claims; not picked by their results
SHOWN = 3


@dataclass(frozen=True)
class Hit(Result):
    """One found abstract: its first words, and whether a human judged it relevant."""

    text: str
    relevant: bool


@dataclass(frozen=True)
class Search(Result):
    """One claim searched for before and after, through Chroma itself."""

    query: str
    before: tuple[Hit, ...]
    after: tuple[Hit, ...]


@dataclass(frozen=True)
class DemoResult(Result):
    """All that the demo found.

    Attributes:
        path: the database folder it leaves.
        mismatches: what was detected.
        migration: what was done.
        retention: what it kept, against re-embedding everything and against doing nothing.
        searches: some searches before and after.
    """

    path: Path
    mismatches: tuple[Mismatch, ...]
    migration: MigrationResult
    retention: Retention
    searches: tuple[Search, ...]


class Demo:
    """The demo, one step a method, so that whoever runs it can speak in between."""

    def __init__(self, parent: Path) -> None:
        """Work in a new folder below `parent`."""
        self.corpus: Corpus = load_corpus()
        self.projection = load_projection()
        self.folder = _new_folder(parent)
        self.database = self.folder / "chroma_data"

    def build(self) -> None:
        """Make a Chroma database whose vectors come from the old model."""
        corpus = self.corpus
        with open_chroma_client(self.database) as client:
            collection = client.create_collection(
                COLLECTION, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
            )
            collection.add(
                ids=corpus.ids,
                embeddings=corpus.old_documents,
                documents=corpus.documents,
                metadatas=[{"source": "SciFact", "words": len(text.split())} for text in corpus.documents],
            )

    def detect(self) -> list[Mismatch]:
        """What does not fit the new model."""
        return Migrator(self.database).check_dimensions(self.projection.info.target.dimension)

    def search(self, queries: Any) -> list[list[Hit]]:
        """Search the demo's claims in the database, through Chroma; `queries` are all claims' vectors."""
        rows = {id_: row for row, id_ in enumerate(self.corpus.ids)}
        with open_chroma_client(self.database) as client:
            found = client.get_collection(COLLECTION, embedding_function=None).query(
                query_embeddings=np.asarray(queries)[list(SEARCHES)], n_results=SHOWN, include=["documents"]
            )
        return [
            [
                Hit(document, rows[id_] in self.corpus.relevant[claim])
                for id_, document in zip(ids, documents, strict=True)
            ]
            for claim, ids, documents in zip(SEARCHES, found["ids"], found["documents"], strict=True)
        ]

    def migrate(self, on_progress: OnProgress | None = None) -> MigrationResult:
        """Migrate the collection with the projection that ships with the demo."""
        migrator = Migrator(self.database, on_progress=on_progress)
        return migrator.migrate_collection(COLLECTION, self.projection)

    def measure(self) -> Retention:
        """Read the migrated vectors back and measure what they keep. None of them was fitted to."""
        corpus = self.corpus
        with open_chroma_client(self.database) as client:
            stored = client.get_collection(COLLECTION, embedding_function=None).get(include=["embeddings"])
        rows = {id_: row for row, id_ in enumerate(stored["ids"])}
        return measure_retention(
            old_queries=corpus.old_queries,
            new_queries=corpus.new_queries,
            old_documents=corpus.old_documents,
            new_documents=corpus.new_documents,
            migrated_documents=np.float32(stored["embeddings"])[[rows[id_] for id_ in corpus.ids]],
            relevant=corpus.relevant,
        )

    def pair(self, before: Sequence[Sequence[Hit]], after: Sequence[Sequence[Hit]]) -> tuple[Search, ...]:
        """The searches, side by side."""
        return tuple(
            Search(self.corpus.queries[claim], tuple(one), tuple(other))
            for claim, one, other in zip(SEARCHES, before, after, strict=True)
        )


def _new_folder(parent: Path) -> Path:
    folder, number = parent / "lightmigrate_demo", 1
    while folder.exists():
        number += 1
        folder = parent / f"lightmigrate_demo_{number}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LocationError(f"cannot make {folder}: {error.strerror}; choose another place with --folder") from None
    return folder
