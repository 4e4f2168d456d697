"""Vectors that are the new model's own, or lead to them by arithmetic: `plan` and `migrate` see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.cli.app import main
from lightmigrate.providers.same_model import PROBE
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.training.other_form import DOCUMENTS
from lightmigrate.vectors import Vectors
from tests.cli.calls import refused, run
from tests.databases import folder_hash
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.startup.starts import CORPUS

ROWS, TEXTS = 300, CORPUS.documents[:300]
OWN = shared_wordllama(128).embed(TEXTS)
NEW = (
    "--target-provider",
    "chroma",
    "--target-model",
    json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 128}}),
)

# Texts that a model may be asked for where nothing is learned: some tell whose the vectors are, and how fast it is.
A_FEW = DOCUMENTS + 20


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the model was asked for."""
    texts: list[str] = []
    embed = WordLlamaFunction.embed

    def noted(function: WordLlamaFunction, said: list[str]) -> Any:
        texts.extend(text for text in said if text != PROBE)
        return embed(function, said)

    monkeypatch.setattr(WordLlamaFunction, "embed", noted)
    return texts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "home" / "chroma_data"


def fill(folder: Path, vectors: Vectors, space: str = "l2") -> None:
    with open_client(folder) as client:
        collection = client.create_collection(
            "notes", embedding_function=None, configuration={"hnsw": {"space": space}}
        )
        collection.add([str(row) for row in range(ROWS)], embeddings=list(vectors), documents=TEXTS)


def compared(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """The comparison of a plan."""
    return json.loads(run(capsys, "plan", *words, "--json"))["comparison"]


def test_the_models_own_vectors_are_left_and_nothing_is_measured(
    folder: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, OWN)
    before = folder_hash(folder)
    found = compared(capsys, folder, *NEW)
    assert [route["kind"] for route in found["routes"]] == ["own"]
    assert (found["chosen"]["tokens"], found["chosen"]["expected"]["value"]) == (0, 1.0)
    told = run(capsys, "plan", folder, *NEW)
    assert "nothing to do" in told
    assert "next: lightmigrate doctor" in told, "no migration"
    assert len(set(asked)) <= A_FEW
    said = refused(capsys, "migrate", folder, *NEW, "--yes")
    reason = found["reason"].split(";")[0]
    assert "vectors are this model's to the last digits" in reason
    assert reason in said, "a plan and a migration say the same"
    assert len(set(asked)) <= 2 * A_FEW
    assert folder_hash(folder) == before

    # whoever names the collection is told so
    assert reason in " ".join(compared(capsys, folder, *NEW, "--collection", "notes")["recognised"].split())
    assert reason in run(capsys, "plan", folder, *NEW, "--collection", "notes")


def test_no_budget_is_planned_for_what_costs_nothing(
    folder: Path, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, OWN)
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(folder), *NEW, "--budget", "50%", "-o", str(tmp_path / "plan.json")])
    assert ended.value.code == 2
    assert "no budget can be chosen: nothing to do" in " ".join(capsys.readouterr().err.split())
    assert len(set(asked)) <= A_FEW
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize(
    ("stored", "calculation"),
    [
        (2.5 * OWN, "rescale"),
        (shared_wordllama(256).embed(TEXTS), "cut to 128 numbers"),
    ],
    ids=["another length", "more numbers"],
)
def test_what_follows_by_arithmetic_is_planned_and_computed(
    folder: Path, asked: list[str], stored: Vectors, calculation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(folder, stored)
    before = folder_hash(folder)
    found = compared(capsys, folder, *NEW)
    assert [route["kind"] for route in found["routes"]] == ["nothing", "computed", "everything"]
    chosen = found["chosen"]
    assert (chosen["kind"], chosen["description"]) == ("computed", calculation)
    assert (chosen["texts"], chosen["tokens"], chosen["expected"]["value"]) == (0, 0, 1.0)
    assert chosen["exact_seconds"] == chosen["seconds"] > 0
    assert found["routes"][-1]["texts"] > 0
    told = run(capsys, "plan", folder, *NEW)
    assert f"{calculation}: exact, and nothing is learned" in told
    assert "next: lightmigrate migrate" in told
    assert folder_hash(folder) == before
    assert len(set(asked)) <= A_FEW
    run(capsys, "migrate", folder, *NEW, "--yes")
    assert len(set(asked)) <= 2 * A_FEW
    with open_client(folder) as client:
        held = client.get_collection("notes", embedding_function=None)
        new = np.asarray(held.get([str(row) for row in range(ROWS)], include=["embeddings"])["embeddings"])
    np.testing.assert_allclose(new, OWN, atol=1e-5)
    assert compared(capsys, folder, *NEW)["chosen"]["kind"] == "own"


def test_what_was_projected_to_the_model_is_not_projected_once_more(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(128, 128)))[0].astype(np.float32)
    fill(folder, OWN @ turned)
    assert compared(capsys, folder, *NEW)["chosen"]["kind"] == "everything"
    run(capsys, "migrate", folder, *NEW, "--calibrate", 50, "--force", "--yes")
    assert compared(capsys, folder, *NEW)["chosen"]["kind"] == "own"
    assert "a migration brought notes to" in run(capsys, "plan", folder, *NEW)
    assert "no collection has vectors of another model" in refused(capsys, "migrate", folder, *NEW, "--yes")
    run(capsys, "rollback", folder, "--yes")
    assert compared(capsys, folder, *NEW)["chosen"]["kind"] == "everything"
