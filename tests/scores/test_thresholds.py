"""What a threshold corresponds to in another space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate.errors import LightmigrateError
from lightmigrate.scores.distances import Distances, random_pairs
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.thresholds import ThresholdShift, corresponding
from lightmigrate.stores.base import Address
from lightmigrate.vectors import Metric


def measured(seed: int = 0, samples: int = 60, metric: Metric = "cosine", **changes: Any) -> Distances:
    """Distances of neighbours between about .1 and .5, and of random records around .8."""
    rng = np.random.default_rng(seed)
    near = np.sort(rng.uniform(0.1, 0.5, (samples, 10)), axis=1).astype(np.float32)
    random = rng.uniform(0.6, 1.0, (samples, 5)).astype(np.float32)
    return Distances(metric, near, random)


def moved(distances: Distances, scale: float, shift: float) -> Distances:
    return Distances(
        distances.metric,
        (distances.neighbours * scale + shift).astype(np.float32),
        (distances.random * scale + shift).astype(np.float32),
    )


def one(threshold: float, before: Distances, now: Distances) -> ThresholdShift:
    (found,) = corresponding([threshold], [(before, now)])
    return found


def test_a_space_that_is_stretched_stretches_the_threshold() -> None:
    before = measured()
    for threshold in (0.15, 0.25, 0.4, 0.7, 0.9):
        found = one(threshold, before, moved(before, 2, 0.1))
        assert found.now == pytest.approx(2 * threshold + 0.1, abs=1e-5)
        assert found.low == pytest.approx(found.high, abs=1e-4), "every sample says the same"
        assert found.outside == ""
        assert found.share == found.share_now == np.mean(before.neighbours <= threshold)
        assert found.random == found.random_now == np.mean(before.random <= threshold)


def test_another_space_with_known_quantiles() -> None:
    """Of 10 neighbours at .1, .2, … 1 and at 1, 4, 9 … 100, the threshold .5 lets half through, and so does 25."""
    steps = np.arange(1, 11, dtype=np.float32)
    before = Distances("cosine", np.tile(steps / 10, (20, 1)), np.zeros((20, 0), np.float32))
    now = Distances("l2", np.tile(steps**2, (20, 1)), np.zeros((20, 0), np.float32))
    found = one(0.5, before, now)
    assert found.now == pytest.approx(25)
    assert (found.share, found.share_now, found.random) == (0.5, 0.5, None)
    assert (found.similarity, found.similarity_now) == (0.5, None)
    assert found.unchanged == 0
    assert one(0.55, before, now).now == pytest.approx((25 + 36) / 2, rel=1e-5)


def test_what_lets_everything_or_nothing_through_is_said() -> None:
    before = measured()
    now = moved(before, 0.5, 0.1)
    nothing, everything = corresponding([0.01, 1.5], [(before, now)])
    assert (nothing.outside, nothing.share, everything.outside, everything.share) == ("nothing", 0, "everything", 1)
    assert nothing.now == pytest.approx(now.neighbours.min())
    assert everything.now == pytest.approx(now.random.max(), abs=1e-5)
    assert one(0.55, before, now).share == 1


def test_equal_distances_are_let_through_together() -> None:
    before = Distances("cosine", np.full((10, 4), 0.25, np.float32), np.zeros((10, 0), np.float32))
    now = measured(1, 10)
    found = one(0.25, before, now)
    assert (found.share, found.share_now) == (1, 1)
    assert found.now == pytest.approx(now.neighbours.max())


def test_the_interval_is_narrow_where_much_was_measured() -> None:
    few, many = (
        one(0.3, measured(1, samples), measured(2, samples))
        for samples in (10, 400)
    )  # fmt: skip
    assert few.low < few.now < few.high
    assert many.high - many.low < 0.4 * (few.high - few.low)


def test_collections_are_pooled() -> None:
    pairs = [(measured(seed, 5), moved(measured(seed, 5), 3, 0)) for seed in range(30)]
    assert corresponding([0.3], pairs)[0].now == pytest.approx(0.9, abs=1e-4)
    many = [(measured(seed, 200), moved(measured(seed, 200), 3, 0)) for seed in range(15)]
    assert corresponding([0.3], many)[0].now == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_threshold_is_a_number(wrong: float) -> None:
    with pytest.raises(LightmigrateError, match=r"is not a threshold: .*such as \.25"):
        one(wrong, measured(), measured())


def table(values: list[float]) -> Any:
    """Whole rows of four, ascending; at least one."""
    return np.sort(np.array(values, np.float32).reshape(-1, 4), axis=1)


TABLES = st.integers(1, 12).flatmap(
    lambda samples: st.tuples(
        *[st.lists(st.floats(0, 2, width=16), min_size=4 * samples, max_size=4 * samples).map(table)] * 4
    )
)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.lists(st.floats(-0.5, 3), min_size=1, max_size=6))
def test_a_larger_threshold_never_corresponds_to_a_smaller_one(tables: Any, thresholds: list[float]) -> None:
    before, now = Distances("l2", tables[0], tables[1]), Distances("l2", tables[2], tables[3])
    found = [each.now for each in corresponding(sorted(thresholds), [(before, now)])]
    assert found == sorted(found)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.floats(0, 2))
def test_nothing_moved_nothing_corresponds_to_another(tables: Any, threshold: float) -> None:
    distances = Distances("cosine", tables[0], tables[1])
    found = one(threshold, distances, distances)
    if not found.outside:
        assert found.now == pytest.approx(threshold, abs=1e-6)
        assert found.low <= found.now <= found.high
    assert found.share == found.share_now


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.5))
def test_the_share_is_kept(seed: int, threshold: float) -> None:
    before, now = measured(seed), measured(seed + 1)
    found = one(threshold, before, now)
    assert found.share_now == pytest.approx(found.share, abs=1.5 / before.neighbours.size)


def test_random_pairs_are_of_different_records() -> None:
    for count in (1, 2, 3, 7, 200):
        pairs = random_pairs(count)
        assert len(pairs) == count
        assert all(row not in others and len(set(others)) == len(others) for row, others in enumerate(pairs))
    assert random_pairs(1) == [[]]


def test_samples_without_a_distance_are_left_out() -> None:
    before, now = measured(0, 5), measured(1, 5)
    before.neighbours[2, 3] = np.inf
    now.random[4, 0] = np.nan
    shift = ScoreShift.of(Address("notes"), before, now)
    assert shift is not None
    assert (shift.samples, len(shift.before), len(shift.now)) == (3, 3, 3)
    assert ScoreShift.of(Address("notes"), None, now) is None
    assert ScoreShift.of(Address("notes"), before.rows([]), now.rows([])) is None
