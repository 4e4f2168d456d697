"""A real collection whose model changes, for these tests: abstracts by potion-base-8M, and then by wordllama."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProviderError
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.same_model import PROBE
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.at_end import AT_END
from tests.encoders import WordLlamaFunction

CORPUS = load_corpus()
ROWS = 400
NOTES = Address("notes")
NEW = WordLlamaFunction(128)


def texts(rows: int = ROWS) -> list[str]:
    """The first abstracts."""
    return list(CORPUS.documents[:rows])


def build(folder: Path, documents: Sequence[str | None] | None = None, space: str = "cosine") -> Path:
    """A database of abstracts as the old model embedded them: a copy of one that is made once in a process."""
    template = _built(tuple(texts() if documents is None else documents), space)
    return Path(shutil.copytree(template, folder, dirs_exist_ok=True))


@functools.cache
def _built(documents: tuple[str | None, ...], space: str) -> Path:
    folder = Path(AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-built-")))
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": space}}).add(
            ids=[f"n{row}" for row in range(len(documents))],
            documents=list(documents) if any(documents) else None,
            embeddings=CORPUS.old_documents[: len(documents)],
            metadatas=[{"row": row} for row in range(len(documents))],
        )
    return folder


def add_records(collection: Any, documents: Sequence[str | None]) -> None:
    """Add the first abstracts to a Chroma collection; Chroma takes records with and without a text apart only."""
    for has_text in (True, False):
        rows = [row for row, text in enumerate(documents) if (text is not None) == has_text]
        collection.add(
            ids=[f"n{row}" for row in rows],
            embeddings=CORPUS.old_documents[rows],
            documents=[documents[row] for row in rows] if has_text else None,
        )


class Counting(ChromaProvider):
    """The new model, which counts the texts it was asked for; it can be made to fail after some."""

    def __init__(self) -> None:
        super().__init__(NEW)
        self.asked: list[str] = []
        self.requests: list[tuple[str, bool]] = []  # and whether it was a query: a title is both
        self.fail_after: int | None = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        if self.fail_after is not None and len(self.asked) + len(texts) > self.fail_after:
            raise ProviderError("the model was killed")
        self.asked += [text for text in texts if text != PROBE]  # whether it is still the same model costs a few words
        self.requests += [(text, queries) for text in texts if text != PROBE]
        return super().encode(texts, queries)


def cached(tmp_path: Path, inner: ChromaProvider | None = None) -> Cached:
    """The new model with a cache of this test's own."""
    return Cached(inner or Counting(), tmp_path / "cache.sqlite3")


def curve(folder: Any, provider: Cached, **options: Any) -> CostQualityCurve:
    """The curve of the collection."""
    return Migrator(folder).cost_quality_curve("notes", provider, **{"samples": 60, "lengths": (12, 48), **options})


def planned(folder: Path, provider: Cached, share: float = 0.55, **options: Any) -> BudgetPlan:
    """What the best is for a share of the tokens of everything."""
    drawn = curve(folder, provider, token_share=share, **options)
    return BudgetPlan.of(NOTES, drawn, drawn.within(share * drawn.size.tokens))


@functools.cache
def _planned_template() -> tuple[Path, BudgetPlan]:
    """A database, its plan, and the cache that was made with it, made once for all tests of a process."""
    place = Path(AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-budget-")))
    provider = cached(place)
    plan = planned(build(place / "db"), provider)
    provider.close()
    return place, plan


def with_plan(tmp_path: Path, inner: ChromaProvider | None = None) -> tuple[Path, Cached, BudgetPlan]:
    """A database of this test's own, the new model with what it said for the plan, and the plan."""
    place, plan = _planned_template()
    shutil.copytree(place, tmp_path / "planned")
    return tmp_path / "planned" / "db", cached(tmp_path / "planned", inner), plan


@functools.cache
def _template() -> Path:
    """A migrated database and the cache it was made with, made once for all tests of a process."""
    place = Path(AT_END.enter_context(tempfile.TemporaryDirectory(prefix="lightmigrate-budget-")))
    folder, provider, plan = with_plan(place)
    Migrator(folder).migrate_by_plan(plan, provider, auto_backup=False, force=True)
    provider.close()
    return folder.parent


def migrated(tmp_path: Path) -> tuple[Path, Cached]:
    """A database of this test's own that was migrated by a plan, and the new model with what it said for that."""
    shutil.copytree(_template(), tmp_path / "migrated")
    return tmp_path / "migrated" / "db", cached(tmp_path / "migrated")


def require_reembedded(client: Any) -> None:
    """Nothing tells the collection from one that the same records were put into, embedded by the new model."""
    held = client.get_collection("notes", embedding_function=None)
    columns = ["documents", "metadatas", "uris", "embeddings"]
    rows = held.get(include=columns)
    vectors = np.asarray(NEW.embed(list(rows["documents"])), dtype=np.float32)
    fresh = client.create_collection(
        "fresh", embedding_function=None, configuration=held.configuration, metadata=held.metadata
    )
    fresh.add(rows["ids"], vectors, rows["metadatas"], rows["documents"], uris=rows["uris"])
    other = fresh.get(include=columns)
    np.testing.assert_allclose(rows.pop("embeddings"), other.pop("embeddings"), atol=1e-6)
    assert rows == other
    assert (held.metadata, held.configuration) == (fresh.metadata, fresh.configuration)
    asked = np.asarray(NEW.embed([" ".join(text.split()[-20:]) for text in rows["documents"][:50]]))
    found, expected = (one.query(query_embeddings=asked, n_results=10) for one in (held, fresh))
    assert np.mean([len(set(a) & set(b)) for a, b in zip(found["ids"], expected["ids"], strict=True)]) > 9.9
    client.delete_collection("fresh")


def vectors_in(folder: Path) -> dict[str, Vectors]:
    """What the collection holds, by id."""
    with open_client(folder) as client:
        held = client.get_collection("notes", embedding_function=None).get(include=["embeddings"])
    return dict(zip(held["ids"], np.asarray(held["embeddings"], dtype=np.float32), strict=True))
