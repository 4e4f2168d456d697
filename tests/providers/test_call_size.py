"""A model on this machine is given as many texts at once as make a text cheapest, by what calls took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from chromadb.utils.embedding_functions.openai_embedding_function import OpenAIEmbeddingFunction
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.providers.base import Provider
from lightmigrate.providers.call_size import CallSize
from lightmigrate.providers.chroma import ChromaProvider

TEXT = "sixty characters of nothing in particular, and then some more"


MOST = 512


def settled(took: Callable[[int], float], seconds: float = math.inf) -> list[int]:
    """The sizes of a hundred calls of a model that takes so long for so many texts."""
    sizes, found = CallSize(), list[int]()
    for _ in range(100):
        found.append(min(MOST, sizes.texts(len(TEXT), seconds)))
        sizes.learn([TEXT] * found[-1], took(found[-1]))
    return found


@pytest.mark.parametrize(("took", "expected"), [
    (lambda texts: 1.0, MOST),  # a GPU: a call takes what it takes
    (lambda texts: texts * (1 + abs(np.log2(texts) - 2)), 4),  # a processor whose caches hold four
    (lambda texts: texts**1.2, 1),
])  # fmt: skip
def test_the_cheapest_size_is_found_and_hardly_any_other_is_used(took: Callable[[int], float], expected: int) -> None:
    assert settled(took)[-60:].count(expected) >= 50


def test_a_model_that_became_slow_for_large_calls_gets_small_ones() -> None:
    sizes = CallSize()
    for call in range(200):
        size = min(64, sizes.texts(len(TEXT)))
        sizes.learn([TEXT] * size, 1.0 if call < 100 else size * (1.0 + 0.1 * size))
    assert sizes.texts(len(TEXT)) <= 8


def test_a_call_takes_no_longer_than_there_is_time_unless_a_text_becomes_much_cheaper() -> None:
    assert max(settled(lambda texts: 0.02 * texts, seconds=0.1)) <= 4
    assert max(settled(lambda texts: 0.2 + 0.001 * texts, seconds=0.1)) > 64


def test_texts_of_another_length_begin_with_what_is_known_of_the_nearest() -> None:
    sizes = CallSize()
    for _ in range(20):
        size = min(32, sizes.texts(len(TEXT)))
        sizes.learn([TEXT] * size, 1.0)
    assert sizes.texts(8 * len(TEXT)) >= 32
    sizes.learn([8 * TEXT] * 32, 1000.0)
    assert min(32, sizes.texts(len(TEXT))) == 32, "what long texts take says nothing of short ones"


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 70), st.floats(0, 100)), max_size=60))
def test_whatever_calls_took_there_is_a_size(calls: Sequence[tuple[int, int, float]]) -> None:
    sizes = CallSize()
    for characters, texts, seconds in calls:
        sizes.learn(["x" * characters] * texts, seconds)
        assert sizes.texts(characters) >= 1
        assert sizes.texts(characters, 0.1) >= 1


class Local(Provider):
    """A model whose calls of more than four texts take the time of a hundred, on a clock of its own."""

    provider, measures_calls, in_process = "test", True, True

    def __init__(self, clock: list[float]) -> None:
        super().__init__("local")
        self.calls: list[int] = []
        self._clock = clock

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        self.calls.append(len(texts))
        self._clock[0] += len(texts) if len(texts) <= 4 else 100
        return np.array([[len(text), 1.0] for text in texts])


def test_a_provider_embeds_every_text_once_in_calls_that_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    model = Local(clock)
    texts = [TEXT + "x" * (row % 3) for row in range(400)]
    vectors = model.embed(texts)
    assert [int(row[0]) for row in vectors] == [len(text) for text in texts]
    assert sum(model.calls) == len(texts)
    assert model.calls.count(4) > 80


def test_a_size_that_is_never_reached_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    model = Local(clock)
    for _ in range(20):  # a caller that has seven texts each time
        model.embed([TEXT + "x" * (row % 3) for row in range(7)])
    assert model.calls.count(7) <= 2
    assert max(model.calls[-20:]) <= 4


def test_a_model_that_does_not_measure_gets_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Local, "measures_calls", False)
    model = Local([0.0])
    model.embed([TEXT] * 200)
    assert model.calls == [64, 64, 64, 8]


def test_a_function_in_this_process_gets_calls_that_are_cheap_and_a_service_full_ones() -> None:
    here = ChromaProvider(lambda texts: [[1.0, 2.0] for _ in texts])
    service = ChromaProvider(OpenAIEmbeddingFunction(api_key="a key", model_name="text-embedding-3-small"))
    assert here.measures_calls
    assert not service.measures_calls
