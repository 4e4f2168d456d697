"""What a store promises is said by `doctor`, by `migrate` before it asks, and in its page, in the same words."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lightmigrate.cli.show.databases import diagnosis
from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.migrator import Migrator
from lightmigrate.stores.base import Capabilities, Store
from lightmigrate.stores.promises import OF_FILES, promises_of
from tests.contract.makers import Maker
from tests.contract.material import filled
from tests.databases import make_database

PAGES = Path(__file__).parents[2] / "docs" / "stores"

ALL = Capabilities(
    atomic_exchange=True, holds_writers=True, sees_changes=True, ordered=True, stale_handles=False, shared_records=False
)


def page_of(store: Store) -> Path | None:
    """The page of a store of this package; `None` for one in memory, and for one of another package."""
    room, _, name = type(store).__module__.removeprefix("lightmigrate.stores.").partition(".")
    if not type(store).__module__.startswith("lightmigrate.stores.") or not name:
        return None
    return PAGES / f"{'files' if room == 'vector_files' else room.replace('_', '-')}.md"


def printed(migrator: Migrator) -> str:
    """What `doctor` prints, without line breaks."""
    console = Console(file=io.StringIO(), width=10_000)
    console.print(diagnosis(migrator.diagnose()))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "less",
    [
        replace(ALL, atomic_exchange=False),
        replace(ALL, holds_writers=False),
        replace(ALL, sees_changes=False),
        replace(ALL, stale_handles=True),
        replace(ALL, one_client=True),
    ],
)
def test_a_promise_that_is_not_given_is_missing(less: Capabilities) -> None:
    given, rest = promises_of(ALL), promises_of(less)
    assert given.missing == ()
    assert given.not_promised == ""
    (missing,) = rest.missing
    assert str(rest).endswith(f" – not promised: {missing}")
    assert len(rest.kept) >= len(given.kept) - 1


def test_of_a_folder_that_is_exchanged_as_a_whole_nothing_is_missing(tmp_path: Path) -> None:
    migrator = Migrator(make_database(tmp_path / "chroma_data"))
    assert str(OF_FILES) in printed(migrator).splitlines()
    assert f"\n{OF_FILES}\n" in (PAGES / "chroma.md").read_text()
    assert OF_FILES.missing == ()


def test_doctor_says_what_is_promised_and_migrate_what_is_not(maker: Maker) -> None:
    filled(maker, "docs")
    store = maker.client()
    promises = promises_of(store.capabilities)
    assert str(promises) in printed(Migrator(store)).splitlines()
    shown: list[object] = []
    DatabaseChoice(store).open_to_migrate(Conversation(confirm=lambda question: False, show=shown.append))
    assert (Notice(promises.not_promised) in shown) == bool(promises.missing)
    if notice := store.capabilities.notice:
        assert notice in printed(Migrator(store))
        assert Notice(notice) in shown


def test_the_page_of_the_store_says_it_in_the_same_words(maker: Maker) -> None:
    filled(maker, "docs")
    store = maker.client()
    page = page_of(getattr(store, "store", store))
    if page is not None:
        assert f"\n{promises_of(store.capabilities)}\n" in page.read_text()
