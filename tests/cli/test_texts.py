"""Texts that are not the document, through every command: planned, migrated, refined until all rows are exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.encoders import WordLlamaFunction, shared_wordllama

ROWS = 240
TEXTS = [text[:240] for text in load_corpus().documents[:ROWS]]
TITLES = [f"Report number {row % 30} of the year" for row in range(ROWS)]
TITLED = [f"{title}\n{text}" for title, text in zip(TITLES, TEXTS, strict=True)]
MODEL = json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 256}})
TARGET = ("--target-provider", "chroma", "--target-model", MODEL)

Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command and returns its JSON."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*words: object) -> Any:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in (*words, "--json")])
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return json.loads(out)

    return run


def titled(folder: Path) -> Path:
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(ROWS)],
            embeddings=shared_wordllama(128).embed(TITLED),
            documents=TEXTS,
            metadatas=[{"title": title} for title in TITLES],
        )
    return folder


def memories(folder: Path) -> Path:
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(ROWS)],
            embeddings=shared_wordllama(128).embed(TEXTS),
            metadatas=[{"data": text, "hash": f"{row:032x}"} for row, text in enumerate(TEXTS)],
        )
    return folder


def stored(folder: Path) -> Vectors:
    with open_client(folder) as client:
        rows = client.get_collection("notes", embedding_function=None).get(include=["embeddings"])
    return np.asarray(rows["embeddings"], np.float32)


@pytest.mark.parametrize(
    ("made", "embedded", "options"),
    [
        (titled, TITLED, ("--text-template", r"{title}\n{document}")),
        (memories, TEXTS, ("--text-field", "data")),
        (memories, TEXTS, ()),
    ],
    ids=["template", "field", "found"],
)
def test_a_plan_reads_them_and_all_that_follows_it_does(
    run: Run, tmp_path: Path, made: Callable[[Path], Path], embedded: list[str], options: tuple[str, ...]
) -> None:
    folder, plan = made(tmp_path / "db"), tmp_path / "plan.json"
    run("plan", folder, *TARGET, *options, "--budget", "80%", "--samples", "20", "-o", plan)
    assert json.loads(plan.read_text())["text_form"]["kind"] == ("template" if made is titled else "field")
    run("migrate", folder, "--plan", plan, "--yes", "--force")
    run("refine", folder, "--yes", "--no-refit")
    (status,) = run("status", folder)
    assert status["exact"] == ROWS
    np.testing.assert_allclose(stored(folder), shared_wordllama(256).embed(embedded), atol=1e-5)


def test_a_projection_says_which_texts_it_reads_and_a_migration_reads_them(run: Run, tmp_path: Path) -> None:
    folder, template = titled(tmp_path / "db"), ("--text-template", r"{title}\n{document}")
    trained = run(
        "train",
        "--from",
        folder,
        *TARGET,
        *template,
        "--samples",
        "80",
        "--output-dir",
        tmp_path / "p",
        "--failing",
        "0",
    )
    assert trained["projection"]["training"]["texts"] == {"kind": "template", "template": "{title}\n{document}"}
    run("migrate", folder, "--projection", trained["files"][0], "--yes", "--force")
    true = np.sum(stored(folder) * shared_wordllama(256).embed(TITLED), axis=1).mean()
    assert true > np.sum(stored(folder) * shared_wordllama(256).embed(TEXTS), axis=1).mean()
