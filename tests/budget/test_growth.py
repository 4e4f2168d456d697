"""What a plan foresees of more documents than it measured with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.budget.quality_estimator import MOST_FITTED, typical_growth, with_odds


def test_what_is_expected_grows_more_slowly_with_many_documents() -> None:
    assert typical_growth(100, 200) == typical_growth(200, 400) == 0.8
    powers = [typical_growth(few, 2 * few) for few in (400, 800, 1600, 3200)]
    assert powers == sorted(powers, reverse=True)
    assert powers[-1] < 0.4 < powers[0]


@given(st.floats(0.01, 0.99), st.integers(20, MOST_FITTED), st.integers(0, MOST_FITTED), st.integers(0, MOST_FITTED))
def test_never_less_is_expected_of_more_documents(kept: float, first: int, more: int, yet_more: int) -> None:
    few, many = sorted(min(MOST_FITTED, first + each) for each in (more, yet_more))
    expected = [with_odds(kept, (number / first) ** typical_growth(first, number)) for number in (first, few, many)]
    assert expected == pytest.approx(sorted(expected), abs=1e-9)
