"""What is the same by content is fitted once, and what it took is known wherever it is handed on."""

from __future__ import annotations

import numpy as np
import pytest

from lightmigrate.estimators.fit_memory import FitMemory, fingerprint


class Clock:
    """Time passes only when something is made."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def make(self, seconds: float) -> float:
        self.now += seconds
        return seconds


def test_what_was_handed_on_counts_as_when_it_was_made() -> None:
    clock = Clock()
    memory = FitMemory(clock)

    def projection(part: str, own: float) -> float:
        return memory.part(part, lambda: clock.make(5)) + clock.make(own)

    assert memory.projection("a", lambda: projection("kernel", 1)) == 6
    assert (clock.now, memory.handed_on_seconds) == (6, 0)
    assert memory.projection("b", lambda: projection("kernel", 2)) == 7
    assert (clock.now, memory.handed_on_seconds) == (8, 5)
    assert memory.projection("b", lambda: projection("kernel", 2)) == 7
    assert (clock.now, memory.handed_on_seconds) == (8, 5 + 7), "all that it would have taken"
    memory.forget_parts()
    assert memory.projection("c", lambda: projection("kernel", 3)) == 8
    assert clock.now == 16
    assert memory.projection("a", lambda: 0.0) == 6


def test_what_fails_is_not_remembered() -> None:
    memory = FitMemory(Clock())

    def failing() -> int:
        raise ValueError("no pairs")

    with pytest.raises(ValueError, match="no pairs"):
        memory.part("a", failing)
    assert memory.part("a", lambda: 1) == 1


def test_fingerprints_tell_content_from_content() -> None:
    numbers = np.arange(6, dtype=np.float64).reshape(2, 3)
    different = [
        (numbers,),
        (numbers + 1e-12,),
        (numbers.astype(np.float32),),
        (numbers.reshape(3, 2),),
        (numbers, None),
        (["ab", "c"],),
        (["a", "bc"],),
        (["abc"],),
        (["ab", ["c"]],),
        ("ab", "c"),
        (["ab", None],),
        (["ab", "None"],),
        (1, "1"),
        ("1", 1),
        (["\ud800"],),  # half of a pair, as stores give back
    ]
    assert len({fingerprint(*values) for values in different}) == len(different)
    assert fingerprint(numbers, ["ab"]) == fingerprint(np.asfortranarray(numbers.copy()), ("ab",))
