"""What a rollback leaves in the database that it puts aside: `clean` says so, and deletes it only by its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import RefusedError
from lightmigrate.migration.aside.location import PUT_ASIDE_FILE
from lightmigrate.stores.chroma.client import open_client
from tests.crash.places import everything, place
from tests.databases import make_vectors, records

__all__ = ["place"]


@pytest.fixture
def migrator(place: str, database: Path, projection: Projection) -> ChromaMigrator:
    migrated = ChromaMigrator(database)
    migrated.migrate_collection("thought_nodes", projection)
    return migrated


def add(folder: Path, ids: Sequence[str], dimension: int = 24, name: str = "thought_nodes") -> None:
    with open_client(folder) as client:
        collection = client.get_or_create_collection(name, embedding_function=None)
        collection.add(ids=list(ids), embeddings=make_vectors(len(ids), dimension))


def reasons(migrator: ChromaMigrator) -> list[str | None]:
    return [backup.reason_to_keep for backup in migrator.backups()]


def test_what_was_discarded_is_not_deleted_unnamed(migrator: ChromaMigrator) -> None:
    add(migrator.path, ["only", "here"])
    with open_client(migrator.path) as client:
        collection = client.get_collection("thought_nodes", embedding_function=None)
        collection.update(ids=collection.get(limit=1)["ids"], metadatas=[{"only": "here"}])
    kept = migrator.rollback(written="discard").displaced_path
    assert reasons(migrator) == ["has 3 records that a rollback left only in it"]
    with pytest.raises(RefusedError, match="has 3 records that a rollback left only in it; nothing was deleted"):
        migrator.clean()
    assert [backup.path for backup in migrator.clean([kept.name])] == [kept]


def test_a_new_collection_is_not_deleted_unnamed(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        client.create_collection("young", embedding_function=None).add(**records(7, 24))
    migrator.rollback(written="discard")
    assert reasons(migrator) == ["has 7 records that a rollback left only in it"]


def test_put_back_it_is_in_use_and_nothing_is_left_behind(migrator: ChromaMigrator) -> None:
    add(migrator.path, ["only", "here"])
    hashes = everything(migrator.path.parent)
    migrator.rollback(written="discard")
    migrator.rollback()
    assert everything(migrator.path.parent)["chroma_data"] == hashes["chroma_data"]
    assert reasons(migrator) == [None]
    migrator.clean()


def test_what_is_written_later_to_one_that_was_put_aside_is_seen(migrator: ChromaMigrator) -> None:
    kept = migrator.rollback().displaced_path
    assert reasons(migrator) == [None]
    add(kept, ["late"])
    assert reasons(migrator) == ["has 1 records that were written after its migration"]
    migrator.rollback()  # what it holds is in use again
    add(migrator.path, ["known"])
    kept = migrator.rollback(written="discard").displaced_path
    add(kept, ["later"])
    first = "has 2 records that a rollback left only in it"
    assert reasons(migrator) == [f"{first} and 1 records that were written after it was put aside"]


def test_later_writes_to_an_old_database_that_was_used_in_between_are_seen(migrator: ChromaMigrator) -> None:
    """It has no record of its own, and what its last writes were is not what the migration saw."""
    migrator.rollback()
    add(migrator.path, ["between"], 16)
    kept = migrator.rollback(written="discard").displaced_path
    assert reasons(migrator) == ["has 1 records that a rollback left only in it"]
    add(kept, ["late", "later"], 16)
    first = "has 1 records that a rollback left only in it"
    assert reasons(migrator) == [f"{first} and 2 records that were written after it was put aside"]


def test_what_was_carried_over_is_no_reason_and_late_writes_to_the_backup_still_are(migrator: ChromaMigrator) -> None:
    (backup,) = migrator.backups()
    add(migrator.path, ["carried"])
    kept = migrator.rollback(written="carry").displaced_path
    assert reasons(migrator) == [None, None]
    add(backup.path, ["late"], 16)
    add(kept, ["late", "later"])
    found = {each.path: each.reason_to_keep for each in migrator.backups()}
    assert found == {
        backup.path: "has 1 records that were written after it was put aside",
        kept: "has 2 records that were written after it was put aside",
    }


def test_what_only_a_carried_copy_has_is_left_by_the_next_rollback(migrator: ChromaMigrator) -> None:
    (backup,) = migrator.backups()
    add(migrator.path, ["carried"])
    first = migrator.rollback(written="carry").displaced_path
    migrator.clean([first.name])
    migrator.rollback(backup.name)
    assert reasons(migrator) == ["has 1 records that a rollback left only in it"]


def test_one_that_an_earlier_version_put_aside_is_kept_for_what_was_written_to_it(migrator: ChromaMigrator) -> None:
    add(migrator.path, ["only", "here"])
    kept = migrator.rollback(written="discard").displaced_path
    (kept / PUT_ASIDE_FILE).unlink()  # it noted nothing
    assert reasons(migrator) == ["has 2 records that were written after its migration"]


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 9}', '{"format": 1, "left": -1}'])
def test_one_whose_note_cannot_be_read_is_kept(migrator: ChromaMigrator, content: str) -> None:
    add(migrator.path, ["only"])
    kept = migrator.rollback(written="discard").displaced_path
    (kept / PUT_ASIDE_FILE).write_text(content)
    assert reasons(migrator) == ["cannot be read (DatabaseError)"]


def test_a_note_in_a_database_in_use_says_nothing(migrator: ChromaMigrator, projection: Projection) -> None:
    """A rollback was killed before its exchange."""
    (migrator.path / PUT_ASIDE_FILE).write_text(json.dumps({"format": 1, "left": 5, "metadata": 0, "last_writes": []}))
    migrator.migrate_collection("notes", projection)
    assert reasons(migrator) == [None, None]
    assert not list(migrator.path.rglob(PUT_ASIDE_FILE))
