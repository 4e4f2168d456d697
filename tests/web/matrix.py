"""Every page in both themes and two widths, as pictures to look at: `python -m tests.web.matrix FOLDER`.

Writes `FOLDER/PAGE-THEME-WIDTH.png` for the pages of `every_page`; takes two minutes. It fails where a page is wider
than the screen. Needs Chromium and playwright, as the tests in the browser do. Nothing of it is committed: the three
pictures of the documentation are of `python -m tests.web.pictures`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, expect, sync_playwright

from tests.at_end import AT_END
from tests.web.conftest import ARGUMENTS
from tests.web.every_page import BEYOND_THE_SCREEN, EveryPage
from tests.web.started import started

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 1440)

# That a page may take: measuring is the longest.
SECONDS = 90


def main(folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=SECONDS * 1000)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        pages = EveryPage.build(Path(place))
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        with started(pages.place, *pages.folders.values()) as running:
            page = browser.new_page()
            page.set_default_timeout(SECONDS * 1000)
            page.goto(running.address)
            for name, visit in pages.all_visits(page, running.base):
                visit(page)
                take(page, name, folder)
        browser.close()
    AT_END.close()


def take(page: Page, name: str, folder: Path) -> None:
    """A picture of a page in each theme and width."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if (beyond := page.evaluate(BEYOND_THE_SCREEN)) > 0:
                raise SystemExit(f"{name} is {beyond} pixels wider than {width}")
            page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
