"""Collections of which more has to be known than is held in memory come out the same as others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Model, Projection
from lightmigrate.migration.results import MigrationResult
from lightmigrate.stores import record_tables
from lightmigrate.stores.base import Page
from tests.contract.sqlite_vec import SqliteVecMaker

ROWS, OLD, NEW = 6000, 4, 3


def page(start: int, end: int) -> Page:
    rows = range(start, end)
    vectors = np.random.default_rng(start).normal(size=(end - start, OLD)).astype(np.float32)
    return Page(
        [f"record-{row}" for row in rows], vectors, [f"text {row}" for row in rows], [{"number": row} for row in rows]
    )


def there_and_back(folder: Path) -> tuple[MigrationResult, tuple[int, int, int], dict[str, tuple[object, ...]]]:
    """Migrate, write, go back with what was written; what was told of it, and all records in the end."""
    folder.mkdir()
    maker = SqliteVecMaker(folder)
    address = maker.create("docs", OLD)
    with maker.client() as store:
        store.collection(address).add(page(0, ROWS))
    weights = np.random.default_rng(0).normal(size=(OLD, NEW))
    projection = Projection.affine(weights, np.zeros(NEW), source=Model("old", OLD), target=Model("new", NEW))
    migrator = Migrator(maker.client())
    (result,) = migrator.migrate([CollectionJob("docs", projection)])
    with maker.client() as store:
        live = store.collection(address)
        live.remove([f"record-{row}" for row in range(10, 1510)])
        new = page(ROWS, ROWS + 1200)
        live.add(new.with_vectors(new.vectors[:, :NEW]))
        old = page(2000, 2300)
        live.put(replace(old, texts=["another text"] * len(old), vectors=old.vectors[:, :NEW]))
    back = migrator.rollback(written="carry")
    (changes,) = back.written
    with maker.client() as store:
        records = {
            record: (text, payload, *np.round(vector, 3).tolist())
            for each in store.collection(address).scan(500)
            for record, text, payload, vector in zip(each.ids, each.texts, each.payloads, each.vectors, strict=True)
        }
    maker.release()
    return result, (changes.added, changes.changed, changes.deleted), records


def test_what_is_not_in_memory_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = there_and_back(tmp_path / "memory")
    monkeypatch.setattr(record_tables, "CACHE_KIB", 16)  # of a table that takes half a megabyte
    result, changes, records = there_and_back(tmp_path / "disk")
    assert result.verification == expected[0].verification
    assert result.n_migrated == ROWS
    assert changes == expected[1] == (1200, 300, 1500)
    assert records == expected[2]
    assert len(records) == ROWS - 1500 + 1200
