"""A plan, and embedding everything, are killed again and again on PostgreSQL: no text is paid for twice."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psycopg
import pytest

from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.same_model import PROBE
from lightmigrate.vectors import Vectors
from tests.budget.collections import CORPUS, texts
from tests.contract.postgres import PgMaker
from tests.encoders import shared_wordllama
from tests.processes import start, was_killed
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server
from tests.stores.pgvector.paying import AT_ONCE, TOGETHER, command

ROWS, OLD_DIM, NEW_DIM = 160, CORPUS.old_documents.shape[1], 128

# A process that pays is killed when it has asked for so many texts more.
FATAL = 40


class Paid:
    """The model's server: who asks it, and how often for what; it kills who asks for too much."""

    def __init__(self, server: EmbeddingServer, environment: dict[str, str]) -> None:
        self.asked: Counter[str] = Counter()
        self.url, self._environment = server.url, environment
        self._pid, self._left = 0, 0
        server.model = self._embed

    def _embed(self, asked: Sequence[str]) -> Vectors:
        """What the model says; called by one request at a time."""
        new = [text for text in asked if text != PROBE]  # whether it is still the same model
        self.asked.update(new)
        self._left -= len(new)
        if self._pid and self._left <= 0:
            os.kill(self._pid, signal.SIGKILL)
        return shared_wordllama(NEW_DIM).embed(asked)

    def run(self, *words: object) -> None:
        """Run a command to its end."""
        with pytest.raises(SystemExit) as ended:
            command([*map(str, words)])
        assert ended.value.code == 0

    def run_until_it_asks(self, *words: object) -> None:
        """Run a command until it has asked for so many texts, and kill it there."""
        self._left = FATAL
        process = start(command, [*map(str, words)], self._environment)
        self._pid = process.pid or 0
        assert was_killed(process)
        self._pid = 0

    def run_until_it_waits(self, maker: PgMaker, *words: object) -> None:
        """Run a command until it waits for another session of the table, and kill it there."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with psycopg.connect(maker.conninfo) as reader:
            reader.execute("SELECT count(*) FROM docs")  # and its transaction goes on
            process = start(command, [*map(str, words)], self._environment)
            with psycopg.connect(maker.conninfo, autocommit=True) as observer:
                while observer.execute(waiting).fetchone() == (0,):
                    assert process.is_alive()
            process.kill()
            assert was_killed(process)


@pytest.fixture
def table(maker: PgMaker) -> PgMaker:
    """Abstracts as the old model embedded them."""
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE TABLE docs (id int PRIMARY KEY, content text, embedding vector({OLD_DIM}))".encode()
        )
        connection.execute("CREATE INDEX ON docs USING hnsw (embedding vector_cosine_ops)")
        vectors = [str(vector.tolist()) for vector in CORPUS.old_documents[:ROWS]]
        rows = zip(range(ROWS), texts(ROWS), vectors, strict=True)
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", list(rows))
    return maker


@pytest.fixture
def paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paid]:
    environment = {name: str(tmp_path / name) for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
    environment["OPENAI_API_KEY"] = KEY
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(OpenAIProvider, "batch_size", TOGETHER)
    with running_server() as server:
        yield Paid(server, environment)


@pytest.mark.parametrize("planned", [False, True])
def test_no_text_is_paid_for_twice(table: PgMaker, paid: Paid, tmp_path: Path, planned: bool) -> None:
    target = ["--target-provider", "openai", "--target-model", MODEL, "--target-url", paid.url, "--price", "1"]
    target += ["--target-query-prefix", "query: "]  # a title is embedded as a text and as a query
    migrate, kills = ["migrate", table.locator, *target, "--yes"], 1
    if planned:
        plan = ["plan", table.locator, *target, "--budget", "70%", "--samples", "60", "-o", str(tmp_path / "plan.json")]
        paid.run_until_it_asks(*plan)
        paid.run(*plan)
        migrate, kills = ["migrate", table.locator, "--plan", str(tmp_path / "plan.json"), "--force", "--yes"], 2
    paid.run_until_it_asks(*migrate)
    paid.run_until_it_waits(table, *migrate)
    with psycopg.connect(table.conninfo) as connection:
        assert connection.execute("SELECT DISTINCT vector_dims(embedding) FROM docs").fetchall() == [(OLD_DIM,)]
    before = paid.asked.total()
    paid.run(*migrate)
    assert paid.asked.total() == before, "all was paid for when it was killed before the exchange"
    paid.run("refine", table.locator, "--yes", "--no-refit")
    twice = {text: times - 1 for text, times in paid.asked.items() if times > 1}
    assert sum(twice.values()) <= kills * TOGETHER * AT_ONCE, "more than was under way when a process died"
    assert set(texts(ROWS)) <= set(paid.asked)
    with psycopg.connect(table.conninfo) as connection:
        held = connection.execute("SELECT embedding::text FROM docs ORDER BY id").fetchall()
    wanted = shared_wordllama(NEW_DIM).embed(texts(ROWS))
    np.testing.assert_allclose([json.loads(vector) for (vector,) in held], wanted, rtol=0, atol=1e-6)
