"""What is shared among the first of few says what is shared among the first of many."""

from __future__ import annotations

import numpy as np
import pytest

from lightmigrate.quality.depth import shared, to_collection_size


@pytest.mark.parametrize(("correlation", "depth"), [(0.5, 0.1), (0.8, 0.01), (0.95, 0.2)])
def test_the_share_is_that_of_normal_scores(correlation: float, depth: float) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=400_000)
    other = correlation * one + np.sqrt(1 - correlation**2) * rng.normal(size=len(one))
    first = round(depth * len(one))
    drawn = len(np.intersect1d(np.argsort(-one)[:first], np.argsort(-other)[:first])) / first
    assert shared(correlation, depth) == pytest.approx(drawn, abs=0.02)


def test_the_ends_are_chance_and_everything() -> None:
    assert shared(0, 0.1) == pytest.approx(0.1)
    assert shared(1, 0.1) == 1
    assert to_collection_size(1.0, 0.1, 0.001) == 1
    assert to_collection_size(0.1, 0.1, 0.001) == pytest.approx(0.001)
    assert to_collection_size(0.0, 0.1, 0.001) == 0


def test_it_comes_back_from_another_depth() -> None:
    assert to_collection_size(0.6, 0.1, 0.1) == 0.6
    deep = to_collection_size(0.6, 0.1, 0.002)
    assert deep < 0.6
    assert to_collection_size(deep, 0.002, 0.1) == pytest.approx(0.6, abs=1e-4)


def test_more_shared_here_is_more_shared_there() -> None:
    found = [to_collection_size(overlap, 0.15, 0.002) for overlap in np.linspace(0.05, 1, 20)]
    assert found == sorted(found)
