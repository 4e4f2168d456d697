"""Vectors of two models in one collection, found without either model; topics of one model are none."""

from __future__ import annotations

import numpy as np
import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.projection.vectors import Vectors
from lightmigrate.quality.mixture import find_mixture
from tests.encoders import shared_wordllama

CORPUS = load_corpus()
POTION, MINILM = CORPUS.old_documents, CORPUS.new_documents


def turned(rows: Vectors, seed: int = 0) -> Vectors:
    """The same geometry in another space: the hardest other model there is."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(rows.shape[1], rows.shape[1])))
    return np.asarray(rows @ turn, dtype=np.float32)


@pytest.mark.parametrize("rows", [POTION, MINILM, turned(MINILM), POTION[:100], 5 * MINILM], ids=str)
def test_one_model_is_no_mixture(rows: Vectors) -> None:
    assert find_mixture(rows) is None


def test_two_corpora_of_one_model_are_no_mixture() -> None:
    sentences = [sentence for text in CORPUS.documents[:300] for sentence in text.split(". ")[:1]]
    other = shared_wordllama().embed([f"def f(x): return x + {n} # {t[:12]}" for n, t in enumerate(sentences)])
    assert find_mixture(np.concatenate([shared_wordllama().embed(CORPUS.documents[:500]), other])) is None


@pytest.mark.parametrize("share", [0.5, 0.3, 0.2])
@pytest.mark.parametrize("model", ["potion", "minilm"])
def test_a_part_that_is_of_another_space_is_found_and_counted(model: str, share: float) -> None:
    rows = {"potion": POTION, "minilm": MINILM}[model][:1000].copy()
    part = int(share * len(rows))
    rows[:part] = turned(rows[:part])
    found = find_mixture(rows)
    assert found is not None
    assert found.rows == 1000
    assert abs(found.fewer - part) <= 20
    assert f"{found.fewer} of 1000 vectors" in str(found)


@pytest.mark.parametrize("part", [100, 300])
def test_two_real_models_of_one_dimension(part: int) -> None:
    rows = shared_wordllama().embed(CORPUS.documents[:1000])
    rows[-part:] = POTION[:part]
    found = find_mixture(rows)
    assert found is not None
    assert abs(found.fewer - part) <= 5


def test_few_rows_and_rows_that_mean_nothing() -> None:
    assert find_mixture(POTION[:99]) is None
    rows = np.concatenate([POTION[:300], np.zeros((50, 256), np.float32), np.full((50, 256), np.nan, np.float32)])
    assert find_mixture(rows) is None
    assert find_mixture(np.tile(POTION[:1], (200, 1))) is None
