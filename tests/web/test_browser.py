"""The page in a real Chromium: a whole upgrade by mouse and by keyboard, reloads, two browsers, a kill, axe.

One server and one database serve each test: what costs time is starting them.
"""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from lightmigrate.migrator import Migrator
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.web.databases import short_key
from tests.budget.collections import NEW, build, texts, with_plan
from tests.encoders import WordLlamaFunction
from tests.web.conftest import PATIENCE
from tests.web.started import NEW_MODEL, Started, started

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

# With what axe looks for in each: only colours differ.
THEMES: Sequence[tuple[Literal["light", "dark"], str]] = (("light", "{}"), ("dark", "{runOnly: ['color-contrast']}"))

ROWS = 400
# Measuring embeds extracts of every kind for every document: a small share would not pay for it in so small a database.
SHARE = "55"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "home" / "db", texts(ROWS))


@pytest.fixture
def page_of(folder: Path, tmp_path: Path) -> Iterator[Started]:
    with started(tmp_path, folder) as running:
        yield running


def opened(
    chromium: Browser,
    running: Started,
    scheme: Literal["light", "dark"] = "light",
    before: Callable[[Page], None] = lambda page: None,
) -> Page:
    """A new browser of its own that opened the printed address; an error on the page fails the test."""
    page = chromium.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    before(page)
    page.goto(running.address)
    assert "token" not in page.url
    return page


def collection_of(folder: Path) -> str:
    return f"/d/{short_key(str(folder))}/c/{short_key('notes')}/"


