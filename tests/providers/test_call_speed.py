"""How fast a server embeds, from calls of different size, alone and at the same time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.providers.call_speed import NEWEST, CallSpeed, TimedCall

MOST, OF_CALL, OF_TOKEN = 4, 0.2, 0.001


def took(tokens: int) -> float:
    return OF_CALL + OF_TOKEN * tokens


def alone(*tokens: int, start: float = 0.0) -> list[TimedCall]:
    """Calls of so many tokens, and a hundredth as many texts, one after the other."""
    calls, now = list[TimedCall](), start
    for each in tokens:
        calls.append(TimedCall(max(1, each // 100), each, took(each), now))
        now += took(each) + 1.0
    return calls


def at_once(*tokens: int, processors: int, start: float = 100.0) -> list[TimedCall]:
    """Calls that were made at the same time, of a server that works on so many of them at a time."""
    free, calls = [start] * processors, list[TimedCall]()
    for each in tokens:
        begun = min(free)
        free[free.index(begun)] = begun + took(each)
        calls.append(TimedCall(max(1, each // 100), each, begun + took(each) - start, start))
    return calls


def test_a_call_and_its_tokens_are_told_apart() -> None:
    speed = CallSpeed.of(alone(100, 5000), MOST)
    assert speed is not None
    assert speed.of_call == pytest.approx(OF_CALL)
    assert speed.of_token == pytest.approx(OF_TOKEN)
    assert speed.at_once is None, "no calls were made at the same time"


@pytest.mark.parametrize(("processors", "expected"), [(1, 1.0), (2, 2.0), (MOST, MOST)])
def test_how_many_calls_are_answered_in_the_time_of_one_is_seen_from_such_calls(
    processors: int, expected: float
) -> None:
    speed = CallSpeed.of([*alone(100, 5000), *at_once(*[4000] * MOST, processors=processors)], MOST)
    assert speed is not None
    assert speed.at_once == pytest.approx(expected)
    assert speed.of_token == pytest.approx(OF_TOKEN), "what waited for others says nothing of a call"


def test_two_calls_at_once_tell_of_four() -> None:
    for processors, expected in ((1, 1.0), (2, MOST)):
        speed = CallSpeed.of([*alone(100, 5000), *at_once(4000, 4000, processors=processors)], MOST)
        assert speed is not None
        assert speed.at_once == pytest.approx(expected)


def test_a_first_call_that_waited_for_its_client_does_not_hide_what_tokens_take() -> None:
    started = TimedCall(1, 13, 3.3, 0.0)
    for later in (alone(100, 5000, start=10), alone(2000, start=10)):
        speed = CallSpeed.of([started, *later], MOST)
        assert speed is not None
        assert speed.of_call + 50_000 * speed.of_token == pytest.approx(took(50_000), rel=0.1)


def test_calls_of_one_size_tell_nothing() -> None:
    assert CallSpeed.of([], MOST) is None
    assert CallSpeed.of(alone(500, 500, 500), MOST) is None


def test_the_newest_calls_tell() -> None:
    slower = [TimedCall(50, 5000, 10 * took(5000), 1000.0 + 100 * number) for number in range(NEWEST)]
    speed = CallSpeed.of([*alone(100, 5000, 5000), *slower], MOST)
    assert speed is not None
    assert speed.of_call + 5000 * speed.of_token == pytest.approx(10 * took(5000), rel=0.05)


@given(
    st.lists(
        st.builds(
            TimedCall,
            st.integers(1, 1000),
            st.integers(1, 10**6),
            st.floats(0, 1e3),
            st.floats(0, 1e6),
        ),
        max_size=80,
    ),
    st.integers(2, 8),
)
def test_whatever_was_seen_nothing_is_less_than_nothing_or_more_than_is_asked(
    calls: list[TimedCall], most: int
) -> None:
    if (speed := CallSpeed.of(calls, most)) is not None:
        assert min(speed.of_call, speed.of_token) >= 0
        assert speed.at_once is None or 1 <= speed.at_once <= most
