"""Medoids and frequent words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.training import diverse_sample as sampling
from lightmigrate.training import frequent_words as room
from lightmigrate.training.diverse_sample import diverse_sample
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.vectors import Vectors


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
    with pytest.raises(NotEnoughTextsError, match="5 rows are needed, there are 4"):
        diverse_sample(np.ones((4, 2), np.float32), 5)


@pytest.mark.parametrize("k", [0, -1])
def test_less_than_a_row_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1 row"):
        diverse_sample(np.ones((4, 2), np.float32), k)


@pytest.mark.parametrize("k", [10, 50, 70, 300])
def test_of_very_many_rows_some_are_looked_at(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, nearest = [0], sampling._nearest

    def count_rows(vectors: Vectors, centres: Vectors) -> tuple[sampling.Rows, Vectors]:
        seen.append(len(vectors))
        return nearest(vectors, centres)

    monkeypatch.setattr(sampling, "MOST_ROWS", 50)
    monkeypatch.setattr(sampling, "_nearest", count_rows)
    vectors = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    rows = diverse_sample(vectors, k, seed=1)
    assert (len(set(rows.tolist())), list(rows)) == (k, sorted(rows))
    np.testing.assert_array_equal(rows, diverse_sample(vectors, k, seed=1))
    assert rows.max() > 200  # from anywhere, not from the first rows
    assert max(seen) <= 50


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


def test_rare_words_are_forgotten_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    forget, times = room._drop_rare, []

    def count_times(counter: Counter[str]) -> None:
        times.append(len(counter))
        forget(counter)

    monkeypatch.setattr(room, "MOST_COUNTED", 50)
    monkeypatch.setattr(room, "_drop_rare", count_times)
    counter = WordCounter()
    for row in range(400):  # every word stands in two documents, so that none is seen only once
        counter.add(f"{row // 2:05} often" + " also" * (row % 2))
        assert max(len(counter._words), len(counter._stems)) <= 50
    assert len(times) <= 2 * 200 / 25  # two counters, 200 words, at least 25 places made free each time
    assert counter.frequent().words[0] == "also"


def test_the_most_frequent_half_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_COUNTED", 50)
    counter = Counter({str(count): count for count in range(1, 52)})
    room._drop_rare(counter)
    assert sorted(counter.values()) == list(range(27, 52))
