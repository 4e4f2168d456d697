"""A model that is busy is asked again after a pause, also one that an application's function calls."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import BusyError
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.refusals import seconds_to_wait
from lightmigrate.startup.target_model import TimedProvider
from lightmigrate.training.limits import Deadline


class RateLimitError(Exception):
    """As the openai package's."""

    status_code = 429


class Busy:
    """An embedding function that is busy at its first calls."""

    def __init__(self, times: int, message: str = "Rate limit reached for requests; try again in 20s") -> None:
        self.times, self.message, self.calls = times, message, 0

    def __call__(self, texts: list[str]) -> list[Any]:
        self.calls += 1
        if self.calls <= self.times:
            raise RateLimitError(self.message)
        return [np.array([len(text), 1.0], np.float32) for text in texts]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("lightmigrate.providers.busy.time.sleep", waited.append)
    return waited


def test_a_function_that_is_busy_is_called_again(pauses: list[float], caplog: pytest.LogCaptureFixture) -> None:
    function = Busy(3)
    with caplog.at_level(logging.INFO, "lightmigrate"):
        assert ChromaProvider(function).embed(["a", "bcd"]).tolist() == [[1, 1], [3, 1]]
    assert pauses == [20, 20, 20]
    assert "Busy is busy: trying again in 20 s, 1 of 6 times" in caplog.text


def test_a_model_that_does_not_say_how_long_is_waited_for_longer_each_time(pauses: list[float]) -> None:
    function = Busy(99, "too many requests")
    with pytest.raises(BusyError, match="it was busy at 7 of 7 tries, in 0 s: go on later"):
        ChromaProvider(function).embed(["a"])
    assert function.calls == 7
    for pause, most in zip(pauses, [0.5, 1, 2, 4, 8, 8], strict=True):
        assert 0.75 * most <= pause <= most


def test_nothing_is_waited_for_beyond_the_deadline(pauses: list[float]) -> None:
    function = Busy(99)
    started = time.monotonic()
    with pytest.raises(BusyError, match="it was busy at 1 of 7 tries, in 0 s: go on later"):
        TimedProvider(function, Deadline(10)).embed(["a"])
    assert not pauses
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 20s.", 20),
        ("Please try again in 1m20.5s. Visit", 80.5),
        ("try again in 350ms", 0.35),
        ("retry after 12 seconds", 12),
        ("try again in 2 minutes", 120),
        ("try again in a moment", None),
        ("try again later", None),
    ],
)
def test_how_long_a_message_says_to_wait(message: str, seconds: float | None) -> None:
    assert seconds_to_wait(RateLimitError(message)) == seconds