def reach(page: Page, what: Locator) -> None:
    """Go to something by the Tab key alone."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if what.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{what} cannot be reached by keyboard")


def press(page: Page, what: Locator) -> None:
    """Go to something by the Tab key alone, and press Enter on it."""
    reach(page, what)
    page.keyboard.press("Enter")


def ended(page: Page, state: str = "finished") -> None:
    """Wait until the run that a page shows has ended: by the stream alone, nothing is loaded again."""
    from playwright.sync_api import expect

    expect(page.get_by_role("status")).to_contain_text(re.compile(state))


def test_a_whole_upgrade_by_mouse_with_a_second_browser_and_a_reload(
    chromium: Browser, page_of: Started, folder: Path
) -> None:
    from playwright.sync_api import expect

    page = opened(chromium, page_of)
    expect(page.get_by_role("table")).to_contain_text("length 1.00")  # doctor's part came by itself
    page.get_by_role("link", name="notes", exact=True).click()
    expect(page.get_by_role("img").first).to_be_visible()
    page.get_by_role("link", name="Plan and migrate").click()
    page.get_by_label("Budget that measuring").fill(SHARE)
    page.get_by_label("Documents to measure on").fill("60")
    page.get_by_role("button", name="Measure", exact=True).click()
    page.wait_for_url("**/runs/*")
    page.reload()
    ended(page)
    page.get_by_role("link", name="Choose a budget").click()
    slider = page.get_by_role("slider")
    before = page.locator(".picked").inner_text()
    slider.fill("80")
    expect(page.locator(".picked")).not_to_have_text(before)  # the choice follows the slider
    slider.fill(SHARE)
    page.get_by_role("button", name="Save this plan").click()
    page.get_by_label("Although the gate").check()
    page.get_by_role("button", name="Migrate by this plan").click()
    page.wait_for_url("**/runs/*")

    second = opened(chromium, page_of)  # another browser sees the same run, although a script comes late there
    late: list[Route] = []
    second.route("**/hx-sse.min.js", lambda route: late.append(route), times=1)
    second.goto(page.url, wait_until="commit")
    while not second.evaluate("!!window.htmx"):  # `wait_for_function` asks in the page, whose policy forbids that
        second.evaluate("new Promise(requestAnimationFrame)")
    second.evaluate("new Promise(resolve => setTimeout(resolve))")
    late[0].continue_()
    page.get_by_role("button", name="Yes, migrate").click()
    for each in (second, page):
        ended(each)
        expect(each.locator(".result")).to_contain_text("verified: every id, text, payload and vector")
    assert {facts.dimension for facts in Migrator(folder).collections()} == {128}

    page.get_by_role("link", name="Back to the collection").click()
    expect(page.get_by_role("img", name=re.compile("vectors before"))).to_be_visible()
    page.get_by_role("link", name="Search side by side").click()
    page.get_by_label("stored record").fill("n7")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("of the hits are in both lists")
    assert page.locator(".hits").count() == 2

    page.get_by_role("link", name="Look", exact=True).click()
    page.get_by_label("Documents, at most").fill("5")
    page.get_by_role("button", name="Refine").click()
    ended(page)
    expect(page.locator(".result")).to_contain_text("5 documents embedded")

    page.goto(f"{page_of.base}/d/{short_key(str(folder))}/")
    page.get_by_role("button", name="Go back").first.click()
    page.get_by_role("button", name="Yes, rollback").click()
    ended(page)
    assert {facts.dimension for facts in Migrator(folder).collections()} == {256}


def with_saved_plan(tmp_path: Path) -> Path:
    """A database, its plan as the page saves it, and what the model said for it: all in the folder `planned`."""
    folder, provider, plan = with_plan(tmp_path)
    provider.close()
    plans = folder.parent / "user" / "lightmigrate" / "plans"
    plans.mkdir(parents=True)
    opened_by = {"provider": "chroma", "model": NEW_MODEL}
    name = f"{short_key(str(folder))}-{short_key('notes')}.json"
    replace(plan, provider=opened_by, model=NEW.get_config()["model_name"]).save(plans / name)
    return folder


def test_the_keyboard_alone_suffices(chromium: Browser, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    folder = with_saved_plan(tmp_path)
    with started(folder.parent, folder) as running:
        late: list[Route] = []

        def hold_the_look_back(page: Page) -> None:
            # from the first load on: once the server has looked, a page holds what it found and asks no more
            page.route("**/look", lambda route: late.append(route), times=1)

        page = opened(chromium, running, before=hold_the_look_back)
        reach(page, page.get_by_role("link", name="notes", exact=True))
        late[0].continue_()
        expect(page.get_by_role("table")).to_contain_text("length 1.00")  # doctor's part, around what has the focus
        expect(page.get_by_role("link", name="notes", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        press(page, page.get_by_role("link", name="Plan and migrate"))
        page.wait_for_url("**/budget")
        reach(page, page.get_by_label("Although the gate"))
        page.keyboard.press("Space")
        press(page, page.get_by_role("button", name="Migrate by this plan"))
        page.wait_for_url("**/runs/*")
        expect(page.get_by_role("button", name="No, change nothing")).to_be_visible()
        press(page, page.get_by_role("button", name="No, change nothing"))
        ended(page, "refused")
        assert {facts.dimension for facts in Migrator(folder).collections()} == {256}
        press(page, page.get_by_role("link", name="Back to the collection"))
        press(page, page.get_by_role("link", name="Plan and migrate"))
        page.wait_for_url("**/budget")
        reach(page, page.get_by_label("Although the gate"))
        page.keyboard.press("Space")
        press(page, page.get_by_role("button", name="Migrate by this plan"))
        page.wait_for_url("**/runs/*")
        expect(page.get_by_role("button", name="Yes, migrate")).to_be_visible()
        press(page, page.get_by_role("button", name="Yes, migrate"))
        ended(page)
        press(page, page.get_by_role("link", name="Back to the collection"))
        press(page, page.get_by_role("link", name="Search side by side"))
        page.wait_for_url("**/search")
        reach(page, page.get_by_label("stored record"))
        page.keyboard.type("n7")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("of the hits are in both lists")
        press(page, page.get_by_role("link", name="Look", exact=True))
        reach(page, page.get_by_label("Documents, at most"))
        page.keyboard.type("5")
        page.keyboard.press("Enter")
        page.wait_for_url("**/runs/*")
        ended(page)
        expect(page.locator(".result")).to_contain_text("5 documents embedded")
        page.goto(f"{running.base}/d/{short_key(str(folder))}/")
        press(page, page.get_by_role("button", name="Go back").first)
        page.wait_for_url("**/runs/*")
        expect(page.get_by_role("button", name="Yes, rollback")).to_be_visible()
        press(page, page.get_by_role("button", name="Yes, rollback"))
        ended(page)
        assert {facts.dimension for facts in Migrator(folder).collections()} == {256}


def test_what_a_killed_server_left_is_ended_and_the_plan_carried_out_again(chromium: Browser, tmp_path: Path) -> None:
    folder = with_saved_plan(tmp_path)
    with started(folder.parent, folder, dies=True) as running:
        page = opened(chromium, running)
        page.goto(f"{running.base}{collection_of(folder)}budget")
        page.get_by_label("Although the gate").check()
        page.get_by_role("button", name="Migrate by this plan").click()
        page.get_by_role("button", name="Yes, migrate").click()
        assert running.process.wait() == -signal.SIGKILL
    assert {facts.dimension for facts in Migrator(folder).collections()} == {256}
    with started(folder.parent, folder) as running:
        page = opened(chromium, running)
        page.get_by_role("button", name="End it").click()  # what a plan had built is begun again from the cache
        page.wait_for_url("**/runs/*")
        ended(page)
        assert Migrator(folder).unfinished is None
        page.goto(f"{running.base}{collection_of(folder)}budget")
        page.get_by_label("Although the gate").check()
        page.get_by_role("button", name="Migrate by this plan").click()
        page.get_by_role("button", name="Yes, migrate").click()
        ended(page)
        assert {facts.dimension for facts in Migrator(folder).collections()} == {128}


def test_a_stopped_migration_leaves_the_database_whole_and_goes_on_from_another_tab(
    chromium: Browser, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    folder = of_the_longer_model(tmp_path / "home" / "db")
    overview = f"/d/{short_key(str(folder))}/"
    with started(tmp_path, folder, waits=True) as running:
        page, second = opened(chromium, running), opened(chromium, running)
        page.goto(f"{running.base}{collection_of(folder)}budget")
        page.get_by_role("button", name="Compare and migrate").click()
        page.get_by_role("button", name="Yes, migrate").click()
        expect(page.get_by_text(re.compile("^write"))).to_be_visible()
        second.goto(page.url)
        page.get_by_role("button", name="Stop").click()
        for each in (page, second):  # the second one by its stream alone
            ended(each, "stopped")
            expect(each.get_by_role("button", name="Stop")).to_have_count(0)
        (facts,) = Migrator(folder).collections()
        assert (facts.dimension, facts.count) == (256, ROWS)
        assert second.goto(running.base + overview) is not None
        expect(second.get_by_label("Interrupted")).to_contain_text("a migration was interrupted")
    with started(tmp_path, folder) as running:  # and it is not for the process that was stopped alone
        second = opened(chromium, running)
        second.goto(running.base + overview)
        second.get_by_role("button", name="Resume").click()
        second.wait_for_url("**/runs/*")
        ended(second)
        expect(second.locator(".result")).to_contain_text("verified: every id, text, payload and vector")
    (facts,) = Migrator(folder).collections()
    assert (facts.dimension, facts.count) == (128, ROWS)


def of_the_longer_model(folder: Path) -> Path:
    """A database by the new model's longer form: what is computed from it is a projection, which can be resumed."""
    documents = texts(ROWS)
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}).add(
            ids=[f"n{row}" for row in range(ROWS)], documents=documents, embeddings=WordLlamaFunction(256)(documents)
        )
    return folder


