"""What the log says of long steps, and that it says nothing of short ones."""

from __future__ import annotations

import itertools
import logging

import pytest

from lightmigrate.progress import LogProgress, Progress, together


def logged(caplog: pytest.LogCaptureFixture, seconds_each: float, *steps: Progress) -> list[str]:
    """The log of steps that are reported at equal times."""
    times = itertools.count()
    log = LogProgress(clock=lambda: next(times) * seconds_each)
    with caplog.at_level(logging.INFO, "lightmigrate"):
        for step in steps:
            log(step)
    return caplog.messages


def steps(name: str, reports: int, collection: str = "") -> list[Progress]:
    return [Progress(name, done, reports, collection) for done in range(reports + 1)]


def test_short_steps_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, 0.4, *steps("copy", 20), *steps("write", 20, "notes"), *steps("verify", 20, "notes")) == []


def test_a_long_step_is_logged_once_for_every_tenth_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(caplog, 0.2, *steps("copy", 10), *steps("write", 1000, "notes"))
    assert lines == [
        "write notes: 0 % in 10 s",
        *(f"write notes: {10 * tenth} % in {20 * tenth} s" for tenth in range(1, 11)),
    ]


def test_a_step_without_a_size_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, 30, Progress("copy", 0, 5), Progress("copy", 0, 0)) == ["copy: 100 % in 30 s"]


def test_many_collections_are_one_step(caplog: pytest.LogCaptureFixture) -> None:
    times = itertools.count()
    log = together(LogProgress(clock=lambda: float(next(times))), 120 * 4, 120)
    with caplog.at_level(logging.INFO, "lightmigrate"):
        for number, done in itertools.product(range(120), range(1, 5)):
            log(Progress("write", done, 4, f"file-{number}"))
    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == "write: 100 % in 479 s"
