"""The page as its own tests open it: in this process, without a socket."""

from __future__ import annotations

import shutil
from pathlib import Path

from starlette.testclient import TestClient

from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.web.app import create_app
from lightmigrate.web.databases import PageDatabases
from lightmigrate.web.guard import Access
from lightmigrate.web.models import Models
from lightmigrate.web.pages import Site

PORT = 8765
ADDRESS = f"http://127.0.0.1:{PORT}"
SAME_SITE = {"origin": ADDRESS, "sec-fetch-site": "same-origin"}


def site_of(*folders: Path, models: Models | None = None) -> Site:
    """The site of some folders."""
    choices = [DatabaseChoice(str(folder), (str(folder),)) for folder in folders]
    return Site(PageDatabases(choices), models or Models())


def stranger(site: Site) -> tuple[TestClient, Access]:
    """A browser that was told nothing, and the access that it has not."""
    access = Access(PORT)
    return TestClient(create_app(site, access), base_url=ADDRESS, follow_redirects=False), access


def browser(site: Site) -> TestClient:
    """A browser that opened the printed address."""
    client, access = stranger(site)
    client.get("/", params={"token": access.token})
    client.follow_redirects = True
    client.headers |= SAME_SITE
    return client


def copy_of(folder: Path, name: str) -> Path:
    """The same database under another name."""
    return Path(shutil.copytree(folder, folder.parent / name))
