"""`migrate --target-model` where old and new vectors are equally long: whose they are is measured, not guessed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.migration.history import HISTORY_FILE, HistoryEntry, model_after
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.cli.calls import refused, run
from tests.databases import folder_hash
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.startup.starts import CORPUS

ROWS, DIMENSION = 120, 256
NEW = (
    "--target-provider",
    "chroma",
    "--target-model",
    json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 256}}),
)
OWN = shared_wordllama().embed(CORPUS.documents[:ROWS])
OF_ANOTHER, OF_A_THIRD = (
    OWN @ np.linalg.qr(np.random.default_rng(seed).normal(size=(DIMENSION, DIMENSION)))[0].astype(np.float32)
    for seed in range(2)
)


def add(folder: Path, name: str, vectors: Vectors, *, texts: bool = True) -> None:
    with open_client(folder) as client:
        collection = client.create_collection(name, embedding_function=None)
        documents = CORPUS.documents[:ROWS] if texts else None
        collection.add([str(row) for row in range(ROWS)], embeddings=list(vectors), documents=documents)


def stored(folder: Path, name: str) -> Vectors:
    with open_client(folder) as client:
        collection = client.get_collection(name, embedding_function=None)
        return np.asarray(collection.get([str(row) for row in range(ROWS)], include=["embeddings"])["embeddings"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "home" / "chroma_data"


def test_collections_of_another_model_are_migrated_and_the_models_own_are_left(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(folder, "of-another", OF_ANOTHER)
    add(folder, "own", OWN)
    add(folder, "without-texts", OF_A_THIRD, texts=False)
    assert f"of-another: {ROWS} records" in run(capsys, "migrate", folder, *NEW, "--yes")
    np.testing.assert_allclose(stored(folder, "of-another"), OWN, atol=1e-5)
    np.testing.assert_array_equal(stored(folder, "own"), OWN)
    np.testing.assert_array_equal(stored(folder, "without-texts"), OF_A_THIRD)

    # what was migrated to the model is left, and goes again when it was put back
    before = folder_hash(folder)
    said = refused(capsys, "migrate", folder, *NEW, "--yes")
    assert "name it (--collection) to migrate it" in said
    assert folder_hash(folder) == before
    run(capsys, "rollback", folder, "--yes")
    run(capsys, "migrate", folder, *NEW, "--yes")
    np.testing.assert_allclose(stored(folder, "of-another"), OWN, atol=1e-5)


def test_a_projected_collection_is_not_projected_once_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(folder, "notes", OF_ANOTHER)
    run(capsys, "migrate", folder, *NEW, "--calibrate", 50, "--force", "--yes")
    for _ in range(2):
        before = folder_hash(folder)
        assert "no collection has vectors of another model than" in refused(capsys, "migrate", folder, *NEW, "--yes")
        assert folder_hash(folder) == before
        for file in folder.parent.rglob(HISTORY_FILE):  # as an older version left it
            file.unlink()


def entry(event: str, backup: str, *, source: str = "", target: str = "", **more: object) -> HistoryEntry:
    def model(name: str) -> Mapping[str, object]:
        return {"name": name, "dimension": 4} if name else {}

    place = {"collection_name": "notes", "tenant": "t", "database": "d"}
    fields = {"source": model(source), "target": model(target), **more}
    return HistoryEntry(at="", event=event, backup=backup, **place, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("entries", "expected"), [
    ([], None),
    ([entry("migrated", "1", source="a", target="b")], "b"),
    ([entry("migrated", "1", source="a", target="b", undone=True)], None),
    ([entry("migrated", "1", source="a", target="b", exchanged=False)], None),
    ([entry("migrated", "1", source="a", target="b"), entry("migrated", "2")], "b"),  # another distance
    ([entry("migrated", "1", source="a", target="b"), entry("rolled back", "2", restored="1")], "a"),
    ([entry("migrated", "1", source="a", target="b"), entry("rolled back", "2", restored="1"),
      entry("rolled back", "3", restored="2")], "b"),
    ([entry("migrated", "1", source="a", target="b"), entry("rolled back", "2", restored="gone")], None),
])  # fmt: skip
def test_the_model_after_all_that_was_done(entries: list[HistoryEntry], expected: str | None) -> None:
    assert model_after(entries).get("name") == expected


def half_of(first: Vectors, second: Vectors) -> Vectors:
    return np.where(np.arange(ROWS)[:, None] % 2, first, second)


@pytest.mark.parametrize("named", [True, False])
def test_vectors_of_two_other_models_are_all_embedded(
    named: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of which no projection may be paid for: it would be refused when all is embedded and paid for."""
    add(folder, "notes", half_of(OF_ANOTHER, OF_A_THIRD))
    which = ("--collection", "notes") if named else ()
    assert "rows of 2 models" in run(capsys, "plan", folder, *NEW, *which)
    with pytest.raises(SystemExit, match="2"):
        main(["plan", str(folder), *NEW, "--collection", "notes", "--budget", "30%"])
    assert "no budget can be chosen: no projection fits vectors of several models" in capsys.readouterr().err
    run(capsys, "migrate", folder, *NEW, *which, "--yes")
    np.testing.assert_allclose(stored(folder, "notes"), OWN, atol=1e-5)


def test_what_was_half_embedded_again_is_finished_when_it_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(folder, "notes", half_of(OF_ANOTHER, OWN))
    before = folder_hash(folder)
    assert "name it (--collection)" in refused(capsys, "migrate", folder, *NEW, "--yes")
    assert folder_hash(folder) == before
    run(capsys, "migrate", folder, *NEW, "--collection", "notes", "--yes")
    np.testing.assert_allclose(stored(folder, "notes"), OWN, atol=1e-5)


def test_every_collection_that_is_left_is_named_where_none_is_migrated(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(folder, "a-own", OWN)
    add(folder, "notes", half_of(OF_ANOTHER, OWN))
    said = refused(capsys, "migrate", folder, *NEW, "--yes")
    assert "a-own" in said
    assert "notes" in said


def test_models_that_a_plan_cannot_take_together_are_migrated_by_what_it_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(folder, "one", OF_ANOTHER)
    add(folder, "other", OF_A_THIRD[:, :64])
    said = refused(capsys, "plan", folder, *NEW)
    command = said.partition("each model by itself: lightmigrate ")[2]
    run(capsys, *shlex.split(command), "--yes")
    for name in ("one", "other"):
        np.testing.assert_allclose(stored(folder, name), OWN, atol=1e-5)


def test_vectors_that_hold_nothing_are_not_needed_where_all_is_embedded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some applications store zeros when their model fails. Refused, they would have been embedded and paid for."""
    add(folder, "notes", np.where(np.arange(ROWS)[:, None] < 5, np.float32(0), OF_ANOTHER))
    run(capsys, "migrate", folder, *NEW, "--yes")
    np.testing.assert_allclose(stored(folder, "notes"), OWN, atol=1e-5)
