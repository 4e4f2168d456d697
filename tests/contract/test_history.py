"""What was migrated stays known in every store: after a rollback, a deleted backup and a crash between two steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.history import Compared
from lightmigrate.migration.request import Request
from lightmigrate.migration.shadow.history import ShadowHistory
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.stores.base import Store
from tests.contract.makers import Maker
from tests.contract.material import NEW, OLD, build, filled
from tests.databases import make_projection

WON = Compared("embed 5 of 20 documents", 100, QualityEstimate(0.9, 0.8, 1.0), chosen=True)
LOST = Compared("do nothing", 0, QualityEstimate(0.5, 0.4, 0.6), chosen=False)


@pytest.fixture(autouse=True)
def _files_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def projection() -> Projection:
    old, new = Model("old-model", OLD, normalised=False), Model("new-model", NEW, normalised=False)
    made = make_projection(source=old, target=new)
    return made.with_facts(training={"compared": [LOST.to_json(), WON.to_json()]})


def test_what_won_stays_known(maker: Maker, store: Store, projection: Projection) -> None:
    filled(maker, "docs")
    migrator = Migrator(maker.client())
    assert migrator.history() == []
    migrator.migrate([CollectionJob("docs", projection)], force=True)
    (migrated,) = migrator.history("docs")
    (backup,) = migrator.backups()
    assert (migrated.event, migrated.records, migrated.backup) == ("migrated", 20, backup.name)
    assert migrated.models == ("old-model", "new-model")
    assert migrated.compared == (LOST, WON)
    assert (migrated.expected, migrated.expected_nothing) == (WON.expected, LOST.expected)

    migrator.rollback()
    (displaced,) = migrator.backups()
    _, returned = migrator.history("docs")
    assert (returned.event, returned.restored, returned.backup) == ("rolled back", backup.name, displaced.name)
    migrator.clean()
    migrator.migrate([CollectionJob("docs", projection)], auto_backup=False, force=True)
    assert [entry.event for entry in Migrator(maker.client()).history()] == ["migrated", "rolled back", "migrated"]
    assert migrator.history("another") == []


def test_only_what_took_place_is_history(maker: Maker, store: Store, projection: Projection, tmp_path: Path) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    history = ShadowHistory(store, tmp_path / "beside")
    history.announce([Request(address, projection, None)], [20], "20260101_120000")
    assert history.entries() == []  # as after a crash before the exchange
    store.exchange(build(store, address), store.collection(address), "20260101_120000")
    (entry,) = ShadowHistory(store, tmp_path / "beside").entries()  # and after one behind it
    (backup,) = store.versions()
    assert (entry.exchanged, entry.backup) == (True, str(backup.address))
