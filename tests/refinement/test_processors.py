"""The model and the database take turns where both need the same processors, and only there."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import pytest

from lightmigrate.refinement.processors import Processors
from lightmigrate.refinement.slices import Slices, StoppedError
from lightmigrate.refinement.turns import GivingWay
from lightmigrate.startup.background import PacedProvider

ENOUGH = 10.0


def free(turns: GivingWay) -> bool:
    """Whether another thread than the model's could work on the database now."""
    entered = threading.Event()

    def write() -> None:
        with turns.own():
            entered.set()

    lock = turns.processors.taken()
    if not isinstance(lock, type(threading.RLock())):
        threading.Thread(target=write).start()
        return entered.wait(ENOUGH)
    taken: list[bool] = []

    def take() -> None:
        taken.append(lock.acquire(blocking=False))
        if taken[-1]:
            lock.release()

    other = threading.Thread(target=take)
    other.start()
    other.join(ENOUGH)
    return taken == [True]


def test_while_a_model_computes_here_nothing_is_written() -> None:
    turns = GivingWay()
    seen: list[bool] = []

    def model(texts: Sequence[str]) -> list[int]:
        seen.append(free(turns))
        return [0] * len(texts)

    Slices(lambda: True, processors=turns.processors).encode(model, ["a text", "another"])
    assert seen == [False, False]
    assert free(turns), "between two calls of the model"


def test_while_a_model_computes_elsewhere_the_database_is_written() -> None:
    turns = GivingWay()
    for _ in range(10):
        turns.processors.learn(1.0, 0.01)

    def model(texts: Sequence[str]) -> list[bool]:
        return [free(turns)] * len(texts)

    assert Slices(lambda: True, processors=turns.processors).encode(model, ["a text"]) == [True]


def test_a_model_that_computes_here_again_is_noticed_and_short_calls_say_nothing() -> None:
    processors = Processors()
    for _ in range(10):
        processors.learn(1.0, 0.0)
    computes_elsewhere = processors.taken()
    processors.learn(1e-6, 1.0)
    assert type(processors.taken()) is type(computes_elsewhere)
    for _ in range(10):
        processors.learn(1.0, float(os.cpu_count() or 1))
    assert type(processors.taken()) is not type(computes_elsewhere)


def test_what_works_on_the_database_may_call_the_model_meanwhile() -> None:
    turns = GivingWay()
    slices = Slices(lambda: True, processors=turns.processors)
    with turns.own(), turns.own():
        assert slices.encode(lambda texts: [1] * len(texts), ["a text that was written meanwhile"]) == [1]


def test_the_application_s_own_function_takes_turns_too() -> None:
    turns = GivingWay()
    seen: list[bool] = []

    def function(texts: list[str]) -> list[list[float]]:
        seen.append(free(turns))
        return [[1.0, 2.0]] * len(texts)

    PacedProvider(function, turns, limited=False).embed(["a text", "another"])
    assert seen == [False, False]


class Service:
    """A function that a server answers, as its key shows; every call waits for another one at the same time."""

    def __init__(self, turns: GivingWay) -> None:
        self.api_key = "a key"
        self.both = threading.Barrier(2)
        self._turns = turns

    def __call__(self, input: list[str]) -> list[list[float]]:
        self.both.wait(ENOUGH)
        assert free(self._turns)
        return [[1.0, float(len(text))] for text in input]


def test_a_server_is_called_several_times_at_once_and_takes_no_turn() -> None:
    turns = GivingWay()
    provider = PacedProvider(Service(turns), turns, limited=False)
    texts = [f"text {number}" + "." * number for number in range(100)]
    vectors = provider.embed(texts)
    assert vectors[:, 1].tolist() == [len(text) for text in texts]
    turns.stop()
    with pytest.raises(StoppedError):
        provider.embed(texts)
