"""Databases beside each other: none takes the name of another one's backup, and none takes the backup."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import BackupError, DatabaseInUseError, FailedError, RefusedError
from lightmigrate.migration.aside import migration as aside
from lightmigrate.migration.aside.backup import new_backup_path
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.record import RECORD_FILE
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.projection.model import Model
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.databases import folder_hash, make_projection, make_vectors


def backup_of(database: Path, projection: Projection, collection: str = "thought_nodes") -> Path:
    path = ChromaMigrator(database).migrate_collection(collection, projection).backup_path
    assert path is not None
    return path


def names(database: Path) -> list[str]:
    return [backup.name for backup in ChromaMigrator(database).backups()]


def test_two_runs_in_one_second_on_databases_beside_each_other_choose_other_names(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr(datetime, "datetime", Clock)
    first, second = (ChromaFiles(path) for path in (database, database.with_name("neighbour")))
    shutil.copytree(database, second.folder)
    with Workspace(first).locked():
        alone = new_backup_path(Location.of(first))
        with Workspace(second).locked():
            beside = [new_backup_path(Location.of(files)) for files in (first, second)]
    assert alone.name == "chroma_backup_20260102_030405"
    assert len({alone, *beside}) == 3
    beside[0].mkdir()
    later = new_backup_path(Location.of(first)).name
    assert int(later.rpartition("_")[2]) == int(beside[0].name.rpartition("_")[2]) + 1


def test_a_migration_whose_backup_finds_its_name_taken_can_be_rolled_back_all_the_same(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, taken = folder_hash(database), list[Path]()

    def take(location: Location) -> Path:
        chosen = new_backup_path(location)
        chosen.mkdir()
        (chosen / "file").write_text("of somebody")
        taken.append(chosen)
        return chosen

    with monkeypatch.context() as patch:
        patch.setattr(aside, "new_backup_path", take)
        with pytest.raises(FailedError, match="the new database is in place"):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    migrator = ChromaMigrator(database)
    (backup,) = migrator.backups()
    assert backup.name != taken[0].name
    assert [entry.backup for entry in migrator.history()] == [backup.name]
    migrator.rollback()
    assert folder_hash(database) == before
    assert [path.name for path in taken[0].iterdir()] == ["file"]


def _as_copied(database: Path, backup: Path) -> None:
    """Nothing happened since."""


def _rolled_back(database: Path, backup: Path) -> None:
    ChromaMigrator(database).rollback()


@pytest.mark.parametrize("since", [_as_copied, _rolled_back])
def test_a_copy_does_not_delete_the_backups_of_the_original(
    database: Path, projection: Projection, since: Callable[[Path, Path], None]
) -> None:
    backup_of(database, projection)
    last = backup_of(database, projection, "notes")
    copy = Path(shutil.copytree(database, database.with_name("copy")))
    since(database, last)
    own = names(database)
    assert len(own) == 2
    assert names(copy) == []
    with pytest.raises(BackupError, match="has no backup of its own: it was copied from a database beside it"):
        ChromaMigrator(copy).rollback()
    assert ChromaMigrator(copy).clean() == []
    assert names(database) == own


def test_a_backup_that_somebody_uses_is_not_deleted_with_the_others(database: Path, projection: Projection) -> None:
    backup_of(database, projection)
    backup_of(database, projection, "notes")
    used = backup_of(database, make_projection(2, Model("a", 8), Model("b", 12)), "other_model")
    with open_client(used) as client:
        with pytest.raises(DatabaseInUseError, match=f"{used.name} open: call close"):
            ChromaMigrator(database).clean()
        client.get_collection("other_model", embedding_function=None).upsert(
            ids=["new", "newer"], embeddings=make_vectors(2, 8, seed=1)
        )
    assert len(names(database)) == 3
    with pytest.raises(
        RefusedError, match=f"{used.name} has 2 records that were written after it was put aside; nothing"
    ):
        ChromaMigrator(database).clean()
    assert len(names(database)) == 3
    others = [name for name in names(database) if name != used.name]
    assert len(ChromaMigrator(database).clean(others)) == 2
    assert len(ChromaMigrator(database).clean([used.name])) == 1


def test_a_damaged_record_in_another_folder_says_nothing_of_a_backup(database: Path, projection: Projection) -> None:
    backup = backup_of(database, projection)
    other = backup.with_name("chroma_backup_20200101_000000")
    other.mkdir()
    (other / "lightmigrate.json").write_text("{")
    (kept,) = ChromaMigrator(database).backups()
    assert (kept.name, kept.reason_to_keep) == (backup.name, None)
    assert len(ChromaMigrator(database).clean()) == 1


def test_a_backup_that_cannot_be_read_is_deleted_by_its_name(database: Path, projection: Projection) -> None:
    backup = backup_of(database, projection)
    (backup / "chroma.sqlite3").write_bytes((backup / "chroma.sqlite3").read_bytes()[:5000])
    with pytest.raises(RefusedError, match=rf"{backup.name} cannot be read \(DatabaseError\); nothing was deleted"):
        ChromaMigrator(database).clean()
    assert len(ChromaMigrator(database).clean([backup.name])) == 1


def test_a_copy_that_is_migrated_has_backups_of_its_own(database: Path, projection: Projection) -> None:
    first = backup_of(database, projection)
    copy = Path(shutil.copytree(database, database.with_name("copy")))
    second = backup_of(copy, projection, "notes")
    assert names(database) == [first.name]
    assert names(copy) == [second.name]
    assert json.loads((copy / RECORD_FILE).read_text())["backups"] == [second.name]
    with open_client(copy) as client:
        client.get_collection("notes", embedding_function=None).delete(ids=["id-1-é"])
    ChromaMigrator(copy).rollback(written="carry")
    assert first.name not in names(copy)
    assert second.name in names(copy)
    assert [backup.name for backup in ChromaMigrator(database).clean()] == [first.name]
    assert second.is_dir()


def test_a_database_that_is_renamed_keeps_its_backups_also_beside_a_new_one_of_its_old_name(
    database: Path, projection: Projection
) -> None:
    fresh = Path(shutil.copytree(database, database.with_name("fresh")))
    own = [backup_of(database, projection).name, backup_of(database, projection, "notes").name]
    renamed = database.rename(database.with_name("renamed"))
    assert names(renamed) == own
    fresh.rename(database)
    assert names(database) == []
    assert names(renamed) == own
    new = backup_of(database, projection)
    assert names(database) == [new.name]
    assert names(renamed) == own


def test_a_copy_keeps_the_backups_when_the_original_is_deleted(database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    first = backup_of(database, projection)
    copy = Path(shutil.copytree(database, database.with_name("copy")))
    shutil.rmtree(database)
    assert names(copy) == [first.name]
    ChromaMigrator(copy).rollback()
    assert folder_hash(copy) == before
