"""Metadata that collections got since a migration are part of what a rollback is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import RefusedError, WrittenSinceError
from lightmigrate.migration.results import ChangesSince
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.crash.places import everything, place
from tests.databases import make_vectors

__all__ = ["place"]

OTHER = {"owner": "bob", "number": 7, "share": 0.5, "checked": True}


@pytest.fixture
def migrator(place: str, database: Path, projection: Projection) -> ChromaMigrator:
    migrated = ChromaMigrator(database)
    migrated.migrate_collection("thought_nodes", projection)
    with open_client(database) as client:
        client.get_collection("thought_nodes", embedding_function=None).modify(metadata=dict(OTHER))
    return migrated


def metadata(folder: Path, name: str = "thought_nodes") -> Any:
    with open_client(folder) as client:
        return client.get_collection(name, embedding_function=None).metadata


def test_they_are_not_dropped_unasked(migrator: ChromaMigrator) -> None:
    hashes = everything(migrator.path.parent)
    with pytest.raises(WrittenSinceError, match="0 deleted, 1 collections given other metadata: say whether"):
        migrator.rollback()
    assert everything(migrator.path.parent) == hashes


def test_discarded_they_are_not_deleted_unnamed(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        thoughts = client.get_collection("thought_nodes", embedding_function=None)
        thoughts.add(ids=["late"], embeddings=make_vectors(1, 24))
    done = migrator.rollback(written="discard")
    assert done.written == (ChangesSince("thought_nodes", 1, 0, 0, metadata=True),)
    assert metadata(migrator.path) == {"owner": "raa", "version": 3}
    (backup,) = migrator.backups()
    assert backup.reason_to_keep == "has 1 records and the metadata of 1 collections that a rollback left only in it"
    with pytest.raises(RefusedError, match="nothing was deleted"):
        migrator.clean()


def test_carried_they_come_along(migrator: ChromaMigrator) -> None:
    done = migrator.rollback(written="carry")
    assert done.written == (ChangesSince("thought_nodes", 0, 0, 0, metadata=True),)
    assert metadata(migrator.path) == OTHER
    assert {type(value) for value in metadata(migrator.path).values()} == {str, int, float, bool}
    assert [backup.reason_to_keep for backup in migrator.backups()] == [None, None]


def test_a_new_and_empty_collection_that_has_some_comes_along(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        client.create_collection("young", embedding_function=None, metadata={"why": "later"})
    migrator.rollback(written="carry")
    assert metadata(migrator.path, "young") == {"why": "later"}


@pytest.mark.parametrize("index", ["keep", "rebuild", "rewrite"])
def test_what_a_migration_changes_is_no_change(database: Path, index: Any) -> None:
    """A distance stands in the metadata of old collections."""
    migrator = ChromaMigrator(database)
    before = ChromaFiles(database).metadata()
    migrator.migrate([CollectionJob(name, distance="l2") for name in ("thought_nodes", "notes")], index=index)
    assert ChromaFiles(database).metadata() == before
    assert migrator.rollback().written == ()
