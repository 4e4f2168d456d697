"""`auto_migrate(distance=…)`: the distance changes with the model or alone, once, and later starts do nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator, auto_migrate
from lightmigrate.errors import ModelMismatchError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests import encoders
from tests.databases import folder_hash, make_vectors
from tests.startup.starts import CORPUS, MINILM, NEW, ROWS, WORDLLAMA, database_of, stored, vectors_of, write


def spaces(folder: Path) -> dict[str, tuple[str, str | None]]:
    return {facts.name: (facts.space, facts.stated_space) for facts in Migrator(folder).collections()}


def test_it_changes_alone_where_the_model_is_the_right_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lightmigrate")
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    write(folder, np.empty((0, 256), np.float32), name="other")
    before = stored(folder)
    report = auto_migrate(folder, NEW, distance="cosine")
    assert (report.action, report.error) == ("migrated", "")
    assert {one.finding.name: (one.finding.verdict, one.distance, one.origin) for one in report.collections} == {
        "memory": ("same", "cosine", None),
        "other": ("empty", "cosine", None),
    }
    assert "memory: l2 → cosine, the vectors stay as they are" in caplog.text
    assert "2 collections: now compared by cosine; the vectors are as they were" in caplog.text
    assert spaces(folder) == {"memory": ("cosine", None), "other": ("cosine", None)}
    np.testing.assert_allclose(
        stored(folder), before, atol=1e-6
    )  # Chroma scales to length 1 what it compares by cosine

    calls, untouched = encoders._Function.calls, folder_hash(folder)
    again = auto_migrate(folder, NEW, distance="cosine")
    assert (again.action, {one.distance for one in again.collections}) == ("nothing", {None})
    assert encoders._Function.calls == calls + 1, "the text by which an exchanged model is noticed"
    assert "before its distance was changed" in again.collections[0].finding.evidence
    assert folder_hash(folder) == untouched


def test_it_changes_with_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data")
    monkeypatch.setenv("LIGHTMIGRATE_DISTANCE", "Cosine")
    report = auto_migrate(folder, NEW)
    assert (report.action, report.collections[0].origin) == ("migrated", "embedded")
    assert spaces(folder) == {"memory": ("cosine", None)}
    assert auto_migrate(folder, NEW).action == "nothing"
    monkeypatch.setenv("LIGHTMIGRATE_DISTANCE", "manhattan")
    wrong = auto_migrate(folder, NEW)
    assert (wrong.action, "LIGHTMIGRATE" in wrong.error or "distance is 'manhattan'" in wrong.error) == ("failed", True)


def test_lengths_that_did_not_matter_before_are_mended_when_they_will(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "chroma_data"
    write(folder, vectors_of(WORDLLAMA)[:ROWS] * 3, documents=CORPUS.documents[:ROWS])
    assert auto_migrate(folder, NEW, distance="cosine").collections[0].origin == "arithmetic"
    with_lengths = tmp_path / "other" / "chroma_data"
    write(with_lengths, vectors_of(WORDLLAMA)[:ROWS] * 3, documents=CORPUS.documents[:ROWS])
    Migrator(with_lengths).migrate_collection("memory", distance="cosine")
    assert auto_migrate(with_lengths, NEW).action == "nothing"
    report = auto_migrate(with_lengths, NEW, distance="l2")
    assert (report.action, report.collections[0].origin) == ("migrated", "arithmetic")
    np.testing.assert_allclose(np.linalg.norm(stored(with_lengths), axis=1), 1, atol=1e-5)
    assert spaces(with_lengths) == {"memory": ("l2", None)}


def test_what_the_policy_does_not_allow_is_only_said(tmp_path: Path) -> None:
    folder = database_of(WORDLLAMA, tmp_path / "home" / "chroma_data")
    auto_migrate(folder, NEW)
    before = folder_hash(folder)
    report = auto_migrate(folder, NEW, distance="cosine", on_mismatch="warn")
    assert (report.action, report.collections[0].reason) == ("warned", "its distance is l2, and the policy's is cosine")
    with pytest.raises(ModelMismatchError, match="its distance is l2, and the policy's is cosine"):
        auto_migrate(folder, NEW, distance="cosine", on_mismatch="raise")
    assert folder_hash(folder) == before


def test_what_cannot_have_it_is_named_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    database = MemoryDatabase()
    database.create_collection(Address("docs"), 16, "l2", {})
    store = MemoryStore(database)
    monkeypatch.setattr(MemoryStore, "fixed_distance", lambda self, address: "its index cannot be built again")
    page = Page([f"r{row}" for row in range(9)], make_vectors(9), [None] * 9, [None] * 9)
    store.collection(Address("docs")).add(page)
    report = auto_migrate(store, expected_dim=16, distance="cosine")
    assert report.action == "warned"
    assert "cannot be changed to cosine: its index cannot be built again" in report.collections[0].reason
