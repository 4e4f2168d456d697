"""Every command works on every store, as on a command line: with real texts, and models that embed them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.stores.base import Page, Store
from tests.cli.calls import run
from tests.contract.makers import Maker
from tests.contract.material import assert_same, assert_same_vectors, everything
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

OLD, NEW = shared_wordllama(64), shared_wordllama(128)
ANIMALS, VERBS = ("cat", "horse", "whale", "sparrow", "beetle", "goat"), ("sleeps", "sings", "hides", "waits")
PLACES = ("river", "barn", "harbour", "school", "mountain")
TEXTS = [f"the {animal} {verb} near the {place}" for animal, verb, place in itertools.product(ANIMALS, VERBS, PLACES)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    """The new model."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = NEW.embed
        yield running


@pytest.fixture
def end_of_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Closes what a command has opened, as the end of its process does."""
    opened: list[object] = []
    connect = DatabaseChoice.connect

    def remembered(choice: DatabaseChoice) -> object:
        opened.append(connect(choice))
        return opened[-1]

    def close() -> None:
        for database in opened:
            if isinstance(database, Store):
                database.close()
        opened.clear()

    monkeypatch.setattr(DatabaseChoice, "connect", remembered)
    return close


def words_of(maker: Maker) -> list[object]:
    """What names the database on a command line."""
    if maker.locator.startswith("{"):
        return [word for name, value in json.loads(maker.locator).items() for word in (f"--{name}", value)]
    return [maker.locator]


@pytest.mark.every_maker
def test_every_command_works(
    maker: Maker,
    tmp_path: Path,
    server: EmbeddingServer,
    end_of_process: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not on a database in this process's memory, which no command can open."""
    if not maker.locator:
        return
    address = maker.create("docs", OLD.dimension)
    ids, payloads = [f"id-{row:03}" for row in range(len(TEXTS))], [maker.payload_of(row) for row in range(len(TEXTS))]
    maker.client().collection(address).add(Page(ids, OLD.embed(TEXTS), TEXTS, payloads))
    before = everything(maker.client().collection(address))
    maker.let_go()
    database, plan = words_of(maker), tmp_path / "plan.json"
    of_database = ["--from", *database] if len(database) == 1 else database
    model = ["--target-provider", "openai", "--target-model", MODEL, "--target-url", server.url]
    kept, agreed = ["--cache", tmp_path / "cache.sqlite3"], ["--yes", "--force"]

    def on_it(command: str, *words: object) -> str:
        said = run(capsys, command, *database, *words)
        end_of_process()
        return said

    assert "docs" in on_it("doctor")
    run(
        capsys, "train", *of_database, *model, *kept, "--source-model", "old", "--samples", 100, "--output-dir",
        tmp_path / "projection", "--failing", 0.01, "--passing", 0.02,
    )  # fmt: skip
    end_of_process()
    on_it("plan", *model, *kept, "--samples", 40, "--budget", "70%", "-o", plan)
    on_it("migrate", "--plan", plan, *kept, *agreed)
    on_it("verify")
    assert "docs" in on_it("status")
    on_it("refine", *kept, "--no-refit", "--yes")
    after = everything(maker.client().collection(address))
    assert_same(after, before, with_vectors=False)
    assert_same_vectors(after.vectors, NEW.embed(TEXTS), maker.tolerance("l2"))
    maker.let_go()
    on_it("rollback", "--yes")
    assert_same(everything(maker.client().collection(address)), before)
    maker.let_go()
    on_it("clean", "--yes")
    assert maker.client().versions() == []
