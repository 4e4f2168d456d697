"""What is expected of real searches grows with what held-out searches find, and is never certain."""

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


@given(ends=st.lists(shares, min_size=3, max_size=3).map(sorted))
def test_an_interval_is_never_narrower_than_the_formula_is_sure(ends: list[float]) -> None:
    low, value, high = ends
    said = BY_SENTENCES.estimate(QualityEstimate(value, low, high), QualityEstimate(0.5, 0.4, 0.6))
    sure = BY_SENTENCES.estimate(QualityEstimate(value, value, value), QualityEstimate(0.5, 0.5, 0.5))
    assert said.value == pytest.approx(sure.value)
    assert 0 <= said.low <= sure.low + 1e-12
    assert said.high >= sure.high - 1e-12
