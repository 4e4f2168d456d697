"""What is expected grows with what held-out searches find, and is certain only where all neighbours stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.quality.expectation import NOT_KNOWN
from lightmigrate.quality.gate import BY_SENTENCES, BY_USERS
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate

shares = st.floats(0, 1)


@given(found=shares, overlap=shares, more=shares)
def test_the_more_is_found_the_more_is_expected(found: float, overlap: float, more: float) -> None:
    for expectation in (BY_SENTENCES, BY_USERS):
        value = expectation.retention(found, overlap)
        assert 0 <= value <= 1
        assert expectation.retention(max(found, more), overlap) >= value
        assert expectation.retention(found, max(overlap, more)) >= value


def test_what_is_as_good_as_the_new_model_is_certain() -> None:
    assert BY_SENTENCES.estimate(EVERYTHING, EVERYTHING) == EVERYTHING
    assert BY_USERS.estimate(NOT_KNOWN, EVERYTHING) == EVERYTHING


@given(found=shares, overlap=shares)
def test_only_the_same_neighbours_make_it_certain(found: float, overlap: float) -> None:
    for expectation in (BY_SENTENCES, BY_USERS):
        said = expectation.estimate(QualityEstimate(found, found, found), QualityEstimate(overlap, overlap, overlap))
        assert 0 <= said.low <= said.value <= said.high
        if overlap < 0.999:
            assert said.low < said.value < said.high or said.value == said.low == 0
            assert said.high - said.low > 0.1 * (1 - overlap)


def test_sentences_that_all_find_their_own_documents_are_not_enough() -> None:
    """16,000 chunks of abstracts, static to MiniLM, by 4,000 calibration documents and by 1,000, judged by people."""
    for found, overlap, kept in ((1.0, 0.480, 0.84), (0.976, 0.480, 0.84), (0.924, 0.387, 0.73)):
        said = BY_SENTENCES.estimate(QualityEstimate(found, found, found), QualityEstimate(overlap, overlap, overlap))
        assert said.low < kept < said.high
        assert said.high - said.low > 0.1


def test_more_than_all_that_is_found_counts_as_all() -> None:
    assert BY_SENTENCES.retention(1.1, 0.5) == BY_SENTENCES.retention(1.0, 0.5) < 1


@given(ends=st.lists(shares, min_size=3, max_size=3).map(sorted))
def test_an_interval_is_never_narrower_than_the_formula_is_sure(ends: list[float]) -> None:
    low, value, high = ends
    said = BY_SENTENCES.estimate(QualityEstimate(value, low, high), QualityEstimate(0.5, 0.4, 0.6))
    sure = BY_SENTENCES.estimate(QualityEstimate(value, value, value), QualityEstimate(0.5, 0.5, 0.5))
    assert said.value == pytest.approx(sure.value)
    assert 0 <= said.low <= sure.low + 1e-12
    assert said.high >= sure.high - 1e-12
