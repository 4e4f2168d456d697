"""Plan, refine and clean from the page in every store, as the command line does it: no store is a case of its own.

The default run takes a server and a file; `make contract` takes one store of each family.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.stores.base import Page
from lightmigrate.web.databases import PageDatabases, short_key
from lightmigrate.web.models import Models
from lightmigrate.web.pages import Site
from tests.budget.collections import CORPUS, ROWS, texts
from tests.contract.makers import MAKERS
from tests.encoders import WordLlamaFunction
from tests.faults import EVERY_STORE
from tests.web.client import browser
from tests.web.started import NEW_MODEL
from tests.web.test_databases import run_of

# One of each family that has texts.
STORES = ["pgvector", "faiss"]
if EVERY_STORE:
    STORES += ["lance", "qdrant folder", "sqlite-vec", "milvus alias", "parquet"]


@pytest.mark.parametrize("store", STORES)
def test_plan_refine_and_clean(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert WordLlamaFunction.name() in NEW_MODEL  # it is registered by its import
    maker = MAKERS[store](tmp_path)
    try:
        address = maker.create("notes", CORPUS.old_documents.shape[1], "cosine")
        records = Page(
            ids=[f"n{row}" for row in range(ROWS)],
            vectors=CORPUS.old_documents[:ROWS],
            texts=texts(ROWS),
            payloads=[maker.payload_of(row) for row in range(ROWS)],
        )
        maker.client().collection(address).add(records)
        maker.let_go()
        models = Models(ModelChoice(NEW_MODEL, "chroma"), None, tmp_path / "cache.sqlite3")
        site = Site(PageDatabases([DatabaseChoice(maker.locator, (maker.locator,))]), models)
        client, (database,) = browser(site), site.databases
        page = f"/d/{database.key}/c/{short_key(str(address))}/"

        measured = run_of(site, client, f"{page}do/measure", samples="60", share="55")
        assert measured.state == "finished", measured.message
        assert "<polyline" in client.get(f"{page}budget").text
        assert client.post(f"{page}do/save", data={"share": "60"}).status_code == 200
        migrated = run_of(site, client, f"{page}do/migrate", backup="on", force="on")
        assert migrated.state == "finished", migrated.message

        shown = client.get(page).text
        assert "rows are not the new model’s own" in shown
        assert "documents</bdi> – chosen" in shown or "of each other</bdi> – chosen" in shown
        refined = run_of(site, client, f"{page}do/refine", documents="10")
        assert refined.state == "finished", refined.message
        assert "10 documents embedded" in client.get(f"/runs/{refined.key}").text

        overview = database.state().overview
        assert overview is not None
        (backup,) = overview.backups
        cleaned = run_of(site, client, f"/d/{database.key}/do/clean", backup=backup.name)
        assert cleaned.state == "finished", cleaned.message
        shown = client.get(f"/d/{database.key}/").text
        assert "No backups" in shown
        assert "was deleted" in shown  # the history stays
    finally:
        maker.release()
