"""What an interval is put down to: the parts of the estimate that made it as wide as it is."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.cli.show.terminal import wide_by
from lightmigrate.quality.doing_nothing import ONLY_NEIGHBOURS, expected_of_nothing
from lightmigrate.quality.expectation import NOT_JUDGED
from lightmigrate.quality.gate import Gate, gate
from lightmigrate.quality.retention import EVERYTHING, UNKNOWN, QualityEstimate
from lightmigrate.results import read_as

CAUSES = st.dictionaries(st.sampled_from("abc"), st.floats(0.01, 1), max_size=3)


def estimate(ends: list[float], causes: dict[str, float]) -> QualityEstimate:
    low, value, high = sorted(ends)
    total = sum(causes.values())
    return QualityEstimate(value, low, high, {cause: share / total for cause, share in causes.items()})


ESTIMATES = st.builds(estimate, st.lists(st.floats(0, 1), min_size=3, max_size=3), CAUSES)


@given(ESTIMATES, ESTIMATES, st.floats(0, 1))
def test_a_mixture_is_as_wide_as_its_parts(one: QualityEstimate, other: QualityEstimate, share: float) -> None:
    mixed = one.mixed(other, share)
    assert mixed.high - mixed.low == pytest.approx(
        share * (one.high - one.low) + (1 - share) * (other.high - other.low), abs=1e-9
    )
    for cause in "abc":
        parts = share * one.widths.get(cause, 0) + (1 - share) * other.widths.get(cause, 0)
        assert mixed.widths.get(cause, 0) == pytest.approx(parts, abs=1e-9)
    named = one.mixed(other, share, "the rest")
    assert named == mixed
    assert named.widths.get("the rest", 0) == pytest.approx((1 - share) * (other.high - other.low), abs=1e-9)
    assert sum(named.wide_by.values()) <= 1 + 1e-9


@given(ESTIMATES, st.floats(0, 1), st.floats(0, 1))
def test_exact_records_take_their_part_of_the_loss_and_of_the_doubt(
    one: QualityEstimate, share: float, more: float
) -> None:
    assert one.when_exact(0) == one
    assert one.when_exact(1) == EVERYTHING
    some, most = one.when_exact(min(share, more)), one.when_exact(max(share, more))
    for fewer_exact, more_exact in zip(some.ends, most.ends, strict=True):
        assert fewer_exact - 1e-12 <= more_exact <= 1
    assert some.low <= some.value <= some.high
    assert most.high - most.low <= some.high - some.low + 1e-12
    if one.high - one.low > 0.01 and share < 0.99:
        exact = one.when_exact(share)
        assert exact.high > exact.low
        assert dict(exact.wide_by) == pytest.approx(dict(one.wide_by))


@given(ESTIMATES)
def test_causes_are_written_where_there_are_any(one: QualityEstimate) -> None:
    written = json.loads(json.dumps(one.to_json()))
    again = read_as(QualityEstimate, written)
    assert (again, dict(again.wide_by)) == (one, dict(one.wide_by))
    assert ("wide_by" in written) == bool(one.wide_by)
    assert read_as(QualityEstimate, {"value": 0.5, "low": 0.4, "high": 0.6}).wide_by == {}, "as earlier files have it"


def judged(documents: int, queries: int) -> Gate:
    """By queries near single documents; the noise of the projection is the same."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(documents, 16))
    own = rng.integers(0, documents, queries)
    return gate(
        true=true,
        projected=true + 3.0 * rng.normal(size=true.shape),
        queries=true[own] + 0.5 * rng.normal(size=(queries, 16)),
        taken_from=own.tolist(),
    )


def test_few_queries_make_the_measurement_the_reason_and_many_leave_what_nobody_judged() -> None:
    few, more, many = (judged(40, queries).expected_retention for queries in (6, 60, 3000))
    for expected, queries in ((few, "6"), (more, "60"), (many, "3,000")):
        measured = f"{queries} sentences were searched among 40 documents"
        assert set(expected.wide_by) == {measured, NOT_JUDGED}
        assert sum(expected.wide_by.values()) == pytest.approx(1)
    assert wide_by(few).startswith("6 sentences were searched among 40 documents")
    assert wide_by(many) == NOT_JUDGED
    shares = [expected.wide_by[NOT_JUDGED] for expected in (few, more, many)]
    assert all(before < after for before, after in pairwise(shares))


def test_doing_nothing_is_known_from_neighbours_alone() -> None:
    rng = np.random.default_rng(0)
    nothing = expected_of_nothing(rng.normal(size=(60, 8)), rng.normal(size=(60, 8)), "cosine", "cosine")
    assert wide_by(nothing) == ONLY_NEIGHBOURS


def test_a_narrow_interval_needs_no_reason_and_what_nobody_kept_account_of_gets_none() -> None:
    assert wide_by(QualityEstimate(0.9, 0.85, 0.95, {"a": 1.0})) == ""
    assert wide_by(QualityEstimate(0.5, 0.1, 0.9)) == ""
    assert wide_by(EVERYTHING) == ""
    assert wide_by(EVERYTHING.mixed(UNKNOWN, 0.7)) == "nobody judged how records without a text are projected"
    assert wide_by(QualityEstimate(0.5, 0.1, 0.9, {"a": 0.3, "b": 0.6, "c": 0.1})) == "b; a"
    assert "\x1b" not in wide_by(QualityEstimate(0.5, 0.1, 0.9, {"[red]\x1b": 1.0})), "a file may say anything"
