"""The speed of a model: measured on a few texts, long and short, that are not in its cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.providers.base import estimated_tokens
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.call_speed import TimedCall
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.parallel import ParallelCalls
from lightmigrate.training.model_speed import NO_TIME, TIMED, known_speed, measure_speed, texts_in
from tests.encoders import WordLlamaFunction
from tests.training.collections import CORPUS

TEXTS = list(CORPUS.documents[:200])
PER_TEXT, PER_TOKEN, LOADING = 0.01, 0.001, 20.0


class Slow(ChromaProvider):
    """A real model on a clock that only embedding moves; its first call loads it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_text: float = PER_TEXT) -> None:
        super().__init__(WordLlamaFunction(64))
        self.now, self.embedded, self._per_text = 0.0, 0, per_text
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        self.now += 0.0 if self.embedded else LOADING
        self.embedded += len(texts)
        self.now += self._per_text * len(texts) + PER_TOKEN * estimated_tokens(texts)
        return super().encode(texts, queries)


def test_texts_and_tokens_are_told_apart_and_loading_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Slow(monkeypatch)
    speed = measure_speed(Cached(inner, tmp_path / "cache.sqlite3"), TEXTS)
    assert speed.seconds_per_text == pytest.approx(PER_TEXT, rel=0.05)
    assert speed.seconds_per_token == pytest.approx(PER_TOKEN, rel=0.05)
    assert speed.seconds(1000, 30_000) == pytest.approx(40, rel=0.05)
    assert inner.embedded <= 2 * TIMED + 1


def test_a_slow_model_is_not_asked_for_more_than_it_takes_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Slow(monkeypatch, per_text=1.0)
    speed = measure_speed(Cached(inner, tmp_path / "cache.sqlite3"), TEXTS)
    assert inner.embedded < 15
    assert speed.seconds_per_text == pytest.approx(1.0, rel=0.05)


def test_what_is_in_the_cache_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Slow(monkeypatch)
    cached = Cached(inner, tmp_path / "cache.sqlite3")
    cached.embed_each(TEXTS)
    before = inner.embedded
    assert measure_speed(cached, TEXTS) == NO_TIME
    assert inner.embedded == before
    assert measure_speed(cached, ["", "  "]) == NO_TIME


@pytest.mark.parametrize("texts", [TEXTS[:1], ["one two", "one three"], ["word"] * 9])
def test_few_texts_are_enough(texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = measure_speed(Cached(Slow(monkeypatch), tmp_path / "cache.sqlite3"), texts)
    assert speed.seconds(1, 1) > 0


def test_a_server_is_given_what_it_embeds_in_time_one_call_after_the_other_unless_more_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = Cached(Slow(monkeypatch), tmp_path / "cache.sqlite3")
    cached.inner.parallel = ParallelCalls(4)
    assert texts_in(cached, 2.0) is None
    cached.timed += [TimedCall(1, 10, 0.1, 0.0), TimedCall(10, 1000, 1.09, 1.0)]  # a millisecond for a token
    alone = texts_in(cached, 2.0)
    assert alone == pytest.approx((2.0 - 0.09) / (0.001 * 1010 / 11), abs=1)
    cached.timed += [TimedCall(10, 1000, 1.09, 10.0) for _ in range(4)]
    assert texts_in(cached, 2.0) == pytest.approx(4 * (2.0 - 0.09) / (0.001 * 5010 / 51), abs=1)
    speed = known_speed(cached)
    assert speed is not None
    assert speed.seconds_per_token == pytest.approx(0.001 / 4)
    slower = [TimedCall(10, 1000, 1.09 * (place + 1), 20.0) for place in range(4)]  # of one processor
    cached.timed[2:] = slower
    speed = known_speed(cached)
    assert speed is not None
    assert speed.seconds_per_token == pytest.approx(0.001, rel=0.05)
