"""Which rows say something, whatever their size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.vectors import meaningful
from tests.projection.strategies import examples

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -2.5, 1e-45, -1e-30, 1e30, -3e38, np.inf, -np.inf, np.nan])


@examples
@given(rows=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), max_size=6))
def test_rows_mean_something_when_finite_and_not_all_zero(rows: list[list[float]]) -> None:
    vectors = np.array(rows, dtype=np.float32).reshape(len(rows), 3)
    expected = [bool(np.isfinite(row).all() and row.any()) for row in vectors]
    assert meaningful(vectors).tolist() == expected


def test_vectors_without_numbers_mean_nothing() -> None:
    assert meaningful(np.zeros((2, 0), np.float32)).tolist() == [False, False]
