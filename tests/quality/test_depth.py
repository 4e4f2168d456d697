"""What is shared among the first of few says what is shared among the first of many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lightmigrate.quality.depth import gain_in_collection, shared, to_collection_size


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


def test_the_gain_of_a_document_is_foreseen_from_a_part_of_the_collection() -> None:
    """The ranks of 2,000 queries' own documents among 1,000; what 100 of these tell is the same on average."""
    rng = np.random.default_rng(0)
    nearer = np.floor(np.exp(rng.normal(0.5, 2.0, 2000)) - 0.5).clip(0, 998)
    whole = gain_in_collection(nearer, 1000, 1000)
    part = gain_in_collection(
        rng.hypergeometric(nearer.astype(int), 998 - nearer.astype(int), 99).astype(float), 100, 1000
    )
    np.testing.assert_allclose(whole[nearer < 10], 1 / np.log2(nearer[nearer < 10] + 2))
    assert not whole[nearer >= 10].any()
    assert part.mean() == pytest.approx(whole.mean(), abs=0.06)


def test_the_more_documents_are_unseen_the_less_is_gained() -> None:
    gains = [gain_in_collection(np.arange(30.0), 100, size) for size in (100, 101, 300, 3000, 300_000)]
    for small, large in pairwise(gains):
        assert (large <= small + 1e-9).all()
        assert (np.diff(large) <= 1e-9).all()  # and the lower a document ranks
