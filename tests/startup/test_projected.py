"""A start recognises rows that an earlier migration by hand projected to its model, and measures by the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightmigrate import Migrator, auto_migrate
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import NEW, NOTES, ROWS, migrated


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
