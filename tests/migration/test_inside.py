"""What is particular to a database that is exchanged inside its own folder."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import DatabaseError
from lightmigrate.migration.aside import location
from lightmigrate.migration.aside.exchange_inside import InsideExchange
from lightmigrate.migration.aside.location import Location
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.crash.places import everything, is_new
from tests.databases import contents


@pytest.fixture(autouse=True)
def _volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "is_mount_point", lambda folder: True)


def test_without_a_backup_nothing_of_the_old_one_is_left(database: Path, projection: Projection) -> None:
    old = contents(database)
    result = ChromaMigrator(database).migrate(
        [CollectionJob("thought_nodes", projection), CollectionJob("notes", projection)], auto_backup=False
    )
    assert result[0].backup_path is None
    assert is_new(contents(database), old, projection)
    assert list(everything(database)) == ["."]
    assert not list(database.glob(".*"))


def test_a_file_system_without_second_names(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    before = everything(database)["."]
    migrator = ChromaMigrator(database)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        migrator.migrate_collection("thought_nodes", projection)
        migrator.rollback()
    assert everything(database)["."] == before


def test_a_database_in_the_middle_of_a_write_is_not_exchanged(database: Path) -> None:
    """sqlite's own journal or log belongs to the file beside it: under another one it would tear that apart."""
    other = Path(shutil.copytree(database, database / "chroma_backup_other"))
    ChromaFiles(other).isolate()
    exchange = InsideExchange(Location(ChromaFiles(database), inside=True))
    for folder, ending in itertools.product((database, other), ("journal", "wal")):
        beside = folder / f"chroma.sqlite3-{ending}"
        beside.write_bytes(b"something")
        with pytest.raises(DatabaseError, match=rf"{folder} has an unfinished write or a log"):
            exchange.announce(other)
        beside.unlink()
    assert (other / "chroma.sqlite3").is_file()


def test_databases_that_share_an_index_folder_do_not_change_places(database: Path) -> None:
    twin = Path(shutil.copytree(database, database / "chroma_backup_twin"))
    with pytest.raises(DatabaseError, match="both databases keep an index in"):
        InsideExchange(Location(ChromaFiles(database), inside=True)).announce(twin)
    assert (twin / "chroma.sqlite3").is_file()
