"""Whose vectors are these, when the model can be asked: the same, a variant, another one, or some of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import DimensionError
from lightmigrate.demo.data import load_corpus
from lightmigrate.quality.identity import identify, wilson
from tests.encoders import shared_minilm, shared_wordllama

CORPUS = load_corpus()
TEXTS = CORPUS.documents[:40]
STORED = CORPUS.new_documents[:40]  # by all-MiniLM-L6-v2 in 32 bits


def test_the_same_model_at_another_precision_is_the_same_or_a_variant() -> None:
    """The stored vectors are of the model in 32 bits, this one has 8."""
    found = identify(STORED, shared_minilm().embed(TEXTS))
    assert found.verdict in ("same", "variant")
    assert (found.agreeing, found.left_out) == (40, 0)
    assert identify(STORED * np.float32(3), STORED).verdict == "same", "lengths do not matter"


def test_another_part_of_the_text_is_a_variant() -> None:
    found = identify(STORED, shared_minilm().embed([text[: len(text) // 2] for text in TEXTS]))
    assert (found.verdict, found.agreeing) == ("variant", 40)


def test_another_model_of_the_same_dimension() -> None:
    potion, wordllama = CORPUS.old_documents[:40], shared_wordllama().embed(TEXTS)
    assert potion.shape == wordllama.shape
    found = identify(potion, wordllama)
    assert (found.verdict, found.agreeing) == ("other", 0)
    assert abs(found.cosine) < 0.3
    assert found.share[1] < 0.1


@pytest.mark.parametrize("others", [2, 20, 38])
def test_rows_of_two_models_are_mixed_and_counted(others: int) -> None:
    rows = shared_wordllama().embed(TEXTS)
    rows[:others] = CORPUS.old_documents[:others]
    found = identify(rows, shared_wordllama().embed(TEXTS))
    assert (found.verdict, found.documents, found.agreeing) == ("mixed", 40, 40 - others)
    assert found.share[0] < (40 - others) / 40 < found.share[1]
    assert f"{40 - others} of 40" in found.reason


def test_one_edited_document_is_not_another_model() -> None:
    rows = STORED.copy()
    rows[7] = STORED[8]
    assert identify(rows, STORED).verdict == "same"


def test_what_means_nothing_is_left_out_and_few_say_nothing() -> None:
    rows = STORED.copy()
    rows[0], rows[1, 3] = 0, np.nan
    found = identify(rows, STORED)
    assert (found.verdict, found.documents, found.left_out) == ("same", 38, 2)
    assert identify(STORED[:7], STORED[:7]).verdict == "unknown"
    assert identify(rows[:1], STORED[:1]).share == (0.0, 1.0)


def test_another_dimension_cannot_be_compared() -> None:
    with pytest.raises(DimensionError, match=r"\(40, 384\) and recomputed ones \(40, 256\)"):
        identify(STORED, shared_wordllama().embed(TEXTS))


@given(st.integers(1, 1000), st.floats(0, 1))
def test_wilsons_interval_holds_the_share(n: int, share: float) -> None:
    hits = round(share * n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
