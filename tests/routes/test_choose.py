"""The cheapest route that reaches a quality within limits; or why none, with commands that help."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate
from lightmigrate.routes.choose import choose
from lightmigrate.routes.goal import Goal
from lightmigrate.routes.route import Kind, Route


def route(
    kind: Kind, tokens: int, seconds: float, quality: float | None, dollars: float | None = 0.0, measured: bool = True
) -> Route:
    expected = None if quality is None else QualityEstimate(quality, quality - 0.02, quality + 0.02)
    return Route(kind, f"{kind} {tokens}", tokens, tokens, dollars, seconds, seconds, dollars, expected, measured)


NOTHING = replace(route("nothing", 0, 0, None, measured=False), seconds=0.0)
EVERY = replace(route("everything", 1000, 100, 1.0), expected=EVERYTHING)
QUICK = replace(EVERY, seconds=60.0, dollars=0.05)
LEARNED = route("learned", 100, 20, 0.7)
EXTRACTS = route("extracts", 300, 40, 0.96)


@pytest.mark.parametrize(("goal", "routes", "taken"), [
    (Goal(), (LEARNED, EXTRACTS, EVERY), EXTRACTS),
    (Goal(0.99), (LEARNED, EXTRACTS, EVERY), EVERY),
    (Goal(0.6), (LEARNED, EXTRACTS, EVERY), LEARNED),
    (Goal(0.6, max_seconds=10), (LEARNED, EXTRACTS, EVERY), None),
    (Goal(0.6, max_seconds=30), (LEARNED, EXTRACTS, EVERY), LEARNED),
    # less than a third is saved
    (Goal(), (replace(EXTRACTS, tokens=900, seconds=90.0), EVERY), EVERY),
    # everything takes little: `plan`, which compares all the same, says what `migrate` does
    (Goal(0.6), (LEARNED, EXTRACTS, QUICK), QUICK),
    (Goal(0.6), (LEARNED, EXTRACTS, replace(QUICK, dollars=0.06)), LEARNED),
    (Goal(0.6, max_seconds=30), (LEARNED, QUICK), LEARNED),
    # nobody measured it
    (Goal(), (replace(EXTRACTS, measured=False), EVERY), EVERY),
])  # fmt: skip
def test_the_cheapest_that_is_good_enough(goal: Goal, routes: tuple[Route, ...], taken: Route | None) -> None:
    assert choose((NOTHING, *routes), goal).route == taken


def test_tokens_decide_where_they_cost_money_and_seconds_where_they_do_not() -> None:
    few_slow, many_quick = route("extracts", 100, 50, 0.96), route("extracts", 300, 40, 0.96)
    assert choose((few_slow, many_quick, EVERY), Goal()).route == many_quick
    paid = [replace(one, dollars=one.tokens / 1000) for one in (few_slow, many_quick, EVERY)]
    assert choose(paid, Goal()).route == paid[0]
    unknown = [replace(one, dollars=None) for one in (few_slow, many_quick, EVERY)]
    assert choose(unknown, Goal()).route == unknown[0]
    assert choose(unknown, Goal(max_cost=100)).route is None, "a limit cannot be kept where no price is known"


def test_without_a_route_the_ways_out_are_said_with_both_numbers() -> None:
    paid = [replace(one, dollars=one.tokens / 1000) for one in (LEARNED, EXTRACTS, EVERY)]
    choice = choose((NOTHING, *paid), Goal(0.95, max_seconds=30, max_cost=0.2))
    assert choice.route is None
    assert "0.95" in choice.reason
    assert "within 30 s and $0.20" in choice.reason
    assert [way.options for way in choice.ways_out] == [
        ("--max-seconds", "40", "--max-cost", "0.30"),
        ("--quality", "0.70", "--max-seconds", "30", "--max-cost", "0.2"),
    ]
    assert choose((NOTHING,), Goal()).ways_out[0].options == ("--calibrate", "500")


def test_no_projection_is_taken_of_which_less_is_expected_than_of_doing_nothing() -> None:
    """It would make searches worse, unless somebody insists."""
    nothing = replace(NOTHING, expected=QualityEstimate(0.8, 0.4, 1.2))
    choice = choose((nothing, LEARNED, EVERY), Goal(0.6))
    assert choice.route == EVERY, "what everybody asked for is the new model, and all of it keeps more"
    assert "doing nothing, 0.80" in choice.reason
    assert choose((nothing, LEARNED, EXTRACTS, EVERY), Goal(0.6)).route == EXTRACTS
    assert choose((nothing, LEARNED, EVERY), Goal(0.6, even_below_nothing=True)).route == LEARNED
    limited = choose((nothing, LEARNED, EVERY), Goal(0.6, max_seconds=30))
    assert limited.route is None
    assert "more than doing nothing, of which 0.80 is expected" in limited.reason
    assert [way.options for way in limited.ways_out] == [
        ("--max-seconds", "100"),
        ("--quality", "0.70", "--max-seconds", "30", "--force"),
    ]


@given(
    st.sampled_from([None, 0.3, 0.9, 1.1]),
    st.lists(st.tuples(st.integers(1, 999), st.floats(1, 99), st.floats(0, 1)), max_size=6),
    st.floats(0.01, 1),
    st.one_of(st.none(), st.floats(0, 200)),
)
def test_what_is_taken_reaches_the_goal_and_ways_out_do_too(
    nothing: float | None, made: list[tuple[int, float, float]], quality: float, seconds: float | None
) -> None:
    kept = None if nothing is None else QualityEstimate(nothing, nothing, nothing)
    routes = [replace(NOTHING, expected=kept), *(route("learned", *one) for one in made), EVERY]
    choice = choose(routes, Goal(quality, seconds))
    if choice.route is not None:
        assert choice.route.kind != "nothing"
        assert choice.route.expected is not None
        assert choice.route.expected.value >= quality
        assert Goal(quality, seconds).allows(choice.route)
        return
    assert choice.ways_out
    for way in choice.ways_out:
        values = [option for option in way.options if option != "--force"]
        given_options = dict(zip(values[::2], values[1::2], strict=True))
        allowed = given_options.get("--max-seconds")
        goal = Goal(
            float(given_options.get("--quality", quality)),
            None if allowed is None else float(allowed) + 0.001,
            even_below_nothing="--force" in way.options,
        )
        assert choose(routes, goal).route is not None


@pytest.mark.parametrize("wrong", [{"quality": 0}, {"quality": 1.2}, {"max_seconds": -1}, {"max_cost": float("nan")}])
def test_a_goal_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LightmigrateError, match=r"--(quality|max-seconds|max-cost)"):
        Goal(wrong.get("quality", 0.95), wrong.get("max_seconds"), wrong.get("max_cost"))
