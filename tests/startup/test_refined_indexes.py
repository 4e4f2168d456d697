"""At the start after a refinement, an index whose graph was loosened is built anew, and nothing else changes."""

from __future__ import annotations

import json
import logging
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator, auto_migrate
from lightmigrate.cli.app import main
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.refined_index import RECALL, recall_of, unmeasured
from lightmigrate.startup import refined_indexes
from lightmigrate.stores.base import Address
from tests.startup.serving import FIRST_STEP, IDS, fill, open_folder, require_exact, search, settings_of
from tests.startup.starts import MINILM, NEW, vectors_of

MEMORY = Address("memory")

# So sparse that searches miss some, and that exchanging vectors shows; and on the disk, not built anew when opened.
SPARSE: dict[str, Any] = {
    "space": "cosine",
    "ef_search": 12,
    "ef_construction": 30,
    "max_neighbors": 6,
    "batch_size": 20,
    "sync_threshold": 20,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database that was migrated, and refined while it served."""
    monkeypatch.delenv("LIGHTMIGRATE_REFINE")
    for name, value in settings_of(tmp_path).items():
        monkeypatch.setenv(name, value)
    place = tmp_path / "home" / "chroma_data"
    with open_folder(place) as client:
        fill(client, SPARSE)
    report = auto_migrate(place, NEW, **FIRST_STEP)
    with open_folder(place) as client:
        search(client, report)
    return place


def recall(folder: Path) -> float:
    with Migrator(folder)._reading() as store:
        found = recall_of(store.collection(MEMORY))
    assert found is not None
    return found


def test_the_index_is_built_anew_and_the_vectors_stay(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    loosened = recall(folder)
    with caplog.at_level(logging.INFO, "lightmigrate"):
        report = auto_migrate(folder, NEW, **FIRST_STEP)
    assert (report.action, report.backup, report.error) == ("nothing", None, "")
    (line,) = caplog.messages
    assert line.startswith("memory: after refining, its index finds 0.")
    assert recall(folder) > loosened + 0.1
    with open_folder(folder) as client:
        require_exact(client)
    caplog.clear()
    before = (folder / "chroma.sqlite3").stat().st_mtime_ns
    assert auto_migrate(folder, NEW, **FIRST_STEP).action == "nothing"
    assert (folder / "chroma.sqlite3").stat().st_mtime_ns == before
    assert not caplog.messages


def test_the_way_back_to_the_old_model_stays(folder: Path) -> None:
    auto_migrate(folder, NEW, **FIRST_STEP)
    (backup,) = Migrator(folder).backups()
    Migrator(folder).rollback(backup.name)
    with open_folder(folder) as client:
        held = client.get_collection("memory", embedding_function=None).get(include=["embeddings"])
    old = dict(zip(IDS, vectors_of(MINILM), strict=False))
    np.testing.assert_allclose(held["embeddings"], [old[record] for record in held["ids"]], atol=1e-6)


def test_a_start_without_time_for_it_says_how_and_once(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(refined_indexes, "seconds_to_write", lambda work: (1e6, 1e6))
    loosened = recall(folder)
    with caplog.at_level(logging.INFO, "lightmigrate"):
        auto_migrate(folder, NEW, **FIRST_STEP)
        auto_migrate(folder, NEW, **FIRST_STEP)
    (line,) = caplog.messages
    proposed = line.partition("lightmigrate ")[2]
    assert proposed == f"migrate {folder} --index rebuild"
    assert recall(folder) == pytest.approx(loosened, abs=0.05)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(proposed), "--yes", "--json"])
    assert not ended.value.code
    assert [done["index"] for done in json.loads(capsys.readouterr().out)] == ["rebuild"]
    assert recall(folder) > loosened + 0.1
    with open_folder(folder) as client:
        require_exact(client)


def test_what_was_not_refined_or_found_as_much_is_left(folder: Path) -> None:
    with Provenance.existing(folder) as provenance:
        assert list(unmeasured(provenance, [MEMORY])) == [MEMORY]
        provenance.note(MEMORY, {RECALL: recall(folder) - 0.1})
    inode = (folder / "chroma.sqlite3").stat().st_ino
    auto_migrate(folder, NEW, **FIRST_STEP)
    assert (folder / "chroma.sqlite3").stat().st_ino == inode
    with Provenance.existing(folder) as provenance:
        assert unmeasured(provenance, [MEMORY]) == {}
