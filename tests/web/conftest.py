"""A real browser for the tests of the page, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Nothing that the browser would do besides: it is on a machine without a network and without a screen.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Milliseconds that an expectation waits at most: the machine may be busy.
PATIENCE = 300_000


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Chromium; tests that need it are skipped where it, or what drives it, is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None or find_spec("playwright") is None:
        pytest.skip("no Chromium here: install chromium and playwright to test the page in a browser, as .ci/run does")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()
