"""Calls at the same time: as many as are allowed, one at a time when a server is busy, and nothing paid for is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import BusyError, CostError, ProviderError
from lightmigrate.providers.base import estimated_tokens
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.parallel import CALLS_AT_ONCE, ParallelCalls
from lightmigrate.providers.same_model import PROBE
from lightmigrate.training.model_speed import known_speed, measure_speed
from tests.encoders import shared_minilm
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

TEXTS = [f"number {number}" for number in range(8)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        yield running


def provider(server: EmbeddingServer, batch_size: int = 2, **options: float) -> OpenAIProvider:
    model = OpenAIProvider(MODEL, base_url=server.url, retries=0, **options)  # type: ignore[arg-type]
    model.batch_size = batch_size
    return model


def acts_that_meet(number: int, *, meeting: int) -> list[Callable[[], int]]:
    """Acts of which so many have to run at the same time before any of them can end."""
    together = threading.Barrier(meeting, timeout=60)

    def act(own: int) -> int:
        together.wait()
        return own

    return [lambda own=own: act(own) for own in range(number)]  # type: ignore[misc]


def test_as_many_run_at_the_same_time_as_are_allowed() -> None:
    assert sorted(ParallelCalls(4).run(acts_that_meet(8, meeting=4))) == list(range(8))


def test_never_more_than_are_allowed() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def act() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    list(ParallelCalls(3).run([act] * 60))
    assert most <= 3


def test_what_was_under_way_at_a_failure_comes_first() -> None:
    both, failing = threading.Barrier(2, timeout=60), list[threading.Thread]()

    def fails() -> int:
        failing.append(threading.current_thread())
        both.wait()
        raise ProviderError("it is gone")

    def works() -> int:
        both.wait()
        failing[0].join()
        return 1

    answers = list[int]()
    with pytest.raises(ProviderError, match="it is gone"):
        answers.extend(ParallelCalls(2).run([fails, works, works, works]))
    assert answers == [1]


def test_vectors_come_in_the_order_of_the_texts(server: EmbeddingServer) -> None:
    asked = provider(server)
    np.testing.assert_allclose(asked.embed(TEXTS), shared_minilm().embed(TEXTS), atol=1e-6)
    assert server.requests == 4


def test_few_texts_share_the_calls(server: EmbeddingServer) -> None:
    sizes = [len(rows) for rows in provider(server, 1000).batches(["text"] * 290)]
    assert sizes == [73, 73, 73, 71]
    assert [len(rows) for rows in provider(server, 1000).batches(["text"] * 60)] == [60]


def test_a_busy_server_is_asked_again_by_one_call_at_a_time(server: EmbeddingServer, tmp_path: Path) -> None:
    asked = provider(server)
    cached = Cached(asked, tmp_path / "c")
    cached.embed(["first"])
    server.failures = [429, "none", 429, "none"]
    cached.embed(TEXTS)
    assert asked.parallel.most == 1
    times = Counter(text for text in server.texts if text != PROBE)
    assert set(times.values()) == {1}, "what was answered is not asked for again"
    server.failures = [429]
    with pytest.raises(BusyError, match="busy or the quota is used up") as caught:
        cached.embed(["another"])
    assert caught.value.seconds == 0.001, "as the server says"


def test_calls_at_the_same_time_keep_to_the_limit_of_costs(server: EmbeddingServer) -> None:
    each = 2 * 3 + estimated_tokens([PROBE])  # estimated tokens of a call
    asked = provider(server, 2, price=1e6, max_cost=3 * each + 1)
    with pytest.raises(CostError):
        asked.embed(TEXTS)
    assert server.requests == 3


def test_the_fixed_text_takes_no_time_of_its_own(server: EmbeddingServer, tmp_path: Path) -> None:
    cached = Cached(provider(server, 1000), tmp_path / "c")
    assert not cached.asked
    cached.embed(TEXTS)
    assert server.requests == 2
    assert cached.asked
    assert {call.texts for call in cached.timed} == {1, len(TEXTS)}


def test_the_speed_of_a_server_is_known_from_calls_made_before(server: EmbeddingServer, tmp_path: Path) -> None:
    cached = Cached(provider(server, 1000), tmp_path / "c")
    assert known_speed(cached) is None
    more = [f"another {number}" for number in range(6)]
    speed = measure_speed(cached, TEXTS)
    requests = server.requests
    assert requests == 2
    assert measure_speed(cached, more) == speed == known_speed(cached)
    assert server.requests == requests
    slowest = max(call.seconds for call in cached.timed)
    assert 0 < speed.seconds(len(TEXTS), 24) <= slowest
    assert speed.seconds(CALLS_AT_ONCE * 1000, 0) <= slowest * 1.01