def test_axe_finds_nothing_on_any_page_in_either_theme(chromium: Browser, tmp_path: Path) -> None:
    from tests.web.every_page import BEYOND_THE_SCREEN, EveryPage

    pages = EveryPage.build(tmp_path)
    with started(pages.place, *pages.folders.values()) as running:
        page = chromium.new_context(color_scheme="light", bypass_csp=True).new_page()  # axe is put into the page
        page.set_default_timeout(PATIENCE)
        page.goto(running.address)
        for name, visit in pages.all_visits(page, running.base):
            visit(page)
            assert found_by_axe(page) == {}, name
            for width in (360, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate(BEYOND_THE_SCREEN) <= 0, (name, width)


def found_by_axe(page: Page) -> dict[str, object]:
    """What axe finds on a page as it is, in both themes."""
    page.add_script_tag(content=(files("axe_playwright_python") / "axe.min.js").read_text())
    found: dict[str, object] = {}
    for theme, rules in THEMES:
        page.emulate_media(color_scheme=theme)
        violations = page.evaluate(
            f"axe.run({rules}).then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
        )
        if violations:
            found[theme] = violations
    page.emulate_media(color_scheme="light")
    return found


def test_a_port_that_is_taken_is_said_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightmigrate.cli.app import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit) as stopped:
            main(["ui", str(folder), "--listen-port", str(taken.getsockname()[1])])
        assert stopped.value.code == 1
    assert "choose another port" in capsys.readouterr().err
