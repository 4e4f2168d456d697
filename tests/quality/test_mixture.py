"""Vectors of two models in one collection, found without either model; topics of one model are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate.demo.data import load_corpus, load_projection
from lightmigrate.quality.mixture import find_mixture
from lightmigrate.quality.topics import cut_into_topics
from lightmigrate.vectors import Vectors
from tests.encoders import shared_minilm, shared_wordllama

CORPUS = load_corpus()
POTION, MINILM = CORPUS.old_documents, CORPUS.new_documents


def turned(rows: Vectors, seed: int = 0) -> Vectors:
    """The same geometry in another space: the hardest other model there is."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(rows.shape[1], rows.shape[1])))
    return np.asarray(rows @ turn, dtype=np.float32)


@pytest.mark.parametrize("rows", [POTION, MINILM, turned(MINILM), MINILM[:100]], ids=str)
def test_one_model_is_no_mixture(rows: Vectors) -> None:
    assert find_mixture(rows) is None


@pytest.mark.parametrize("dimension", [64, 128])
def test_few_rows_of_one_static_model_are_no_mixture(dimension: int) -> None:
    """Rows too few to tell along which directions they vary: only their common mean shows that they are one model's."""
    rows = shared_wordllama().embed(CORPUS.documents[:1190])[:, :dimension]
    starts = range(0, 1120, 35)
    assert [find_mixture(rows[start : start + 60 + start % 15]) for start in starts] == [None] * len(starts)


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_two_models_are_found_among_few_rows(share: float) -> None:
    """Their means are no closer than chance explains, even if some rows are in the wrong part."""
    mixed, part = MINILM[:80].copy(), int(share * 80)
    mixed[:part] = turned(mixed[:part])
    found = find_mixture(mixed)
    assert found is not None
    wrong = float(np.mean((np.array(found.labels) == 0) != (np.arange(80) < part)))
    assert min(wrong, 1 - wrong) < 0.05


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1, 0.05])
@pytest.mark.parametrize("rows", [POTION, MINILM], ids=["potion", "minilm"])
def test_a_part_that_is_of_another_space_is_found_row_by_row(rows: Vectors, share: float) -> None:
    mixed = rows[:1000].copy()
    part = int(share * len(mixed))
    mixed[:part] = turned(mixed[:part])
    found = find_mixture(mixed)
    assert found is not None
    assert found.counts == tuple(np.bincount(found.labels))
    truth = np.arange(1000) < part
    wrong = min(np.sum((np.array(found.labels) == 1) != truth), np.sum((np.array(found.labels) == 0) != truth))
    assert len(found.counts) == 2
    assert wrong <= 5
    assert 0.9 < found.likeness < 1.2 < 1.5 < found.own
    assert f"{found.counts[0]} and {found.counts[1]}" in str(found)


@pytest.mark.parametrize("part", [100, 300])
def test_two_real_models_of_one_dimension(part: int) -> None:
    rows = shared_wordllama().embed(CORPUS.documents[:1000])
    rows[-part:] = POTION[:part]
    found = find_mixture(rows)
    assert found is not None
    assert abs(found.counts[1] - part) <= 5


def test_three_models() -> None:
    rows = np.concatenate([MINILM[:400], turned(MINILM[:300], 1), turned(MINILM[400:600], 2)])
    found = find_mixture(rows)
    assert found is not None
    assert np.abs(np.array(found.counts) - [400, 300, 200]).max() <= 5


def test_rows_that_were_mapped_are_of_the_model_they_were_mapped_to() -> None:
    mapped = load_projection().apply(POTION[:300], CORPUS.documents[:300])
    assert find_mixture(np.concatenate([MINILM[300:], mapped])) is None


def odd_texts() -> dict[str, list[str]]:
    rng = np.random.default_rng(0)
    words = ["ok", "yes", "no", "thanks", "lol", "sure", "hi", "bye", "maybe", "later"]
    endings = ["!", ".", "?", "man", "please", ":)", "...", "then", "now", "again"]
    return {
        "chat": [f"{word} {ending}" for word in words for ending in endings],
        "dates": [f"{1990 + n % 34}-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(100)],
        "links": [f"https://{'abcd'[n % 4]}.com/{('item', 'post', 'user')[n % 3]}/{n * 37}" for n in range(100)],
        "numbers": [" ".join(map(str, rng.integers(0, 10**6, 3 + n % 15))) for n in range(100)],
        "code": [f"def get_{n}(self):\n    return self.values[{n * 7}]" for n in range(100)],
    }


@pytest.mark.parametrize("kind", odd_texts())
def test_odd_texts_of_one_model_are_no_other_model(kind: str) -> None:
    """The documents are the model's in 32 bits, the odd texts its in 8, which is no other model either."""
    odd = shared_minilm().embed(odd_texts()[kind])
    for few in (20, 50, 100):
        assert find_mixture(np.concatenate([MINILM[: 500 - few], odd[:few]])) is None


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_neither_lengths_nor_order_nor_what_means_nothing_nor_what_is_there_twice_matters(data: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    part = data.draw(st.sampled_from([0, 60, 200]))
    rows = np.concatenate([MINILM[: 400 - part], turned(MINILM[:part], 5)])
    rows = rows * rng.uniform(0.1, 9, (len(rows), 1)).astype(np.float32)
    truth = np.arange(400) >= 400 - part
    nothing = np.zeros((data.draw(st.integers(0, 40)), 384), np.float32)
    nothing[::2] = np.nan
    again = rng.integers(0, 400 - part, data.draw(st.sampled_from([0, 500])))
    rows, truth = np.concatenate([rows, nothing, rows[again]]), np.concatenate([truth, nothing[:, 0] > 1, truth[again]])
    order = rng.permutation(len(rows))
    found = find_mixture(rows[order])
    if not part:
        assert found is None
        return
    assert found is not None
    labels = np.array(found.labels)
    assert found.invalid == len(nothing) == np.sum(labels == -1)
    assert np.mean((labels == 1)[labels >= 0] != truth[order][labels >= 0]) < 0.02


def test_few_rows_say_nothing() -> None:
    assert find_mixture(np.concatenate([MINILM[:29], turned(MINILM[:30])])) is None
    assert find_mixture(np.tile(POTION[:1], (200, 1))) is None
    assert find_mixture(np.empty((0, 8), np.float32)) is None


def test_vectors_that_use_all_directions_alike_say_nothing() -> None:
    assert find_mixture(np.random.default_rng(0).normal(size=(500, 64))) is None


def test_topics_are_of_one_model_each() -> None:
    rows = np.concatenate([MINILM[:250], turned(MINILM[:250])])
    topics = cut_into_topics(rows, 30)
    assert 4 <= topics.max() + 1 <= 30
    assert np.isin(np.unique(topics), np.arange(topics.max() + 1)).all()
    shares = [np.mean(np.flatnonzero(topics == topic) < 250) for topic in np.unique(topics)]
    assert np.mean([share in (0, 1) for share in shares]) > 0.9


@pytest.mark.parametrize("dimension", [2, 8, 31, 64, 384])
def test_numbers_by_chance_are_no_mixture(dimension: int) -> None:
    """In two dimensions every topic has a direction of its own."""
    rows = np.random.default_rng(dimension).normal(size=(500, dimension)).astype(np.float32)
    assert find_mixture(rows) is None
