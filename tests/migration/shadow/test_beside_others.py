"""A folder that is open in this process is not written while another process has it open, too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DatabaseInUseError
from lightmigrate.progress import Progress
from lightmigrate.stores.chroma.client import open_client
from tests.migration.shadow.rows import assert_migrated, fill, names, read
from tests.processes import SERVES, another_process

REFUSED = "is open here and in process [0-9]+ .*, and only one may write: stop it first"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def client(folder: Path) -> Iterator[Any]:
    with open_client(folder) as opened:
        fill(opened)
        yield opened


def test_nothing_is_built_and_it_is_migrated_once_the_other_process_has_ended(
    client: Any, folder: Path, projection: Projection
) -> None:
    before, known = read(client), names(client)
    migrator = ChromaMigrator(client)
    with another_process(SERVES, folder), pytest.raises(DatabaseInUseError, match=REFUSED):
        migrator.migrate_collection("memory", projection)
    assert names(client) == known
    migrator.migrate_collection("memory", projection)
    assert_migrated(read(client), before, projection)
    with another_process(SERVES, folder):
        for write in (migrator.rollback, migrator.clean):
            with pytest.raises(DatabaseInUseError, match=REFUSED):
                write()
    migrator.rollback()
    assert read(client).keys() == before.keys()


def test_a_process_that_opens_it_while_it_is_built_prevents_the_exchange(
    client: Any, folder: Path, projection: Projection
) -> None:
    before = read(client)
    with contextlib.ExitStack() as others:

        def open_it_once(progress: Progress) -> None:
            if not opened:
                opened.append(others.enter_context(another_process(SERVES, folder)))

        opened: list[object] = []
        with pytest.raises(DatabaseInUseError, match=REFUSED):
            ChromaMigrator(client, on_progress=open_it_once).migrate_collection("memory", projection)
        assert opened
    now = read(client)
    assert all((now[record][3] == before[record][3]).all() for record in before)
