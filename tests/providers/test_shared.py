"""Workers that share one cache and one purse: nothing is paid twice, nothing is overspent, whoever is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import ProviderError
from lightmigrate.providers import claims
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.cache_file import CacheFile
from lightmigrate.providers.claims import Claims
from lightmigrate.providers.purse import Limit, OwnPurse, Purse, SharedPurse
from lightmigrate.providers.same_model import PROBE
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server
from tests.providers.test_cache import Served

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = shared_wordllama().embed
        yield running


def worker(server: EmbeddingServer, cache: Path, *, dollars: float = 1e9, first: int = 0, count: int = 40) -> Any:
    words = [server.url, cache, "purse", dollars, first, count]
    command = [sys.executable, "-m", "tests.providers.run_worker", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_text_that_several_workers_need_is_paid_once(server: EmbeddingServer, tmp_path: Path) -> None:
    workers = [worker(server, tmp_path / "c", first=first) for first in (0, 0, 20)]
    assert [each.wait() for each in workers] == [0, 0, 0]
    times = Counter(text for text in server.texts if text != PROBE)
    assert set(times.values()) == {1}
    assert len(times) == 60


def test_a_worker_that_is_killed_holds_nobody_up_and_what_it_wrote_is_not_paid_again(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    killed = worker(server, tmp_path / "c")
    assert killed.stdout.readline()
    killed.kill()
    killed.wait()
    paid = len([text for text in server.texts if text != PROBE])
    assert worker(server, tmp_path / "c").wait() == 0
    times = Counter(text for text in server.texts if text != PROBE)
    assert len(times) == 40
    assert sum(times.values()) <= 40 + paid
    assert sum(count - 1 for count in times.values()) <= 8, "what was under way when it died"


def test_no_worker_spends_what_another_one_has_spent(server: EmbeddingServer, tmp_path: Path) -> None:
    # a dollar a token; a text is estimated at 4 tokens, and costs 3
    workers = [worker(server, tmp_path / "c", dollars=100.0, first=40 * number) for number in range(3)]
    said = [each.communicate()[0].splitlines()[-1] for each in workers]
    assert all(line.endswith("of 100") and line.startswith("spent") for line in said)
    spent = sum(len(text.split()) for text in server.texts)
    assert 100 - 3 * 4 * 8 < spent <= 100
    file = CacheFile(tmp_path / "c", shared=True)
    purse = SharedPurse(file, "purse")
    assert purse.tokens() == spent
    # the next run goes on, and pays for nothing again
    assert [worker(server, tmp_path / "c", first=40 * number).wait() for number in range(3)] == [0, 0, 0]
    assert Counter(Counter(text for text in server.texts if text != PROBE).values()) == {1: 120}
    purse.forget()
    assert purse.tokens() == 0


@pytest.mark.parametrize("shared", [False, True])
def test_a_purse_is_never_overdrawn_however_many_draw_at_once(tmp_path: Path, shared: bool) -> None:
    purse: Purse = SharedPurse(CacheFile(tmp_path / "c", shared=True), "a") if shared else OwnPurse()
    limit = Limit(10.0, 1_000_000.0)
    with ThreadPoolExecutor(8) as pool:
        calls = [call for call in pool.map(lambda _: purse.begin(3, limit), range(12)) if call is not None]
    assert len(calls) == 3
    assert purse.begin(2, limit) is None
    purse.end(calls[0], 1)
    assert purse.tokens() == 7
    assert purse.begin(3, limit) is not None
    assert purse.begin(10**9, Limit()) is not None, "no limit, and still counted"
    assert purse.tokens() == 10 + 10**9
    assert purse.begin(10**9, Limit(0.0, 0.0)) is not None, "what is free is within every limit"


def test_a_claim_is_renewed_as_long_as_its_worker_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "SECONDS_OF_CLAIM", 0.4)
    monkeypatch.setattr(claims, "SECONDS_TO_RENEW", 0.05)
    one, other = (Claims(CacheFile(tmp_path / "c", shared=True)) for _ in range(2))
    with one.of("model", [b"a", b"b"]) as own:
        assert own == {b"a", b"b"}
        time.sleep(0.8)
        with other.of("model", [b"b", b"c"]) as left:
            assert left == {b"c"}
        with other.of("another model", [b"b"]) as left:
            assert left == {b"b"}
    with other.of("model", [b"b"]) as left:
        assert left == {b"b"}
    monkeypatch.setattr(claims, "SECONDS_TO_RENEW", 10.0)
    with one.of("model", [b"a"]):  # as one that died
        time.sleep(0.5)
        with other.of("model", [b"a"]) as left:
            assert left == {b"a"}


def test_a_worker_with_another_model_is_refused_and_deletes_nothing(tmp_path: Path) -> None:
    file = CacheFile(tmp_path / "c", shared=True)
    Cached(Served(), tmp_path / "c", shared=file).embed(["a text"])
    with pytest.raises(ProviderError, match="gives other vectors here"):
        Cached(Served(turned=True), tmp_path / "c", shared=file).embed(["a text", "another"])
    kept = Cached(Served(), tmp_path / "c", shared=file)
    np.testing.assert_array_equal(kept.embed(["a text"]), Served().embed(["a text"]))
    assert kept.misses == 0
