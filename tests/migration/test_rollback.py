"""The way back is exact, and backups belong to one database each."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import BackupError, DatabaseChangedError, DatabaseInUseError, WrittenSinceError
from lightmigrate.migration.aside import migration
from lightmigrate.migration.aside.backup import new_backup_path
from lightmigrate.migration.aside.belonging import backup_folders
from lightmigrate.migration.aside.changes import changes_by_others
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.changes import Changes, OnWritten
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.databases import contents, folder_hash


def test_rollback_restores_every_byte(database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    migrator = ChromaMigrator(database)
    result = migrator.migrate_collection("thought_nodes", projection)
    migrated = folder_hash(database)
    assert result.backup_path is not None

    done = migrator.rollback()
    assert done.restored == result.backup_path.name
    assert folder_hash(database) == before
    assert not result.backup_path.exists()
    assert (done.written, done.carried) == ((), False)

    # and the way back is itself a way back
    assert folder_hash(done.displaced_path) == migrated
    again = migrator.rollback()
    assert again.restored == done.displaced_path.name
    assert folder_hash(database) == migrated

    # as often as anybody likes: a database without a record of its own stays known
    assert [backup.path for backup in migrator.backups()] == [again.displaced_path]
    migrator.rollback()
    assert folder_hash(database) == before


def test_rollback_to_a_named_backup_two_migrations_ago(database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    migrator = ChromaMigrator(database)
    first = migrator.migrate_collection("thought_nodes", projection).backup_path
    second = migrator.migrate_collection("notes", projection).backup_path
    assert first is not None
    assert second is not None
    done = migrator.rollback(first.name)
    assert folder_hash(database) == before
    assert {b.name for b in migrator.backups()} == {second.name, done.displaced_path.name}


def test_rollback_is_refused_while_somebody_has_the_database_open(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    with open_client(database), pytest.raises(DatabaseInUseError):
        migrator.rollback()


@pytest.mark.parametrize("written", ["refuse", "carry"])
def test_what_is_written_while_it_is_compared_with_its_backup_stays(
    database: Path, projection: Projection, written: OnWritten, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)

    def compare_and_lose_a_race(*given: Any) -> list[Changes]:
        found = changes_by_others(*given)
        with open_client(database) as client:  # opened, written and closed again before the exchange
            collection = client.get_collection("thought_nodes", embedding_function=None)
            collection.delete(ids=collection.get(limit=1)["ids"])
        return found

    monkeypatch.setattr(migration, "changes_by_others", compare_and_lose_a_race)
    with pytest.raises(DatabaseChangedError, match="was written to while it was compared"):
        migrator.rollback(written=written)
    monkeypatch.undo()
    with pytest.raises(WrittenSinceError, match="1 deleted"):
        migrator.rollback()


def test_no_backup_and_no_such_backup(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    with pytest.raises(BackupError, match="has no backup: nothing was migrated"):
        migrator.rollback()
    result = migrator.migrate_collection("thought_nodes", projection)
    assert result.backup_path is not None
    with pytest.raises(BackupError, match=f"no backup chroma_backup_nope; there are: {result.backup_path.name}"):
        migrator.rollback("chroma_backup_nope")
    with pytest.raises(BackupError, match=f"no backup nope; there are: {result.backup_path.name}"):
        migrator.clean([result.backup_path.name, "nope"])
    assert result.backup_path.is_dir()


def test_backup_names_never_collide(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(datetime, "datetime", Clock)
    names = []
    for _ in range(3):
        path = new_backup_path(Location.of(ChromaFiles(database)))
        path.mkdir()
        names.append(path.name)
    assert names == [
        "chroma_backup_20260102_030405",
        "chroma_backup_20260102_030405_2",
        "chroma_backup_20260102_030405_3",
    ]


def test_the_newest_backup_is_the_last_one_by_name(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when an earlier name has become free, after ten in one second, and when the clock is put back an hour."""
    hour = 3

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls(2026, 10, 25, hour, 4, 5)

    monkeypatch.setattr(datetime, "datetime", Clock)
    location = Location.of(ChromaFiles(database))
    (database.parent / "chroma_backup_of_somebody_else").mkdir()
    made = [new_backup_path(location)]
    made[0].mkdir()
    for _ in range(11):
        made.append(new_backup_path(location))
        made[-1].mkdir()
    made[0].rmdir()
    hour = 2
    made.append(new_backup_path(location))
    made[-1].mkdir()
    assert made[-1].name == "chroma_backup_20261025_030405_13"
    assert backup_folders(location)[1:] == made[1:]


def test_the_backups_of_a_neighbour_are_not_ours(database: Path, projection: Projection) -> None:
    neighbour = Path(shutil.copytree(database, database.parent / "neighbour"))
    ours, theirs = ChromaMigrator(database), ChromaMigrator(neighbour)
    our_backup = ours.migrate_collection("thought_nodes", projection).backup_path
    their_backup = theirs.migrate_collection("notes", projection).backup_path
    their_displaced = theirs.rollback().displaced_path
    assert our_backup is not None
    assert their_backup is not None
    assert [b.path for b in ours.backups()] == [our_backup]
    assert [b.path for b in theirs.backups()] == [their_displaced]
    assert [b.path for b in ours.clean()] == [our_backup]
    assert their_displaced.is_dir()
    assert neighbour.is_dir()


def test_clean_deletes_what_is_named_and_nothing_else(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    first = migrator.migrate_collection("thought_nodes", projection).backup_path
    second = migrator.migrate_collection("notes", projection).backup_path
    after = contents(database)
    assert first is not None
    assert second is not None
    assert [b.name for b in migrator.clean([first.name])] == [first.name]
    assert not first.exists()
    assert second.is_dir()
    assert migrator.rollback().restored == second.name
    assert (
        contents(database)["default_tenant/default_database/thought_nodes"]["rows"]
        == (after["default_tenant/default_database/thought_nodes"]["rows"])
    )


def test_a_copied_database_still_knows_what_was_migrated(
    database: Path, projection: Projection, tmp_path: Path
) -> None:
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    moved = ChromaMigrator(Path(shutil.copytree(database, tmp_path / "elsewhere")))
    assert moved.backups() == []
    assert all(check.unchanged for check in moved.verify())
