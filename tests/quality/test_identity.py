"""Whose vectors are these, when the model can be asked: its own, a variant, other texts, another's, some of each."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.identity import identify
from lightmigrate.vectors import Vectors
from tests.encoders import shared_minilm, shared_wordllama

CORPUS = load_corpus()
TEXTS = CORPUS.documents[:60]
STORED = CORPUS.new_documents[:60]  # by all-MiniLM-L6-v2 in 32 bits
# The encoder is what takes time here: it reads the shortest only.
SHORTEST = sorted(range(60), key=lambda row: len(TEXTS[row]))[:25]


@functools.cache
def in_eight_bits() -> Vectors:
    """The shortest by the same model, its weights rounded; to be left as it is."""
    return shared_minilm().embed([TEXTS[row] for row in SHORTEST])


def turned(rows: Vectors, seed: int = 0) -> Vectors:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(rows.shape[1], rows.shape[1])))
    return np.asarray(rows @ turn, dtype=np.float32)


def test_the_same_vectors_however_they_are_stored() -> None:
    longer = STORED * np.linspace(1, 9, 60)[:, None]
    rounded = np.round(STORED / np.abs(STORED).max() * 127)
    for stored in (STORED, longer, STORED.astype(np.float16), rounded):
        found = identify(stored, STORED, metric="cosine")
        assert (found.verdict, found.same, found.share.value) == ("same", 60, 1.0)
        assert found.confidence > 0.9
        by_length = identify(stored, STORED, metric="l2")
        lengths_differ = stored is longer or stored is rounded
        assert by_length.verdict == ("form" if lengths_differ else "same")
        assert by_length.same == 60
    assert "60 of 60" in identify(STORED, STORED).reason


def test_eight_bit_weights_are_a_variant() -> None:
    found = identify(STORED[SHORTEST], in_eight_bits())
    assert (found.verdict, found.near + found.same, found.foreign) == ("variant", 25, 0)
    assert 0.99 < found.cosine < 0.9999


@pytest.mark.parametrize("change", ["passage: {}", "Library > Papers > 2024\n\n{}"])
def test_a_prefix_is_a_variant(change: str) -> None:
    found = identify(shared_minilm().embed([change.format(TEXTS[row]) for row in SHORTEST]), in_eight_bits())
    assert (found.verdict, found.foreign) == ("variant", 0)


def test_vectors_of_other_texts_are_of_this_space_all_the_same() -> None:
    found = identify(np.roll(STORED, 1, axis=0), STORED)
    assert (found.verdict, found.text, found.foreign) == ("texts", 60, 0)
    assert "not of the stored texts" in found.reason


def test_another_real_model_of_the_same_dimension() -> None:
    potion, wordllama = CORPUS.old_documents[:60], shared_wordllama().embed(TEXTS)
    assert potion.shape == wordllama.shape
    found = identify(potion, wordllama)
    assert (found.verdict, found.foreign, found.share.value) == ("other", 60, 0.0)
    assert found.share.high < 0.1
    assert abs(found.cosine - found.chance) < 0.1


def test_another_dimension_is_another_model() -> None:
    found = identify(CORPUS.old_documents[:10], STORED[:10])
    assert (found.verdict, found.confidence, found.foreign) == ("other", 1.0, 10)
    assert "256 numbers, this model makes 384" in found.reason


@pytest.mark.parametrize("others", [3, 20, 57])
def test_rows_of_two_models_are_told_apart_one_by_one(others: int) -> None:
    own = shared_wordllama().embed(TEXTS)
    rows = own.copy()
    rows[:others] = CORPUS.old_documents[:others]
    found = identify(rows, own)
    assert (found.verdict, found.same, found.foreign) == ("mixed", 60 - others, others)
    assert found.rows == ("foreign",) * others + ("same",) * (60 - others)
    assert found.share.low < (60 - others) / 60 < found.share.high
    assert f"{60 - others} of 60" in found.reason
    assert f"{others} are another's" in found.reason


def test_documents_that_were_edited_and_not_embedded_again_are_no_other_model() -> None:
    stored = CORPUS.new_documents[:200].copy()
    stored[:20] = CORPUS.new_documents[300:320]
    found = identify(stored, CORPUS.new_documents[:200])
    assert (found.verdict, found.same) == ("same", 180)
    assert found.text >= 19


def test_more_rows_are_more_certain() -> None:
    confidences = [identify(STORED[:n], STORED[:n]).confidence for n in (5, 20, 60)]
    assert confidences == sorted(confidences)
    assert confidences[0] < confidences[-1]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_what_means_nothing_is_left_out_and_counted(zeros: int, nans: int, empty: int) -> None:
    stored, recomputed, texts = STORED.copy(), STORED.copy(), list(TEXTS)
    stored[:zeros] = 0
    recomputed[zeros : zeros + nans, 3] = np.nan
    texts[zeros + nans : zeros + nans + empty] = [" "] * empty
    found = identify(stored, recomputed, texts)
    left = zeros + nans + empty
    assert (found.verdict, found.left_out, found.same) == ("same", left, 60 - left)
    assert np.isnan(found.cosines).sum() == left
    assert Counter(found.rows)["left out"] == left


def test_few_rows_say_nothing() -> None:
    found = identify(STORED[:4], STORED[:4])
    assert (found.verdict, found.confidence) == ("unknown", 0.0)
    assert identify(STORED[:0], STORED[:0]).verdict == "unknown"
    assert identify(STORED[:5], turned(STORED[:5])).verdict == "other"


def test_what_does_not_belong_together_is_refused() -> None:
    for stored, recomputed, texts in [
        (STORED, STORED[:9], None),
        (STORED, STORED, TEXTS[:9]),
        (STORED[0], STORED, None),
    ]:
        with pytest.raises(LightmigrateError, match="do not match"):
            identify(stored, recomputed, texts)


def test_no_text_stands_in_a_result() -> None:
    assert not any(text[:30] in str(identify(STORED, STORED, TEXTS)) for text in TEXTS)
