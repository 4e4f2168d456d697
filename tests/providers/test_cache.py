"""The cache: nothing is paid for twice, whatever happens, and no text is in it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import ProviderError
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.cache import Cached, default_cache
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.same_model import PROBE
from lightmigrate.vectors import Vectors
from tests.encoders import minilm, shared_minilm, shared_wordllama
from tests.providers.embedding_server import KEY, running_server

ROOT = Path(__file__).parents[2]
TEXTS = ["one text", "another text", "one text", "a third"]


def test_the_second_time_nothing_is_embedded(tmp_path: Path) -> None:
    first = Cached(shared_minilm(), tmp_path / "c.sqlite3")
    vectors = first.embed(TEXTS)
    assert (first.hits, first.misses) == (1, 3)
    first.close()
    again = Cached(shared_minilm(), tmp_path / "c.sqlite3")
    np.testing.assert_array_equal(again.embed(TEXTS), vectors)
    assert (again.hits, again.misses) == (4, 0)
    assert again.seconds == 0
    assert again.bill(TEXTS).tokens == 0
    assert again.bill(["new"]).tokens == 1
    assert again.bill(TEXTS, queries=["one text"]).tokens == 3  # as a query it is not there
    again.embed_queries(["one text"])
    assert again.bill(TEXTS, queries=["one text"]).tokens == 0
    again.close()


def test_equal_texts_have_equal_vectors(tmp_path: Path) -> None:
    vectors = Cached(shared_minilm(), tmp_path / "c.sqlite3").embed(TEXTS)
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_models_prefixes_and_queries_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    Cached(shared_minilm(), path).embed(["x"])
    for other in (minilm(prefix="passage: "), minilm(max_tokens=8)):
        cached = Cached(other, path)
        cached.embed(["x"])
        assert cached.misses == 1
    same = Cached(minilm(), path)
    same.embed(["x"])
    assert same.misses == 0
    same.embed_queries(["x"])
    assert same.misses == 1


def test_no_text_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.sqlite3"
    Cached(shared_minilm(), path).embed(["a most private document"])
    assert b"private" not in path.read_bytes()
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_killed_run_pays_for_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        command: list[Any] = [sys.executable, "-m", "tests.providers.run_embedding", server.url, tmp_path / "c", "20"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "16\n"  # the calls that ran at the same time are answered and on disk
            process.kill()
        on_disk = set(server.texts[:17]) - {PROBE}
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        times = Counter(text for text in server.texts if text != PROBE)
        assert len(times) == 20
        assert {times[text] for text in on_disk} == {1}
        # at most what was under way when the process died is asked for again
        assert sum(times.values()) <= 24
        asked = server.requests
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        assert server.requests == asked + 1  # whether it is still the same model


def test_what_was_embedded_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        provider = OpenAIProvider("minilm", base_url=server.url, retries=0)
        provider.batch_size = 2
        Cached(provider, tmp_path / "c").embed(["x"])
        server.failures = ["none", 500]  # of the two calls at the same time, one fails; the provider was probed before
        with pytest.raises(ProviderError, match="status 500"):
            Cached(provider, tmp_path / "c").embed(["a", "b", "c", "d"])
        Cached(provider, tmp_path / "c").embed(["a", "b", "c", "d"])
        assert sorted(text for text in server.texts if text != PROBE) == ["a", "b", "c", "d", "x"]


def test_another_dimension_under_the_same_name_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        Cached(OpenAIProvider("minilm", base_url=server.url), tmp_path / "c").embed(["a"])
        for texts in (["a", "b"], ["b"]):
            server.failures = ["other dimension"]
            with pytest.raises(ProviderError, match="was the model exchanged"):
                Cached(OpenAIProvider("minilm", base_url=server.url), tmp_path / "c").embed(texts)
        # and nothing of it was kept
        assert Cached(OpenAIProvider("minilm", base_url=server.url), tmp_path / "c").embed(["a", "b"]).shape == (2, 384)


class Served(Provider):
    """A model behind a name, which can be exchanged."""

    provider = "served"

    def __init__(self, dimension: int = 64, *, turned: bool = False) -> None:
        super().__init__("latest")
        self.dimension, self.turned = dimension, turned
        self.texts: list[str] = []
        self.wrong = 0

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """See `Provider.encode`."""
        self.texts += texts
        vectors = shared_wordllama(self.dimension).embed(texts)
        if self.wrong:
            self.wrong -= 1
            return vectors[:, ::-1]
        return vectors[:, ::-1] if self.turned else vectors


@pytest.mark.parametrize("exchanged", [Served(64, turned=True), Served(128)])
def test_another_model_under_the_same_name_empties_its_part_of_the_cache(
    exchanged: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c"
    Cached(Served(), path).embed(TEXTS)
    Cached(shared_minilm(), path).embed(TEXTS)
    again = Cached(exchanged, path)
    np.testing.assert_array_equal(again.embed(TEXTS), exchanged.embed(TEXTS))
    assert "latest gives other vectors than before" in caplog.text
    assert Cached(exchanged, path).has([*TEXTS, "never embedded"]) == [True] * 4 + [False]
    assert Cached(shared_minilm(), path).has(TEXTS) == [True] * 4


def test_one_wrong_answer_empties_nothing(tmp_path: Path) -> None:
    Cached(Served(), tmp_path / "c").embed(TEXTS)
    model = Served()
    model.wrong = 1
    assert Cached(model, tmp_path / "c").has(TEXTS) == [True] * 4
    assert model.texts == [PROBE] * 2


def test_a_model_that_cannot_be_asked_leaves_the_cache_as_it_is(tmp_path: Path) -> None:
    before = Cached(Served(), tmp_path / "c").embed(TEXTS)

    class Gone(Served):
        def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
            raise ProviderError("it cannot be reached")

    np.testing.assert_array_equal(Cached(Gone(), tmp_path / "c").embed(TEXTS), before)


def test_a_cache_in_memory_ends_with_its_object() -> None:
    model = Served()
    cached = Cached.in_memory(model)
    cached.embed(TEXTS)
    assert cached.has(TEXTS) == [True] * 4
    assert Cached.in_memory(model).has(TEXTS) == [False] * 4


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite3").write_bytes(b"not a database, but long enough to look like one" * 30)
    with pytest.raises(ProviderError, match=r"cannot be used .* delete it"):
        Cached(shared_minilm(), tmp_path / "c.sqlite3").embed(["x"])
    with pytest.raises(ProviderError, match=r"cannot be used .* name another"):
        Cached(shared_minilm(), tmp_path / "c.sqlite3" / "below" / "a_file").embed(["x"])


def test_a_file_that_was_altered_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    Cached(shared_minilm(), path).embed(TEXTS)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE embeddings SET vector = x'000000'")
    with pytest.raises(ProviderError, match=r"several dimensions .* delete it"):
        Cached(shared_minilm(), path).embed(TEXTS)


def test_a_file_that_was_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    Cached(shared_minilm(), path).embed(TEXTS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ProviderError, match=r"cannot be used .* delete it"):
        Cached(shared_minilm(), path).embed(TEXTS)


def test_two_processes_share_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        command: list[Any] = [sys.executable, "-m", "tests.providers.run_embedding", server.url, tmp_path / "c", "40"]
        both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        cached = Cached(shared_minilm(), tmp_path / "c")
        assert cached.embed(["text number 3"]).shape == (1, 384)


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/lightmigrate/embeddings.sqlite3")


class Timed(Provider):
    """Real vectors of a static model, on a clock that only embedding moves; after so many calls it fails."""

    provider = "test"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float, price: float = 0.0, calls: int = 10**9) -> None:
        super().__init__("wordllama")
        self.now, self._seconds, self._price, self.left = 0.0, seconds, price, calls
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        self.now += self._seconds
        self.left -= 1
        if self.left < 0:
            raise ProviderError("it is gone")
        return shared_wordllama().embed(texts)

    def priced(self, tokens: int) -> Bill:
        return Bill(tokens, tokens * self._price)


MANY = [f"text number {number}" for number in range(1000)]


@pytest.mark.parametrize(("seconds", "price", "together"), [(0.001, 0.0, True), (1.0, 0.0, False), (0.001, 1.0, False)])
def test_only_what_a_quick_free_model_embeds_is_written_in_large_parts(
    seconds: float, price: float, together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Timed(monkeypatch, seconds, price)
    cached = Cached(inner, tmp_path / "c.sqlite3")
    vectors = cached.embed(MANY)
    assert (cached.batch_size > inner.batch_size) == together
    again = Cached(inner, tmp_path / "c.sqlite3")
    np.testing.assert_array_equal(again.embed(MANY), vectors)
    assert (again.hits, again.misses) == (1000, 0)


def test_a_failure_loses_nothing_of_what_is_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Timed(monkeypatch, 0.001, calls=11)
    with pytest.raises(ProviderError, match="it is gone"):
        Cached(inner, tmp_path / "c.sqlite3").embed(MANY)
    inner.left = 10**9
    again = Cached(inner, tmp_path / "c.sqlite3")
    again.embed(MANY)
    assert again.hits == 10 * inner.batch_size, "ten batches, after the probe"
