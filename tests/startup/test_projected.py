"""A start recognises rows that an earlier migration by hand projected to its model, and measures by the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator, auto_migrate
from lightmigrate.errors import ModelMismatchError
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance
from lightmigrate.startup.projected import ProjectedBefore
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.live import LiveChromaStore
from tests.budget.collections import NEW, NOTES, ROWS, migrated
from tests.encoders import WordLlamaFunction


def test_a_collection_that_was_migrated_by_a_plan_is_of_the_model(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    provider.close()
    before = Migrator(folder).status()[0]
    assert 0 < before.exact < ROWS
    report = auto_migrate(folder, NEW)
    (one,) = report.collections
    assert (report.action, one.finding.verdict) == ("nothing", "same")
    assert Migrator(folder).status()[0] == before
    assert auto_migrate(folder, NEW).action == "nothing"


def test_also_when_no_other_row_is_left(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    provider.close()
    with Provenance.existing(folder) as provenance:
        projected = set(provenance.ids(NOTES, *NOT_EXACT))
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        collection.delete([record for record in collection.get(include=[])["ids"] if record not in projected])
    (one,) = auto_migrate(folder, NEW).collections
    assert one.finding.verdict == "same"
    assert "were projected to this model" in one.finding.evidence


def test_rows_that_hold_other_vectors_by_now_are_not_taken_for_projected_ones(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    provider.close()
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        ids = collection.get(include=[])["ids"]
        strange = np.random.default_rng(0).normal(size=(len(ids), 128)).astype(np.float32)
        collection.update(ids, embeddings=strange / np.linalg.norm(strange, axis=1, keepdims=True))
    (one,) = auto_migrate(folder, NEW, on_mismatch="warn").collections
    assert one.finding.verdict == "other model"


class Renamed(WordLlamaFunction):
    """Another model under the same name: its vectors are those of wordllama backwards, or shorter ones."""

    def __init__(self, dimension: int) -> None:
        super().__init__(128)
        self.made = dimension

    def embed(self, texts: list[str]) -> Any:
        return super().embed(texts)[:, ::-1][:, : self.made]


@pytest.mark.parametrize("dimension", [128, 64])
def test_another_model_behind_the_same_name_is_noticed(tmp_path: Path, dimension: int) -> None:
    folder, provider = migrated(tmp_path)
    provider.close()
    with Provenance.existing(folder) as provenance:
        projected = set(provenance.ids(NOTES, *NOT_EXACT))
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        collection.delete([record for record in collection.get(include=[])["ids"] if record not in projected])
    for _ in range(2):
        (one,) = auto_migrate(folder, Renamed(dimension), on_mismatch="warn").collections
        assert one.finding.verdict == ("other model" if dimension == 128 else "other dimension")
    other = Cached(ChromaProvider(Renamed(dimension)), tmp_path / "other.sqlite3")
    with pytest.raises(ModelMismatchError, match=f"of 128 dimensions, and what has this name now, of {dimension}"):
        Migrator(folder).refine("notes", other)


def test_what_an_older_version_wrote_without_a_probe_is_told_by_the_name(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    provider.close()
    with Provenance.existing(folder) as provenance:
        assert provenance.facts(NOTES)["probe"]
        provenance.note(NOTES, {"probe": ""})
    target = TargetModel(Renamed(128), None, None)
    with open_client(folder) as client:
        page = LiveChromaStore(client).collection(NOTES).sample(ROWS)
    exact = ProjectedBefore(folder, target).others(NOTES, page)
    assert 0 < len(exact) < len(page)
