"""Sampling a real collection: what can be calibrated on, what cannot, and how much of each there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.training import collection_sample as room
from lightmigrate.training.collection_sample import sample_collection

CORPUS = load_corpus()


def make_collection(folder: Path, texts: list[str | None], vectors: Any) -> ChromaFolderStore:
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(len(texts))], documents=texts, embeddings=vectors
        )
    return ChromaFolderStore(folder)


def test_what_is_of_no_use_is_counted(tmp_path: Path) -> None:
    texts: list[str | None] = [*CORPUS.documents[:100], None, "", "  \n", *CORPUS.documents[:10]]
    vectors = np.concatenate([CORPUS.old_documents[:103], CORPUS.old_documents[:10]])
    vectors[40] = 0
    store = make_collection(tmp_path, texts, vectors)
    steps: list[tuple[int, int]] = []
    sample = sample_collection(
        store.collection(Address("notes")), 50, long_words=250, progress=lambda *step: steps.append(step)
    )
    store.close()
    long = sum(len(text.split()) > 250 for row, text in enumerate(CORPUS.documents[:100]) if row != 40)
    assert sample.report.to_json() == {
        "records": 113,
        "usable": 99,
        "without_document": 3,
        "duplicates": 10,
        "invalid_vectors": 1,
        "long_documents": long,
        "chosen": 50,
    }
    assert steps == [(113, 113)]
    assert len(set(sample.texts)) == 50
    row_of = {text: row for row, text in enumerate(CORPUS.documents)}
    for text, vector in zip(sample.texts, sample.vectors, strict=True):
        np.testing.assert_array_equal(vector, CORPUS.old_documents[row_of[text]])


def test_more_than_there_is_says_how_many_there_are(tmp_path: Path) -> None:
    store = make_collection(tmp_path, ["one", "two", "two", None], CORPUS.old_documents[:4])
    with pytest.raises(NotEnoughTextsError, match=r"has 2 different ones .*: --samples 2$") as caught:
        sample_collection(store.collection(Address("notes")), 3)
    store.close()
    assert (caught.value.asked, caught.value.available) == (3, 2)


def test_a_collection_without_texts_is_told_another_way(tmp_path: Path) -> None:
    vectors = CORPUS.old_documents[:3].copy()
    vectors[2] = 0
    store = make_collection(tmp_path, [None, "", "one"], vectors)
    with pytest.raises(NotEnoughTextsError, match=r"2 records without text, .* 1 invalid vectors.*--texts FILE"):
        sample_collection(store.collection(Address("notes")), 2)
    store.close()


def test_more_than_the_usual_candidates_can_be_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_CANDIDATES", 100)
    store = make_collection(tmp_path, list(CORPUS.documents[:300]), CORPUS.old_documents[:300])
    collection = store.collection(Address("notes"))
    for k in (101, 299, 300):
        assert len(set(sample_collection(collection, k).texts)) == k
    with pytest.raises(NotEnoughTextsError, match="has 300 different ones"):
        sample_collection(collection, 301)
    store.close()


def test_a_large_collection_is_sampled_evenly_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_CANDIDATES", 100)
    monkeypatch.setattr(room, "PAGE_ROWS", 70)
    store = make_collection(tmp_path, list(CORPUS.documents), CORPUS.old_documents)
    rows: list[int] = []
    for seed in range(8):
        sample = sample_collection(store.collection(Address("notes")), 100, seed=seed)
        assert sample.report.usable == 1200
        rows += [CORPUS.documents.index(text) for text in sample.texts]
    store.close()
    # 800 draws of 1,200 rows: each third of the collection gets its third, within four standard deviations
    shares = np.histogram(rows, bins=3, range=(0, 1200))[0]
    assert np.abs(shares - 800 / 3).max() < 4 * (800 * 2 / 9) ** 0.5


def test_words_are_counted_over_the_whole_collection(tmp_path: Path) -> None:
    texts: list[str | None] = ["migrating birds", "migrates again", "migrates", "only once", "birds", None, "x", "y"]
    store = make_collection(tmp_path, texts, CORPUS.old_documents[:8])
    words = sample_collection(store.collection(Address("notes")), 2).words
    store.close()
    assert (list(words.words), list(words.counts), words.documents) == (["migrates", "birds"], [3, 2], 7)
