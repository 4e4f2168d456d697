"""Another model begins to answer under the same name: in whichever request it does, nothing of it is taken."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.errors import ModelExchangedError, ProviderError, TextsRefusedError
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.parallel import ParallelCalls
from lightmigrate.providers.same_model import PROBE
from lightmigrate.vectors import Vectors
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

TEXTS = [f"text number {number} of a few" for number in range(300)]

Embed = Callable[[Sequence[str]], Vectors]

FIRST: Embed = shared_wordllama(64).embed


def second(texts: Sequence[str]) -> Vectors:
    return np.ascontiguousarray(FIRST(texts)[:, ::-1])


class Served(Provider):
    """A model behind a name. `answered_by` says which one answers a request, by its number."""

    provider, batch_size = "served", 4

    def __init__(self, answered_by: Callable[[int], Embed] = lambda _: FIRST, *, at_once: int = 1) -> None:
        super().__init__("latest")
        self.parallel = ParallelCalls(at_once)
        self.requests: list[list[str]] = []
        self._answered_by = answered_by

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        self.requests.append(list(texts))
        return self._answered_by(len(self.requests) - 1)(texts)


def require_only_first(path: Path) -> None:
    """Whatever the cache holds is of the first model."""
    np.testing.assert_array_equal(Cached(Served(), path).embed(TEXTS), FIRST(TEXTS))


@given(
    others=st.lists(st.booleans(), min_size=1, max_size=12),
    pages=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    at_once=st.sampled_from([1, 4]),
    measured=st.booleans(),
)
def test_nothing_of_another_model_is_returned_or_kept(
    others: list[bool], pages: list[int], at_once: int, measured: bool
) -> None:
    """Exchanged for good, for a moment, back and forth, among several calls at the same time."""
    served = Served(lambda request: second if request and others[min(request, len(others)) - 1] else FIRST)
    served.parallel = ParallelCalls(at_once)
    # the first request of a run, and so its model: the fixed text by itself
    served.measures_calls = measured and at_once == 1 and sorted(others) == others  # of which one is exchanged for good
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c"
        cached, start = Cached(served, path), 0
        cached.probe()
        with contextlib.suppress(ModelExchangedError):
            for page in pages:
                texts = TEXTS[start : start + page]
                np.testing.assert_array_equal(cached.embed(texts), FIRST(texts))
                start += page
        require_only_first(path)


def test_a_request_is_made_for_it_only_once(tmp_path: Path) -> None:
    served = Served()
    cached = Cached(served, tmp_path / "c")
    cached.embed(TEXTS[:10])
    assert [len(texts) for texts in served.requests] == [1, 5, 5, 3], "by itself, and then with the texts"
    assert all(texts[-1] == PROBE for texts in served.requests)
    asked = len(served.requests)
    cached.embed(TEXTS[:10])
    assert len(served.requests) == asked, "who embeds nothing asks nothing"
    bare = Served()
    bare.embed(TEXTS[:10])
    assert [len(texts) for texts in bare.requests] == [5, 5, 3], "without a cache, the first answer tells"


def test_a_model_in_this_process_is_not_asked(tmp_path: Path) -> None:
    served = Served()
    served.in_process = True
    Cached(served, tmp_path / "c").embed(TEXTS[:10])
    assert [len(texts) for texts in served.requests] == [1, 4, 4, 2], "once, by itself"


def test_where_a_text_more_may_be_dear_it_goes_along_with_the_last_ones(tmp_path: Path) -> None:
    served = Served()
    served.measures_calls, served.batch_size = True, 16
    Cached(served, tmp_path / "c").embed(TEXTS[:10])
    assert [PROBE in texts for texts in served.requests[1:]] == [False] * (len(served.requests) - 2) + [True]


class OneByOne(Served):
    """A model that takes one text at a time."""

    batch_size = 1

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        vectors = super().encode(texts, queries)
        if len(texts) > 1:
            raise TextsRefusedError(f"{len(texts)} texts, one is taken", texts=texts)
        return vectors


def test_a_model_that_takes_one_text_at_a_time_is_seldom_given_two() -> None:
    served = OneByOne()
    np.testing.assert_array_equal(served.embed(TEXTS[:20]), FIRST(TEXTS[:20]))
    assert [len(texts) for texts in served.requests].count(2) == 1, "with the last one"
    assert len(served.requests) < 25
    exchanged = OneByOne(lambda request: second if request > 30 else FIRST)
    exchanged.embed(TEXTS[:20])
    with pytest.raises(ModelExchangedError):
        exchanged.embed(TEXTS[20:40])


def test_numbers_that_depend_on_what_is_embedded_beside_are_of_one_model(tmp_path: Path) -> None:
    def noisy(texts: Sequence[str]) -> Vectors:
        vectors = FIRST(texts)
        noise = np.random.default_rng(len(texts)).normal(0, 0.008 * (len(texts) > 1), vectors.shape)
        return np.asarray(vectors + noise, np.float32)

    served = Served(lambda _: noisy)
    cached = Cached(served, tmp_path / "c")
    for start in range(0, 40, 10):
        cached.embed(TEXTS[start : start + 10])
    before = cached.probe()[0]
    beside = noisy([*TEXTS[:4], PROBE])[-1]
    assert 0.98 < float(before @ beside) / np.linalg.norm(beside) < 0.999


def test_queries_may_be_embedded_in_another_way(tmp_path: Path) -> None:
    class Twofold(Served):
        def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
            super().encode(texts)
            return second(texts) if queries else FIRST(texts)

    served = Twofold()
    cached = Cached(served, tmp_path / "c")
    np.testing.assert_array_equal(cached.embed_queries(TEXTS[:4]), second(TEXTS[:4]))
    np.testing.assert_array_equal(cached.embed(TEXTS[:4]), FIRST(TEXTS[:4]))
    asked = len(served.requests)
    cached.embed_queries(TEXTS[4:8])
    assert len(served.requests) == asked + 1, "how it embeds a query is known by now"


def test_one_that_could_not_be_asked_at_first_is_asked_when_it_can(tmp_path: Path) -> None:
    def gone(texts: Sequence[str]) -> Vectors:
        raise ProviderError("it cannot be reached")

    path = tmp_path / "c"
    Cached(Served(), path).embed(TEXTS[:4])
    cached = Cached(Served(lambda request: second if request else gone), path)
    np.testing.assert_array_equal(cached.embed(TEXTS[:4]), FIRST(TEXTS[:4]))
    with pytest.raises(ModelExchangedError, match="was the model exchanged"):
        cached.embed(TEXTS[:8])
    require_only_first(path)


def test_a_run_whose_cache_another_one_began_anew_takes_nothing_from_it(tmp_path: Path) -> None:
    path = tmp_path / "c"
    mine = Cached(Served(), path)
    mine.embed(TEXTS[:4])
    Cached(Served(lambda _: second), path).embed(TEXTS[4:8])
    for texts in (TEXTS[4:8], TEXTS[8:12]):
        with pytest.raises(ModelExchangedError, match="to another run"):
            mine.embed(texts)
    np.testing.assert_array_equal(Cached(Served(lambda _: second), path).embed(TEXTS), second(TEXTS))


def test_what_a_run_was_answered_before_that_is_not_written_after_it(tmp_path: Path) -> None:
    path = tmp_path / "c"

    def begun_anew(texts: Sequence[str]) -> Vectors:
        """While a request is under way, another run finds another model."""
        Cached(Served(lambda _: second), path).embed(TEXTS[4:8])
        return FIRST(texts)

    mine = Cached(Served(lambda request: begun_anew if request == 2 else FIRST), path)
    mine.embed(TEXTS[:4])
    mine.embed(TEXTS[8:12])
    np.testing.assert_array_equal(Cached(Served(lambda _: second), path).embed(TEXTS), second(TEXTS))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = FIRST
        yield running


@pytest.mark.parametrize("other", [second, shared_wordllama(128).embed])
def test_a_server_that_is_given_another_model(server: EmbeddingServer, tmp_path: Path, other: Embed) -> None:
    provider = OpenAIProvider(MODEL, base_url=server.url)
    provider.batch_size = 8
    server.model = lambda texts: (FIRST if len(server.texts) <= 100 else other)(texts)
    with pytest.raises(ModelExchangedError, match="lightmigrate plan DATABASE --target-model MODEL"):
        Cached(provider, tmp_path / "c").embed(TEXTS)
    server.model = FIRST
    again = Cached(OpenAIProvider(MODEL, base_url=server.url), tmp_path / "c")
    np.testing.assert_allclose(again.embed(TEXTS), FIRST(TEXTS), atol=1e-6)
    assert again.hits >= 64, "what was embedded before it is not paid for again"


def test_several_hundred_texts_cost_no_request_more(server: EmbeddingServer, tmp_path: Path) -> None:
    Cached(OpenAIProvider(MODEL, base_url=server.url), tmp_path / "c").embed(TEXTS)
    assert server.requests == 5, "four of texts, and the fixed one by itself, at the same time"
    assert len(server.texts) == len(TEXTS) + 5
