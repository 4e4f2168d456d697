"""The pages of one collection through a whole upgrade, without a browser: what they show, save and start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.cli.app import main
from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.search import Query, search
from lightmigrate.migrator import Migrator
from lightmigrate.web.databases import short_key
from lightmigrate.web.models import Models
from lightmigrate.web.pages import Site
from lightmigrate.web.report import write_report
from tests.budget.collections import build, texts
from tests.web.client import browser, site_of
from tests.web.started import NEW_MODEL
from tests.web.test_databases import run_of

ROWS = 400
SECRET = texts(1)[0][:40]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of abstracts, and a folder for the user's files of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return build(tmp_path / "home" / "db", texts(ROWS))


def opened(folder: Path) -> tuple[Site, TestClient, str]:
    target = ModelChoice(NEW_MODEL, "chroma")
    site = site_of(folder, models=Models(target, None, folder.parent.parent / "cache.sqlite3"))
    return site, browser(site), f"/d/{short_key(str(folder))}/c/{short_key('notes')}/"


def test_from_a_look_to_an_exact_collection_and_its_report(folder: Path, tmp_path: Path) -> None:
    site, client, page = opened(folder)
    before = client.get(page).text
    assert "400 vectors now" in before
    assert "All rows are as the application wrote them" in before
    assert "option>row</option" in client.get(page, params={"by": "row"}).text.replace(" selected", "")
    assert "1 to" not in before

    measured = run_of(site, client, f"{page}do/measure", samples="60", share="55")
    assert measured.state == "finished", measured.message
    assert "embed all 400" in client.get(f"/runs/{measured.key}").text
    text = client.get(f"{page}budget").text
    assert "<polyline" in text
    choice = client.get(f"{page}budget/choice", params={"share": "60"}).text
    assert "<html" not in choice
    assert "Expected quality" in choice
    assert "Wide because</dt><dd>nobody judged what searches find here" in choice
    assert "Time of embedding and fitting</dt><dd>about " in choice
    assert "<p>better for this budget: " in client.get(f"/runs/{measured.key}").text.replace(
        '<p><span class="warn">', "<p>"
    )
    assert "2%" not in client.get(f"{page}budget/choice", params={"share": "1"}).text
    assert "tokens are allowed" in client.get(f"{page}budget/choice", params={"share": "1"}).text
    assert "neither a share" in client.get(f"{page}budget/choice", params={"share": "<b>"}).text

    saved = client.post(f"{page}do/save", data={"share": "60"})
    assert saved.status_code == 200, saved.text
    (file,) = (tmp_path / "user" / "lightmigrate" / "plans").iterdir()
    plan = BudgetPlan.load(file)
    assert plan.tokens <= 0.6 * plan.size.tokens

    migrated = run_of(site, client, f"{page}do/migrate", backup="on", force="on")
    assert migrated.state == "finished", migrated.message
    assert "verified: every id, text, payload and vector" in client.get(f"/runs/{migrated.key}").text
    after = client.get(page).text
    assert "vectors before" in after
    assert "exact: " in after
    assert "projected" in after
    assert "doing nothing" in after or "expected now" in after
    assert "do nothing" in after
    assert re.search(r"embed \d+ of 400 documents[^<]*</bdi> – chosen", after)
    assert "Measure again" not in client.get(f"{page}budget").text  # the collection is another one now

    found = client.post(f"{page}search", data={"record": "n7"}).text
    assert "of the hits are in both lists" in found
    asked = client.post(f"{page}search", data={"text": "heart disease"}).text
    assert "is not at hand" in asked  # of the old model; the new one is remembered
    assert "128 dimensions" in asked

    exact = run_of(site, client, f"{page}do/refine", documents="10")
    assert exact.state == "finished", exact.message
    assert "10 documents embedded" in client.get(f"/runs/{exact.key}").text

    written = write_report(DatabaseChoice(str(folder), (str(folder),)), tmp_path / "r.html", conversation=AGREED)
    report = written.read_text()
    assert report.count("<svg") >= 2
    assert "<script" not in report
    assert "http" not in report.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert SECRET not in report
    assert not any(f">n{row}<" in report for row in range(ROWS))
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(folder), "-o", str(tmp_path / "with.html"), "--with-text"])
    assert not stopped.value.code
    assert "of the hits in both lists" in (tmp_path / "with.html").read_text()


def test_a_search_before_and_after_shares_what_it_shares(folder: Path) -> None:
    choice = DatabaseChoice(str(folder))
    alone = search(choice, Query(record="n3"), conversation=AGREED)
    assert (alone.before, alone.in_common) == (None, None)
    assert "n3" not in [hit.id for hit in alone.now.hits]
    migrator = Migrator(folder)
    with pytest.raises(SystemExit):
        main(["migrate", str(folder), "--index", "rebuild", "--yes"])
    same = search(choice, Query(record="n3"), conversation=AGREED)
    assert same.in_common == 1.0
    assert [hit.other_rank for hit in same.now.hits] == list(range(1, 11))
    assert same.backups == tuple(backup.name for backup in migrator.backups())


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"target_model": "../../etc/passwd"}, "is not the name of a model"),
        ({"target_model": "/etc/passwd"}, "is not the name of a model"),
        ({"target_model": "tests"}, "is not the name of a model"),
        ({"target_model": '{"name": "openai"}', "target_provider": "chroma"}, "is not the name of a model"),
        ({"target_model": "model", "target_provider": "onnx"}, "named when the page is started"),
        ({"samples": "-1"}, "is not a number"),
        ({"samples": "1e9"}, "is not a number"),
    ],
)
def test_a_form_names_no_file_no_address_and_no_nonsense(form: dict[str, str], message: str, folder: Path) -> None:
    site, client, page = opened(folder)
    answer = client.post(f"{page}do/measure", data=form)
    assert (answer.status_code, message in answer.text) == (409, True)
    assert site.runs.newest() == []


def test_without_a_plan_nothing_starts(folder: Path) -> None:
    site, client, page = opened(folder)
    assert "no plan was saved" in client.post(f"{page}do/migrate").text
    assert "nothing was measured" in client.post(f"{page}do/save", data={"share": "10"}).text
    assert client.post(f"{page}do/whatever").status_code == 409
    assert site.runs.newest() == []
