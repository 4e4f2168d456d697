"""`refine` asks when something is to be paid, and only then; with a real server whose model has a price."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.vectors import Vectors
from tests.budget.collections import build, cached, migrated, planned, texts
from tests.cli.calls import refused
from tests.cli.calls import run as printed
from tests.cli.test_budget import run
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, MODEL, EmbeddingServer, running_server

DOCUMENTS = texts(120)


def quick(server: EmbeddingServer, asked: list[str], model: str) -> Vectors:
    """A real encoder that takes no time."""
    server.texts += asked
    return shared_wordllama(128).embed(asked)


def test_it_asks_only_when_something_is_to_be_paid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(EmbeddingServer, "embed", quick)
    folder, plan = build(tmp_path / "home" / "db", DOCUMENTS), tmp_path / "plan.json"
    cache = tmp_path / "cache.sqlite3"
    with running_server() as server:
        target = ["--target-provider", "openai", "--target-model", MODEL, "--target-url", server.url, "--price", "1"]
        options = ["--samples", 30, "--budget", "70%", "-o", plan, "--cache", cache]
        assert run(capsys, "plan", folder, *target, *options)[0] == 0
        migrate = ["migrate", folder, "--plan", plan, "--cache", cache, "--yes", "--force"]
        assert run(capsys, *migrate)[0] == 0
        asked = len(server.texts)
        code, _, err = run(capsys, "refine", folder, "--cache", cache)
        assert code == 2
        assert "minilm will embed" in err
        assert "add --yes" in err
        assert len(server.texts) == asked, "the model is not called before"

        provider = Cached(OpenAIProvider(MODEL, base_url=server.url), cache)
        provider.embed(DOCUMENTS)  # by whatever run
        provider.close()
        code, done, err = run(capsys, "refine", folder, "--cache", cache, "--no-refit", "--json")
        assert (code, done["status"]["share_exact"]) == (0, 1.0)
        assert done["embedded"] > 0
        assert "will embed" not in err
        assert run(capsys, "refine", folder, "--cache", tmp_path / "another")[0] == 0, "nothing is left to embed"


def test_rows_without_a_text_are_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [None if row % 5 == 0 else text for row, text in enumerate(DOCUMENTS)]
    folder, provider = build(tmp_path / "db", documents), cached(tmp_path)
    plan = planned(folder, provider, samples=30)
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    assert "refine" in printed(capsys, "status", folder)
    limited = Migrator(folder).refine("notes", provider, documents=5).status
    assert limited.waiting == limited.records - limited.exact
    status = Migrator(folder).refine("notes", provider).status
    provider.close()
    assert (status.left, status.waiting) == (documents.count(None), 0)
    said = printed(capsys, "status", folder)
    assert f"{status.left} rows have no text that the model takes: they stay projected" in said
    assert "refine(" not in said
    code, done, _ = run(capsys, "refine", folder, "--json")
    assert (code, done["embedded"]) == (0, 0)


def test_what_only_the_application_can_go_on_with_is_not_proposed_as_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, provider = migrated(tmp_path)
    from_python = f"lightmigrate.Migrator({str(folder)!r}).refine('notes', EMBEDDING_FUNCTION)"
    said = printed(capsys, "status", folder)
    assert f"lightmigrate refine {folder}" not in said
    assert from_python in said
    assert from_python in refused(capsys, "refine", folder)
    status = Migrator(folder).refine("notes", provider).status
    provider.close()
    assert status.exact == status.records
    code, done, _ = run(capsys, "refine", folder, "--json")
    assert (code, done["embedded"], done["status"]["share_exact"]) == (0, 0, 1.0)
