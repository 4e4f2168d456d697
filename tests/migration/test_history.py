"""The history of a folder: it travels with the database, and a damaged file hides nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.overview import overview
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.history import HISTORY_FILE
from lightmigrate.migrator import Migrator
from lightmigrate.projection.projection import Projection


def test_what_only_backups_know_was_rolled_back(database: Path, projection: Projection) -> None:
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    assert [entry.undone for entry in migrator.history()] == [False]
    migrator.rollback()
    assert not (database / HISTORY_FILE).exists()  # it is as it was, to the byte
    assert [entry.undone for entry in migrator.history()] == [True]
    migrator.rollback()
    assert [entry.undone for entry in migrator.history()] == [False]
    migrator.rollback()
    migrator.migrate_collection("notes", projection)
    migrator.clean()
    entries = migrator.history()
    assert [(e.collection_name, e.undone) for e in entries] == [("thought_nodes", True), ("notes", False)]
    assert migrator.history("notes") == entries[1:]


def test_a_deleted_backup_leaves_its_history(database: Path, projection: Projection) -> None:
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    migrator.rollback()
    migrator.clean()
    assert [(entry.collection_name, entry.undone) for entry in migrator.history()] == [("thought_nodes", True)]


def test_a_database_of_an_older_version_tells_what_its_records_tell(database: Path, projection: Projection) -> None:
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    migrator.migrate_collection("notes", projection)
    known = migrator.history()
    for folder in (database, *(backup.path for backup in migrator.backups())):
        (folder / HISTORY_FILE).unlink(missing_ok=True)
    of_records = migrator.history()
    assert [(e.address, e.models, e.records, e.backup) for e in of_records] == [
        (e.address, e.models, e.records, e.backup) for e in known
    ]
    migrator.rollback()
    assert [entry.collection_name for entry in migrator.history()] == ["thought_nodes", "notes"]
    migrator.migrate_collection("notes", projection)
    assert [entry.collection_name for entry in migrator.history()] == ["thought_nodes", "notes", "notes"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"format": 1}', '{"format": 1, "entries": [1]}', '{"format": 1, "entries": [{"at": "x"}]}', "\0"],
)
def test_a_damaged_file_hides_nothing_else_and_stops_no_migration(
    content: str, database: Path, projection: Projection
) -> None:
    (database / HISTORY_FILE).write_text(content)
    migrator = Migrator(database)
    with pytest.raises(LightmigrateError, match="only the history of migrations is lost"):
        migrator.history()
    shown = overview(DatabaseChoice(str(database)), conversation=AGREED)
    assert len(shown.collections) == 5
    assert any("is damaged" in notice for notice in shown.notices)
    migrator.migrate_collection("thought_nodes", projection)
    assert [entry.collection_name for entry in migrator.history()] == ["thought_nodes"]


def test_what_is_no_fact_in_a_header_is_left_out(database: Path, projection: Projection) -> None:
    hostile = {"compared": [1, {"description": 2}, None], "tried": "text"}
    migrator = Migrator(database)
    migrator.migrate_collection("thought_nodes", projection.with_facts(training=hostile))
    (entry,) = migrator.history()
    assert (entry.compared, entry.tried) == ((), ())
    content = json.loads((database / HISTORY_FILE).read_text())
    content["entries"][0] |= {"source": {"dimension": []}, "quality": {"verdict": {}, "expected_retention": "<b>"}}
    (database / HISTORY_FILE).write_text(json.dumps(content))
    (entry,) = migrator.history()
    assert (entry.verdict, entry.expected) == ("", None)
    assert entry.models == ("an unnamed model", "new-model")


def test_a_newer_version_is_told_apart(database: Path) -> None:
    (database / HISTORY_FILE).write_text('{"format": 2, "entries": []}')
    with pytest.raises(LightmigrateError, match="newer lightmigrate"):
        Migrator(database).history()
