"""A background refinement of several collections: one that cannot be refined is left out, and the others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.refinement.partly_refined import MOST_SEARCHED
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance
from lightmigrate.stores.base import Address
from tests.startup.serving import FIRST_STEP, open_folder, settings_of
from tests.startup.starts import CORPUS, MINILM, NEW, WORDLLAMA, vectors_of

TIMEOUT = 300
NAMES = ("first", "second", "third")
ROWS = 240


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three collections of the old model; the first is the largest, and so the first that is refined."""
    monkeypatch.delenv("LIGHTMIGRATE_REFINE")
    for name, value in settings_of(tmp_path).items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "home" / "chroma_data"
    with open_folder(place) as client:
        for number, name in enumerate(NAMES):
            add(client, name, vectors_of(MINILM), ROWS - 10 * number)
    return place


def add(client: Any, name: str, vectors: Any, rows: int) -> None:
    client.create_collection(name, embedding_function=None).add(
        ids=[f"m{row}" for row in range(rows)], embeddings=vectors[:rows], documents=CORPUS.documents[:rows]
    )


def waiting(place: Path) -> dict[str, int]:
    """The rows that are not exact, by collection."""
    with Provenance.existing(place) as provenance:
        return {name: len(list(provenance.ids(Address(name), *NOT_EXACT))) for name in NAMES}


def require_exact(client: Any, name: str, rows: int) -> None:
    held = client.get_collection(name, embedding_function=None).get(include=["embeddings"])
    vectors = dict(zip(held["ids"], np.asarray(held["embeddings"]), strict=True))
    for row in range(rows):
        np.testing.assert_allclose(vectors[f"m{row}"], vectors_of(WORDLLAMA)[row], atol=1e-5)


def test_one_bad_collection_does_not_end_the_refinement_of_the_others(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The largest holds vectors of nobody, another one is gone; the third becomes exact."""
    refinement = auto_migrate(folder, NEW, **FIRST_STEP).refinement
    assert refinement is not None
    refinement.pause()
    before = waiting(folder)
    assert min(before.values()) > 0
    with open_folder(folder) as client:
        held = client.get_collection("first", embedding_function=None)
        strange = np.random.default_rng(0).normal(size=(ROWS, 256)).astype(np.float32)
        held.update([f"m{row}" for row in range(ROWS)], embeddings=strange)
        client.delete_collection("second")
        refinement.resume()
        assert refinement.wait(TIMEOUT)
        require_exact(client, "third", ROWS - 20)
    assert waiting(folder)["third"] == 0
    left_out = [line for line in caplog.messages if "is left out of refining" in line]
    assert sorted(line.split()[1] for line in left_out) == ["first", "second"]
    assert refinement.status.state == "failed"
    assert refinement.status.reason.startswith("2 of 3 collections are left out: first: collection first: 0 of ")
    assert refinement.status.exact == before["third"]


def test_a_collection_that_is_replaced_in_the_middle_is_left_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refinement = auto_migrate(folder, NEW, **FIRST_STEP, rows_per_second=10.0).refinement
    assert refinement is not None
    with open_folder(folder) as client:
        while not refinement.status.exact:
            client.heartbeat()
            assert not refinement.wait(0.01)
        client.delete_collection("first")
        add(client, "first", vectors_of(WORDLLAMA)[:, ::-1], 9)
        while not any("is left out" in line for line in caplog.messages):
            client.heartbeat()
            assert not refinement.wait(0.01)
        refinement.stop()
        assert refinement.wait(TIMEOUT)
        held = client.get_collection("first", embedding_function=None).get(include=["embeddings"])
        np.testing.assert_allclose(held["embeddings"], vectors_of(WORDLLAMA)[:9, ::-1], atol=1e-6)
    (line,) = [line for line in caplog.messages if "is left out" in line]
    assert line.startswith("⚠ first is left out of refining in the background: ")
    assert refinement.status.state == "stopped"


def test_ids_of_searches_that_nobody_takes_do_not_pile_up(folder: Path) -> None:
    refinement = auto_migrate(folder, NEW, **FIRST_STEP).refinement
    assert refinement is not None
    for start in range(0, 3 * MOST_SEARCHED, 1000):
        refinement.searched([f"m{start + row}" for row in range(1000)])
    assert len(refinement._handed_over) == MOST_SEARCHED
    refinement.stop()
    assert refinement.wait(TIMEOUT)
