"""Who gets in, and who does not: no token, another name, another site, paths, and markup in what databases hold."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from lightmigrate.migration.history import HISTORY_FILE
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.web.databases import short_key
from lightmigrate.web.guard import Access
from tests.web.client import ADDRESS, PORT, SAME_SITE, browser, site_of, stranger

MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'

# Of a history that somebody else wrote.
HOSTILE_ENTRY = {
    "at": MARKUP,
    "event": "migrated",
    "collection_name": MARKUP,
    "tenant": "tenant",
    "database": "database",
    "source": {"name": MARKUP},
    "target": {"name": MARKUP},
    "backup": MARKUP,
    "quality": {"verdict": MARKUP},
    "training": {
        "compared": [{"description": MARKUP, "tokens": 1, "expected": None, "chosen": True}],
        "tried": [{"method": MARKUP, "overlap": 0.5, "chosen": True}],
    },
}


def test_without_the_token_nothing_is_shown(database: Path) -> None:
    client, access = stranger(site_of(database))
    for path in ("/", "/runs", "/static/page.css", f"/d/{short_key(str(database))}/", "/nowhere"):
        answer = client.get(path)
        assert (answer.status_code, database.name in answer.text) == (403, False)
    assert client.get("/?token=").status_code == 403
    assert client.get("/", params={"token": access.token[:-1]}).status_code == 403
    assert client.get("/", params={"token": "é" + access.token}).status_code == 403
    client.cookies.set(access.cookie, "something")
    assert client.get("/runs").status_code == 403


def test_the_token_leaves_the_address_for_a_cookie_that_only_this_server_gets(database: Path) -> None:
    client, access = stranger(site_of(database))
    answer = client.get("/runs", params={"token": access.token, "q": "a b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?q=a+b")
    cookie = answer.headers["set-cookie"]
    assert f"{access.cookie}={access.token}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/runs").status_code == 200
    assert access.token not in repr(access)
    elsewhere = client.get(f"{ADDRESS}//evil.example/", params={"token": access.token})
    assert elsewhere.headers["location"] == "/evil.example/"


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1.evil.example:{PORT}", ""]
)
def test_another_name_is_refused_even_with_the_cookie(host: str, database: Path) -> None:
    answer = browser(site_of(database)).get("/runs", headers={"host": host})
    assert (answer.status_code, "not the address" in answer.text) == (400, True)


def test_a_page_that_others_may_reach_takes_addresses_but_no_names() -> None:
    open_to_others = Access(PORT, ("127.0.0.1", "db.example"), any_address=True)
    assert open_to_others.is_ours(f"192.168.1.7:{PORT}")
    assert open_to_others.is_ours(f"[fe80::1]:{PORT}")
    assert open_to_others.is_ours(f"db.example:{PORT}")
    assert not open_to_others.is_ours(f"evil.example:{PORT}")
    assert not Access(PORT).is_ours(f"192.168.1.7:{PORT}")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"origin": ADDRESS, "sec-fetch-site": "cross-site"},
        {"origin": ADDRESS.replace("http", "https")},
        {},
    ],
)
def test_what_another_site_sends_does_nothing(headers: dict[str, str], database: Path) -> None:
    site = site_of(database)
    client = browser(site)
    for name in SAME_SITE:
        del client.headers[name]
    answer = client.post(f"/d/{short_key(str(database))}/do/verify", headers=headers)
    assert answer.status_code == 403
    assert site.runs.newest() == []


def test_every_answer_forbids_scripts_in_pages_and_frames(database: Path) -> None:
    client = browser(site_of(database))
    for path in ("/", "/runs", "/static/page.js", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2f__init__.py",
        "/static//etc/passwd",
        "/d/../../etc/",
        "/d/%2fetc%2fpasswd/",
        "/d/..%2f..%2fetc/",
        "/runs/..%2f1",
    ],
)
def test_no_path_leads_out_of_the_page(path: str, database: Path) -> None:
    assert browser(site_of(database)).get(path).status_code in (404, 405)


def test_only_the_databases_it_was_started_with_are_opened(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with open_client(other):
        pass
    client = browser(site_of(database))
    assert client.get(f"/d/{short_key(str(database))}/").status_code == 200
    assert client.get(f"/d/{short_key(str(other))}/").status_code == 404
    assert client.post(f"/d/{short_key(str(other))}/do/clean", data={"backup": "x"}).status_code == 404


def test_too_much_and_what_is_no_form_is_refused(database: Path) -> None:
    client = browser(site_of(database))
    path = f"/d/{short_key(str(database))}/do/rollback"
    assert client.post(path, content=b"a=" + b"x" * 30_000).status_code == 413
    assert client.post(path, content=b"\xff\xfe").status_code == 400
    assert client.post(path, data={"written": "whatever"}).status_code == 400


def test_markup_in_names_and_in_what_was_typed_is_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / f"a{MARKUP[:24].replace('/', '-')}"
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None, metadata={"why": MARKUP}).add(
            ids=[MARKUP, "b"], documents=[MARKUP, "a secret text"], embeddings=[[1.0, 0.0], [0.0, 1.0]]
        )
    (folder / HISTORY_FILE).write_text(json.dumps({"format": 1, "entries": [HOSTILE_ENTRY]}))
    page = browser(site_of(folder))
    with caplog.at_level(logging.DEBUG):
        key = short_key(f"'{folder}'")
        shown = [page.get(f"/d/{key}/"), page.get(f"/d/{key}/look"), page.get(f"/d/{key}/", params={"q": MARKUP})]
    for answer in shown:
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
    assert "&lt;script&gt;" in shown[-1].text
    assert shown[0].text.count("&lt;script&gt;") >= 5  # each text of the history
    assert "a secret text" not in caplog.text
