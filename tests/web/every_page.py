"""Every page with something on it: databases of 0, 1 and 60 collections, long names, and scripts of other kinds."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from lightmigrate.migrator import Migrator
from lightmigrate.stores.base import Page as Records
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.web.databases import short_key
from tests.budget.collections import with_plan
from tests.contract.sqlite_vec import SqliteVecMaker

# Pixels by which a page is wider than the screen.
BEYOND_THE_SCREEN = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

MANY = 60  # several screens of them
LONG = "_".join(["a_collection_that_somebody_gave_the_name_of_the_whole_question"] * 3)
TEXTS = (
    "פסקה בעברית עם מספר 42 ומילה English באמצע",
    "一段没有空格的很长的中文文字" * 6,
    "نص عربي قصير",
    "かなと漢字の文",
)
NAMES = ("文書の集まり", "مجموعة_المقالات", "אוסף")


@dataclass(frozen=True)
class EveryPage:
    """What a server is started for, and the pages it has then.

    Attributes:
        place: folder of the server's files about the databases.
        folders: the databases by what they are an example of.
    """

    place: Path
    folders: Mapping[str, Path]

    @classmethod
    def build(cls, place: Path) -> EveryPage:
        """Make the databases. One was migrated by a plan; what its model said is in the cache beside it."""
        migrated, provider, plan = with_plan(place)
        Migrator(migrated).migrate_by_plan(plan, provider, force=True)
        provider.close()
        home = migrated.parent
        folders = {
            "none": _chroma(home / "nothing_yet", []),
            "one": migrated,
            "many": _chroma(home / "many", [LONG, *(f"file-{number:03}" for number in range(MANY - 1))]),
            "scripts": _of_other_scripts(home / "ארכיון_資料庫"),
        }
        return cls(home, folders)

    def all_visits(self, page: Page, base: str) -> Iterator[tuple[str, Callable[[Page], None]]]:
        """How the page comes to every page of a server, by name; some of them are made on the way."""
        yield from self._visits(base).items()
        yield from self._measured(page, base).items()

    def _visits(self, base: str) -> dict[str, Callable[[Page], None]]:
        """The pages that are there at once."""
        one, many = self._at("one"), self._at("many")
        paths = {
            "home": "/",
            "nowhere": "/nowhere",
            **{f"database-{name}": self._at(name) for name in self.folders},
            "collection-one": f"{one}c/{short_key('notes')}/",
            "collection-long-name": f"{many}c/{short_key(LONG)}/",
            "collection-scripts": f"{self._at('scripts')}c/{short_key(NAMES[0])}/?by=tag",
            "plan-one": f"{one}c/{short_key('notes')}/budget",
            "runs-none": "/runs",
        }
        visits: dict[str, Callable[[Page], None]] = {name: _goto(base + path) for name, path in paths.items()}
        visits["search-one"] = _searched(f"{base}{one}c/{short_key('notes')}/search", "n7")
        visits["search-scripts"] = _searched(f"{base}{self._at('scripts')}c/{short_key(NAMES[0])}/search", "r1")
        return visits

    def _measured(self, page: Page, base: str) -> dict[str, Callable[[Page], None]]:
        """The pages that are there when a collection was measured and another run asks something."""
        budget = f"{base}{self._at('one')}c/{short_key('notes')}/budget"
        page.goto(budget)
        page.get_by_label("Budget that measuring").fill("90")
        page.get_by_label("Documents to measure on").fill("60")
        page.get_by_role("button", name="Measure", exact=True).click()
        page.wait_for_url("**/runs/*")
        run = page.url
        expect(page.get_by_role("status")).to_contain_text("finished")
        page.goto(base + self._at("one"))
        page.get_by_role("button", name="Go back").first.click()
        page.wait_for_url("**/runs/*")
        expect(page.get_by_role("button", name="Yes, rollback")).to_be_visible()
        asking = page.url
        return {
            "run-measured": _goto(run),
            "run-asking": _goto(asking),
            "runs": _goto(f"{base}/runs"),
            "plan-measured": _goto(budget),
        }

    def _at(self, name: str) -> str:
        return f"/d/{short_key(shlex.quote(str(self.folders[name])))}/"


def _goto(address: str) -> Callable[[Page], None]:
    def visit(page: Page) -> None:
        page.goto(address)
        if "/d/" in address and "/c/" not in address:  # the part that comes later
            expect(page.get_by_text("What this store promises")).to_be_visible()

    return visit


def _searched(address: str, record: str) -> Callable[[Page], None]:
    def visit(page: Page) -> None:
        page.goto(address)
        page.get_by_label("stored record").fill(record)
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator(".hits").first).to_be_visible()

    return visit


def _chroma(folder: Path, names: list[str]) -> Path:
    rng = np.random.default_rng(0)
    with open_client(folder) as client:
        for name in names:
            client.create_collection(name, embedding_function=None).add(
                ids=["a", "b", "c"], documents=["one", "two", "three"], embeddings=rng.normal(size=(3, 8)).tolist()
            )
    return folder


def _of_other_scripts(folder: Path) -> Path:
    """A file whose collections, texts and fields are of other scripts: Chroma takes only Latin names."""
    folder.mkdir()
    maker = SqliteVecMaker(folder)
    rng = np.random.default_rng(0)
    for name in NAMES:
        address = maker.create(name, 16, "cosine")
        rows = range(60)
        records = Records(
            ids=[f"r{row}" for row in rows],
            vectors=rng.normal(size=(len(rows), 16)).astype(np.float32),
            texts=[TEXTS[row % len(TEXTS)] for row in rows],
            payloads=[{"number": row, "tag": NAMES[row % len(NAMES)]} for row in rows],
        )
        maker.client().collection(address).add(records)
    maker.release()
    return maker.path
