"""`plan` says plainly which is better: to stay with the old model, to project, or to embed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.providers.base import Bill
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.budget.collections import ROWS, build, texts
from tests.cli.calls import run
from tests.encoders import WordLlamaFunction

NEW = WordLlamaFunction(128)
MODEL = json.dumps({"name": NEW.name(), "config": NEW.get_config()})


def of(vectors: Vectors, place: Path) -> Path:
    """A database of the abstracts with these vectors."""
    with open_client(place) as client:
        client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}).add(
            ids=[f"n{row}" for row in range(ROWS)], documents=texts(), embeddings=vectors
        )
    return place


def stretched() -> Vectors:
    """What a matrix undoes, but no search: a few directions drown the others, and with them what is near."""
    return np.asarray(turned(NEW) * np.linspace(0.03, 3, 128) ** 5, dtype=np.float32)


def turned(model: WordLlamaFunction) -> Vectors:
    """A model's vectors in other directions: the same neighbours, and none of its numbers."""
    new = np.asarray(model.embed(texts()), dtype=np.float64)
    directions, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(new.shape[1], new.shape[1])))
    return np.asarray(new @ directions, dtype=np.float32)


@pytest.fixture
def words(tmp_path: Path) -> list[Any]:
    return ["--target-provider", "chroma", "--target-model", MODEL, "--cache", tmp_path / "c.sqlite3", "--samples", 60]


def test_stay(tmp_path: Path, words: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The same model with more numbers: both agree on nearly everything."""
    folder = of(turned(WordLlamaFunction(256)), tmp_path / "db")
    said = run(capsys, "plan", folder, *words)
    assert "better: stay with the old model: no less is expected of doing nothing (1.10) than of the new model" in said
    assert f"migrate would take: embed all {ROWS}" in said
    assert "next: lightmigrate migrate" in said, "who wants the new model all the same finds how"
    said = run(capsys, "plan", folder, *words, "--budget", "45%")
    assert "better for this budget: stay with the old model: " in said
    assert json.loads(run(capsys, "plan", folder, *words, "--json"))["comparison"]["better"] == "stay"


def test_embed_again(tmp_path: Path, words: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = build(tmp_path / "db")
    said = run(capsys, "plan", folder, *words)
    assert f"better: embed again: embed all {ROWS}: exact, and " in said
    said = run(capsys, "plan", folder, *words, "--budget", "100%")
    assert "better for this budget: embed again: more is expected of this (1.00) than of doing nothing (0.9" in said
    said = run(capsys, "plan", folder, *words, "--budget", "45%")
    assert "better for this budget: stay with the old model: no more is expected of this" in said
    assert "than of doing nothing (0.95), embedding everything (--budget 100%) keeps 1" in said


def test_project(
    tmp_path: Path, words: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ChromaProvider, "priced", lambda provider, tokens: Bill(tokens, tokens / 1000))
    folder = of(stretched(), tmp_path / "db")
    said = run(capsys, "plan", folder, *words, "--quality", ".8")
    assert "better: project: embed " in said
    assert "the cheapest route that is expected to keep 0.80 or more" in said
    assert "better for this budget: project: more is expected of this (0.8" in said
    assert "not certain, their intervals overlap" in said
    assert json.loads(run(capsys, "plan", folder, *words, "--quality", ".8", "--json"))["comparison"]["better"] == (
        "project"
    )
