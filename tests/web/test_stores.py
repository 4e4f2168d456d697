"""The page on databases of other stores: an upgrade by the cheapest route, a search in both versions, and back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.projection.model import Model
from lightmigrate.scale.migration import FolderMigrator
from lightmigrate.scale.processes import Processes
from lightmigrate.web.databases import PageDatabases, short_key
from lightmigrate.web.models import Models
from lightmigrate.web.pages import Site
from tests.contract.makers import MAKERS
from tests.contract.material import NEW, OLD, filled
from tests.contract.opening import opened
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction
from tests.scale.test_folder_migration import contents, write
from tests.web.client import browser
from tests.web.started import NEW_MODEL
from tests.web.test_databases import run_of


@pytest.mark.parametrize("store", ["pgvector", "qdrant folder", "sqlite-vec", "lance", "milvus alias", "faiss"])
def test_there_and_back(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    maker = MAKERS[store](tmp_path)
    try:
        address = filled(maker, "docs", 30)
        maker.let_go()
        with closing(opened(maker.locator)) as plain:  # a maker may give ids names of its own
            record = list(plain.collection(address).ids())[3]
        assert WordLlamaFunction.name() in NEW_MODEL  # it is registered by its import
        models = Models(ModelChoice(NEW_MODEL, "chroma"), None, tmp_path / "cache.sqlite3")
        site = Site(PageDatabases([DatabaseChoice(maker.locator, (maker.locator,))]), models)
        client, (database,) = browser(site), site.databases
        page = f"/d/{database.key}/c/{short_key(str(address))}/"
        assert "30 vectors now" in client.get(page).text

        migrated = run_of(site, client, f"{page}do/best", quality="1", backup="on")
        assert migrated.state == "finished", migrated.message
        assert "verified: every id, text, payload and vector" in client.get(f"/runs/{migrated.key}").text
        assert "128 dimensions" in client.post(f"{page}search", data={"record": record}).text
        assert "of the hits are in both lists" in client.post(f"{page}search", data={"record": record}).text

        overview = database.state().overview
        assert overview is not None
        assert [entry.event for entry in overview.history] == ["migrated"]
        assert "embed all 30</bdi> – chosen" in client.get(page).text
        (backup,) = overview.backups
        returned = run_of(site, client, f"/d/{database.key}/do/rollback", backup=backup.name)
        assert returned.state == "finished", returned.message
        assert f"{OLD} dimensions" in client.post(f"{page}search", data={"record": record}).text
        page_of_database = client.get(f"/d/{database.key}/").text
        assert "went back to" in page_of_database or "rolled back since" in page_of_database
    finally:
        maker.release()


def test_a_folder_that_workers_migrated_is_verified_put_back_and_cleaned(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    for seed in range(2):
        write(folder / f"part-{seed}.parquet", "fixed", seed)
    projection = make_projection(1, Model("a", OLD), Model("b", NEW)).save(tmp_path / "projection.npz")
    before = contents(folder)
    FolderMigrator(str(folder), Processes(1)).migrate(projection, MigrationOptions(force=True))
    site = Site(PageDatabases([DatabaseChoice(str(folder), (str(folder),))]), Models())
    client, (database,) = browser(site), site.databases
    page = f"/d/{database.key}/"

    verified = run_of(site, client, f"{page}do/verify")
    assert verified.state == "finished", verified.message
    assert "every file is as the migration left it" in client.get(f"/runs/{verified.key}").text
    (backup,) = FolderMigrator(str(folder), Processes(1)).backups()
    assert backup.name in client.get(page).text
    returned = run_of(site, client, f"{page}do/rollback", backup=backup.name)
    assert returned.state == "finished", returned.message
    assert contents(folder) == before
    (displaced,) = FolderMigrator(str(folder), Processes(1)).backups()
    cleaned = run_of(site, client, f"{page}do/clean", backup=displaced.name)
    assert cleaned.state == "finished", cleaned.message
    assert FolderMigrator(str(folder), Processes(1)).backups() == []
