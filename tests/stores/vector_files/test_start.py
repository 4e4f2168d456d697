"""A server starts with another model, and its vectors are an array without texts, from which nothing is learned."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator, Registry, auto_migrate
from lightmigrate.registry.library import ENVIRONMENT
from tests.databases import folder_hash
from tests.startup.starts import CORPUS, MINILM, NEW, ROWS, WORDLLAMA, fitted, registry, vectors_of


@pytest.fixture
def array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MiniLM's vectors, and nothing beside them; the registry is empty."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "registry"))
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "abstracts.npy", vectors_of(MINILM)[:ROWS])
    return tmp_path / "vectors" / "abstracts.npy"


def test_without_a_projection_it_is_left_with_what_helps(array: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = folder_hash(array.parent)
    report = auto_migrate(array, NEW, on_failure="raise")
    (collection,) = report.collections
    assert (report.action, collection.action) == ("refused", "refused")
    assert folder_hash(array.parent) == before
    assert "No projection found for 384D → 256D" in collection.reason
    assert "Migrator.train(…, texts={ID: TEXT, …}), and put it into the registry" in collection.reason
    assert "LIGHTMIGRATE_CALIBRATE" not in collection.reason, "a start learns from texts, and finds none"
    assert collection.reason in caplog.text

    texts = {str(row): text for row, text in enumerate(CORPUS.documents[:ROWS])}
    training = Migrator(array).train("abstracts", NEW, samples=ROWS, texts=texts)
    Registry(array.parents[1] / "registry").add(training.projection, "learned.npz")
    assert auto_migrate(array, NEW, on_failure="raise").action == "migrated"


def test_a_known_projection_is_taken_and_said_not_to_be_measured(array: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lightmigrate")
    old = array.read_bytes()
    registry(array.parents[1] / "registry", (MINILM, WORDLLAMA))
    report = auto_migrate(array, NEW, on_failure="raise")
    (collection,) = report.collections
    assert (report.action, collection.origin, collection.migrated) == ("migrated", "projection", ROWS)
    assert collection.preservation is not None
    assert collection.preservation.expected is None
    assert "Semantic preservation: not measured on this collection" in caplog.text
    wanted = fitted(MINILM, WORDLLAMA).apply(vectors_of(MINILM)[:ROWS])
    np.testing.assert_allclose(np.load(array), wanted, rtol=1e-5, atol=1e-6)
    assert auto_migrate(array, NEW, on_failure="raise").action == "nothing"
    Migrator(array).rollback()
    assert array.read_bytes() == old
