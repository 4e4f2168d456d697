"""A server begins to serve another model under the same name in the middle of a command: nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.vectors import Vectors
from tests.budget.collections import NOTES, build, texts, vectors_in
from tests.databases import folder_hash
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

Embed = Callable[[list[str]], Vectors]
Run = Callable[..., tuple[int, str]]

DOCUMENTS = texts(260)
FIRST: Embed = shared_wordllama(128).embed
OTHER_DIMENSION: Embed = shared_wordllama(64).embed


def SAME_DIMENSION(texts: list[str]) -> Vectors:  # noqa: N802  # beside the other one
    return np.ascontiguousarray(FIRST(texts)[:, ::-1])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as running:
        running.model = FIRST
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return build(tmp_path / "home" / "db", DOCUMENTS)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; its exit code, and what it said on one line."""

    def call(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join((out + err).split())

    return call


def exchange_after(server: EmbeddingServer, more: int, second: Embed) -> None:
    """The server serves another model once it has embedded so many more texts."""
    last = len(server.texts) + more
    server.model = lambda texts: (FIRST if len(server.texts) <= last else second)(texts)


def require_all_of(folder: Path, embed: Embed) -> None:
    np.testing.assert_allclose(np.stack(list(vectors_in(folder).values())), embed(DOCUMENTS), atol=1e-6)


@pytest.mark.parametrize(
    ("how", "second"),
    [
        ("in full", SAME_DIMENSION),
        ("in full", OTHER_DIMENSION),
        ("embed again", SAME_DIMENSION),
        ("by a plan", SAME_DIMENSION),
    ],
)
def test_a_migration_ends_and_the_next_one_is_of_one_model(
    run: Run, folder: Path, server: EmbeddingServer, tmp_path: Path, how: str, second: Embed
) -> None:
    before = folder_hash(folder)
    target = ("--target-provider", "openai", "--target-model", MODEL, "--target-url", server.url)
    words: Sequence[object] = ("migrate", folder, *target, "--yes")
    if how == "embed again":
        words = (*words, "--embed-again", "-c", "notes")
    if how == "by a plan":
        plan = tmp_path / "plan.json"
        options = ("--samples", 60, "--budget", "70%", "-o", plan)
        assert run("plan", folder, *target, "--price", 1, *options)[0] == 0
        words = ("migrate", folder, "--plan", plan, "--yes", "--force")
    exchange_after(server, 150, second)
    code, said = run(*words)
    assert (code, "was the model exchanged" in said) == (1, True), said
    assert folder_hash(folder) == before
    run("resume", folder)
    assert folder_hash(folder) == before, "there is nothing to go on with"
    if how == "by a plan":
        words = ("migrate", folder, *target, "--yes")
    code, said = run(*words)
    assert code == 0, said
    require_all_of(folder, second)
    assert run("rollback", folder, "--yes")[0] == 0
    assert folder_hash(folder) == before


def test_refine_keeps_what_it_had_done(run: Run, folder: Path, server: EmbeddingServer, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    target = ("--target-provider", "openai", "--target-model", MODEL, "--target-url", server.url, "--price", 1)
    assert run("plan", folder, *target, "--samples", 60, "--budget", "50%", "-o", plan)[0] == 0
    assert run("migrate", folder, "--plan", plan, "--yes", "--force")[0] == 0
    old, done = vectors_in(folder), exact(folder)
    exchange_after(server, 100, SAME_DIMENSION)
    words = ("refine", folder, "--yes", "--no-refit")
    code, said = run(*words)
    assert (code, "was the model exchanged" in said) == (1, True), said
    now, more = vectors_in(folder), exact(folder)
    assert len(done) < len(more) < len(DOCUMENTS), "a batch before it is done, and stays so"
    own = dict(zip(now, FIRST(DOCUMENTS), strict=True))
    for row, vector in now.items():
        np.testing.assert_allclose(vector, own[row] if row in more else old[row], atol=1e-6)
    code, said = run(*words)
    assert (code, "gives other vectors" in said) == (1, True), said
    assert vectors_in(folder).keys() == now.keys()
    server.model = FIRST
    code, said = run(*words)
    assert code == 0, said
    require_all_of(folder, FIRST)


def exact(folder: Path) -> set[str]:
    with Provenance.existing(folder) as provenance:
        return set(provenance.ids(NOTES, VectorOrigin.EXACT))
