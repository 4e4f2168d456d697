"""The application's own model in another form: computed exactly at a start, without learning anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.encoders import ShortWordLlamaFunction, WordLlamaFunction, shared_wordllama
from tests.startup.starts import CORPUS, NEW, WORDLLAMA, vectors_of

ROWS = 160


def long_vectors() -> Vectors:
    return 8 * shared_wordllama().embed_long(CORPUS.documents[:ROWS])


def database(folder: Path, vectors: Vectors, space: str, function: Any = None) -> Path:
    """A Chroma database of long vectors; with a function, it records that one."""
    client = open_client(folder)
    collection = client.create_collection("docs", configuration={"hnsw": {"space": space}}, embedding_function=function)
    ids = [str(row) for row in range(len(vectors))]
    collection.add(ids=ids, documents=CORPUS.documents[: len(vectors)], embeddings=list(vectors))
    client.close()
    return folder


def stored(folder: Path) -> Vectors:
    client = open_client(folder)
    page = client.get_collection("docs", embedding_function=None).get(include=["embeddings"])
    client.close()
    return np.asarray(page["embeddings"], dtype=np.float32)


class Counting(WordLlamaFunction):
    """Counts the texts that it embeds."""

    texts = 0

    def embed(self, texts: list[str]) -> Any:
        Counting.texts += len(texts)
        return super().embed(texts)


@pytest.mark.parametrize("space", ["l2", "ip"])
@pytest.mark.parametrize("recorded", [False, True])
def test_long_vectors_of_the_same_model_are_scaled(space: str, recorded: bool, tmp_path: Path) -> None:
    folder = database(tmp_path / "db", long_vectors(), space, NEW if recorded else None)
    Counting.texts = 0
    report = auto_migrate(folder, Counting())
    (collection,) = report.collections
    assert (report.action, collection.finding.verdict, collection.origin) == ("migrated", "other form", "arithmetic")
    assert "length" in collection.finding.evidence
    assert Counting.texts <= 60  # the sample, and nothing to learn from
    np.testing.assert_allclose(stored(folder), shared_wordllama().embed(CORPUS.documents[:ROWS]), atol=1e-6)
    again = auto_migrate(folder, NEW)
    assert (again.action, again.collections[0].finding.verdict) == ("nothing", "same")


def test_cosines_do_not_see_lengths_and_nothing_is_done(tmp_path: Path) -> None:
    folder = database(tmp_path / "db", long_vectors(), "cosine")
    report = auto_migrate(folder, NEW)
    assert (report.action, report.collections[0].finding.verdict) == ("nothing", "same")


def test_vectors_are_shortened_when_the_model_is(tmp_path: Path) -> None:
    folder = database(tmp_path / "db", vectors_of(WORDLLAMA)[:ROWS], "l2")
    report = auto_migrate(folder, ShortWordLlamaFunction())
    (collection,) = report.collections
    assert (report.action, collection.finding.verdict, collection.origin) == ("migrated", "other form", "arithmetic")
    np.testing.assert_allclose(stored(folder), shared_wordllama(64).embed(CORPUS.documents[:ROWS]), atol=1e-6)


def test_a_longer_form_is_said_and_cannot_be_computed(tmp_path: Path) -> None:
    folder = database(tmp_path / "db", shared_wordllama(64).embed(CORPUS.documents[:ROWS]), "l2")
    report = auto_migrate(folder, NEW, calibrate=0)
    assert report.action == "refused"
    assert "first 64 of 256 numbers of this model" in report.collections[0].finding.evidence


def test_lengths_that_differ_between_texts_are_not_computed(tmp_path: Path) -> None:
    class Long(WordLlamaFunction):
        def embed(self, texts: list[str]) -> Any:
            return 8 * shared_wordllama().embed_long(texts)

    folder = database(tmp_path / "db", shared_wordllama().embed(CORPUS.documents[:ROWS]), "l2")
    report = auto_migrate(folder, Long(), calibrate=120)
    (collection,) = report.collections
    assert (report.action, collection.finding.verdict) == ("migrated", "other form")
    assert collection.origin != "arithmetic"
    ratio = np.linalg.norm(stored(folder), axis=1) / np.linalg.norm(long_vectors(), axis=1)
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
