"""The whole job on a small real database: what each budget keeps, a migration, its refinement, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.demo.data import COLLECTION, Corpus, load_corpus, load_model, load_projection
from lightmigrate.demo.replay import ReplayedModel
from lightmigrate.errors import LocationError
from lightmigrate.migration.results import MigrationResult, Mismatch, Rollback
from lightmigrate.migrator import Migrator
from lightmigrate.progress import OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.retention import Retention, measure_retention
from lightmigrate.refinement.refine import Refinement
from lightmigrate.results import Result
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import open_chroma_client
from lightmigrate.vectors import Vectors

# The share of the tokens of embedding everything that the demo spends.
BUDGET = 0.15

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
        curve: what each part of the cost of embedding everything is expected to keep.
        plan: what was chosen within the budget.
        migration: what was done.
        tokens: that the new model was asked to read until then, estimated.
        projected: what a projection fitted to other abstracts keeps, for which nothing of the database is embedded.
        retention: what the migration kept, against re-embedding everything and against doing nothing.
        searches: some searches before and after.
        refinement: how every row became exact.
        refined: what is kept then.
        rollback: how the database as it was came back.
        restored: records whose text, metadata and vector are exactly what they were before the migration.
    """

    path: Path
    mismatches: tuple[Mismatch, ...]
    curve: CostQualityCurve
    plan: BudgetPlan
    migration: MigrationResult
    tokens: int
    projected: Retention
    retention: Retention
    searches: tuple[Search, ...]
    refinement: Refinement
    refined: Retention
    rollback: Rollback
    restored: int


class Demo:
    """One run of the demo.

    Attributes:
        corpus: documents, searches and vectors.
        source: the model that embedded them.
        target: the model that the application changes to.
        folder: where everything is made.
        database: the Chroma database in it.

    Raises:
        LocationError: the folder cannot be made.
    """

    def __init__(self, parent: Path, on_progress: OnProgress | None = None, model: ReplayedModel | None = None) -> None:
        """Work in a new folder below `parent`; the new model is by default what was recorded of it."""
        self.corpus: Corpus = load_corpus()
        self._projection = load_projection()
        self.source: Model = self._projection.info.source
        self.target: Model = self._projection.info.target
        self._replayed = model or load_model(self.corpus, self.target.name)
        self._model = Cached.in_memory(self._replayed)
        self.folder = _new_folder(parent)
        self.database = self.folder / "chroma_data"
        self._on_progress = on_progress

    @property
    def tokens(self) -> int:
        """Tokens that the new model was asked to read so far, estimated."""
        return self._replayed.tokens

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
        return self._migrator().check_dimensions(self.target.dimension)

    def measure_curve(self) -> CostQualityCurve:
        """Measure within the budget what each part of it keeps. Only reads the database."""
        return self._migrator().cost_quality_curve(
            COLLECTION, self._model, token_share=BUDGET, source_model=self.source
        )

    def choose(self, curve: CostQualityCurve) -> BudgetPlan:
        """The best that the budget buys."""
        return BudgetPlan.of(Address(COLLECTION), curve, curve.within(BUDGET * curve.size.tokens))

    def migrate(self, plan: BudgetPlan) -> MigrationResult:
        """Migrate the collection by a plan."""
        return self._migrator().migrate_by_plan(plan, self._model, source_model=self.source)

    def refine(self) -> Refinement:
        """Embed every row that is not exact yet."""
        return self._migrator().refine(COLLECTION, self._model, refit=False)  # no row is left to be projected again

    def rollback(self) -> Rollback:
        """Put the database as it was back in place. What `refine` wrote stays in the one that becomes a backup."""
        return self._migrator().rollback()

    def search(self, queries: Vectors) -> list[list[Hit]]:
        """Search the demo's claims in the database, through Chroma; `queries` are all claims' vectors."""
        rows = {id_: row for row, id_ in enumerate(self.corpus.ids)}
        with open_chroma_client(self.database) as client:
            found = client.get_collection(COLLECTION, embedding_function=None).query(
                query_embeddings=queries[list(SEARCHES)], n_results=SHOWN, include=["documents"]
            )
        return [
            [
                Hit(document, rows[id_] in self.corpus.relevant[claim])
                for id_, document in zip(ids, documents, strict=True)
            ]
            for claim, ids, documents in zip(SEARCHES, found["ids"], found["documents"], strict=True)
        ]

    def records(self) -> dict[str, tuple[str, Any, bytes]]:
        """Read back what the database holds: of each record by its id the text, the metadata, and the vector."""
        with open_chroma_client(self.database) as client:
            stored = client.get_collection(COLLECTION, embedding_function=None).get(
                include=["documents", "metadatas", "embeddings"]
            )
        vectors = (np.float32(vector).tobytes() for vector in stored["embeddings"])
        records = zip(stored["documents"], stored["metadatas"], vectors, strict=True)
        return dict(zip(stored["ids"], records, strict=True))

    def measure(self) -> Retention:
        """Read the migrated vectors back and measure what they keep. No search was used to fit or choose anything."""
        records = self.records()
        vectors = [np.frombuffer(records[id_][2], np.float32) for id_ in self.corpus.ids]
        return self._retention(np.stack(vectors))

    def measure_projected(self) -> Retention:
        """Measure what a projection keeps that was fitted to other abstracts, and reads nothing but the old vectors."""
        return self._retention(self._projection.apply(self.corpus.old_documents))

    def pair(self, before: Sequence[Sequence[Hit]], after: Sequence[Sequence[Hit]]) -> tuple[Search, ...]:
        """The searches, side by side."""
        return tuple(
            Search(self.corpus.queries[claim], tuple(one), tuple(other))
            for claim, one, other in zip(SEARCHES, before, after, strict=True)
        )

    def _retention(self, migrated: Vectors) -> Retention:
        corpus = self.corpus
        return measure_retention(
            old_queries=corpus.old_queries,
            new_queries=corpus.new_queries,
            old_documents=corpus.old_documents,
            new_documents=corpus.new_documents,
            migrated_documents=migrated,
            relevant=corpus.relevant,
        )

    def _migrator(self) -> Migrator:
        return Migrator(self.database, on_progress=self._on_progress)


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
