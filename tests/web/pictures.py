"""The pictures of docs/page.md: a whole upgrade of a small real database in Chromium. `python -m tests.web.pictures`.

Writes `docs/images/page-*.png`; takes a minute. Needs Chromium and playwright, as the tests in the browser do.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.at_end import AT_END
from tests.budget.collections import with_plan
from tests.web.conftest import ARGUMENTS, PATIENCE
from tests.web.started import ROOT, started

IMAGES = ROOT / "docs" / "images"
SHARE = "55"


def main() -> None:
    """Take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder, provider, _ = with_plan(Path(place))
        provider.close()
        folder = folder.rename(folder.parent / "articles")
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        with started(folder.parent, folder) as running:
            page = browser.new_page(viewport={"width": 1080, "height": 900}, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            page.goto(running.address)
            upgrade(page)
        browser.close()
    AT_END.close()


def upgrade(page: Page) -> None:
    """Measure, choose, migrate and search, and take a picture of three of the pages."""
    page.get_by_role("link", name="notes", exact=True).click()
    page.get_by_role("link", name="Plan and migrate").click()
    page.get_by_label("Budget that measuring").fill(SHARE)
    page.get_by_label("Documents to measure on").fill("60")
    page.get_by_role("button", name="Measure", exact=True).click()
    ended(page)
    page.get_by_role("link", name="Choose a budget").click()
    take(page, "budget", "#choose")
    page.get_by_role("button", name="Save this plan").click()
    page.get_by_label("Although the gate").check()
    page.get_by_role("button", name="Migrate by this plan").click()
    page.get_by_role("button", name="Yes, migrate").click()
    ended(page)
    page.get_by_role("link", name="Back to the collection").click()
    take(page, "collection", "section[aria-labelledby=picture]")
    page.get_by_role("link", name="Search side by side").click()
    page.get_by_label("stored record").fill("n7")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("in both lists")
    page.screenshot(path=IMAGES / "page-search.png")


def ended(page: Page) -> None:
    """Wait until the run that the page shows has finished."""
    expect(page.get_by_role("status")).to_contain_text(re.compile("finished"))


def take(page: Page, name: str, part: str) -> None:
    """A picture of a page, from its top to the end of a part of it."""
    box = page.locator(part).bounding_box()
    assert box is not None
    height = box["y"] + box["height"] + 6
    page.screenshot(
        path=IMAGES / f"page-{name}.png", full_page=True, clip={"x": 0, "y": 0, "width": 1080, "height": height}
    )


if __name__ == "__main__":
    main()
