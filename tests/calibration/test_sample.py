"""Medoids and frequent words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate import NotEnoughTextsError
from lightmigrate.calibration import words as room
from lightmigrate.calibration.sample import diverse_sample
from lightmigrate.calibration.words import WordCounter
from lightmigrate.demo.data import load_corpus


@given(st.integers(1, 60), st.data(), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_as_many_different_rows_as_asked_for(n: int, data: st.DataObject, seed: int) -> None:
    k = data.draw(st.integers(1, n))
    kinds = data.draw(st.integers(1, n))  # many rows may be equal
    vectors = np.random.default_rng(seed).normal(size=(kinds, 3)).astype(np.float32)[np.arange(n) % kinds]
    rows = diverse_sample(vectors, k, seed)
    assert len(set(rows.tolist())) == k
    assert list(rows) == sorted(rows)
    np.testing.assert_array_equal(rows, diverse_sample(vectors, k, seed))


def test_clear_clusters_are_all_represented() -> None:
    rng = np.random.default_rng(0)
    centres = 50 * rng.normal(size=(6, 8))
    vectors = (centres[np.arange(300) % 6] + rng.normal(size=(300, 8))).astype(np.float32)
    found = [len(set((diverse_sample(vectors, 12, seed) % 6).tolist())) for seed in range(5)]
    assert np.mean(found) > 5.5


def test_medoids_stand_for_the_others_better_than_random_rows() -> None:
    vectors = load_corpus().old_documents

    def distance(rows: np.typing.NDArray[np.int64]) -> float:
        return float(np.mean(1 - np.max(vectors @ vectors[rows].T, axis=1)))

    for seed in range(3):
        random = np.random.default_rng(seed).permutation(len(vectors))[:100]
        assert distance(diverse_sample(vectors, 100, seed)) < distance(random)


def test_more_rows_than_there_are_is_refused() -> None:
    with pytest.raises(NotEnoughTextsError, match="5 rows to choose from 4"):
        diverse_sample(np.ones((4, 2), np.float32), 5)


def test_each_stem_is_represented_by_its_most_frequent_word() -> None:
    counter = WordCounter()
    for text in ["Vaccines, vaccine; vaccine!", "vaccine née", "NÉE x", "vaccinate once", "the x", "x", "x"]:
        counter.add(text)
    found = counter.frequent()  # `x` stands in more than half of them, `once` and `the` in one only
    assert dict(zip(found.words, found.counts, strict=True)) == {"vaccine": 3, "née": 2}
    assert (list(found.words), found.documents) == (["vaccine", "née"], 7)
    assert list(counter.frequent(1).words) == ["vaccine"]


def test_words_seen_once_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_COUNTED", 50)
    counter = WordCounter()
    for row in range(200):
        counter.add(f"u{row:04} often" + " also" * (row % 2))
        assert len(counter._words) <= 51
    assert list(counter.frequent().words) == ["also"]
