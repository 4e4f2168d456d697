"""Collections that were created, renamed or deleted since a migration, and what a rollback makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import WrittenSinceError
from lightmigrate.migration.results import ChangesSince
from lightmigrate.stores.chroma.client import open_client
from tests.crash.places import place
from tests.databases import make_database, make_vectors, records

__all__ = ["place"]


@pytest.fixture
def migrator(place: str, database: Path, projection: Projection) -> ChromaMigrator:
    migrated = ChromaMigrator(database)
    migrated.migrate_collection("thought_nodes", projection)
    migrated.migrate_collection("notes", projection)
    return migrated


def collections(folder: Path) -> dict[str, dict[str, Any]]:
    """The vectors of every collection by id."""
    with open_client(folder) as client:
        found = {}
        for listed in client.list_collections():
            rows = client.get_collection(listed.name, embedding_function=None).get(include=["embeddings"])
            found[listed.name] = dict(zip(rows["ids"], np.asarray(rows["embeddings"]), strict=True))
        return found


def test_a_new_collection_comes_back_into_the_old_space(tmp_path: Path) -> None:
    """With the way back that the other collections show, near where the old model would have put its records."""
    from lightmigrate import Model

    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))
    source, target = Model("old", 16, normalised=False), Model("new", 24, normalised=False)
    projection = Projection.affine(rotation[:16], np.zeros(24), source=source, target=target)
    truth = make_vectors(300, 16)
    with open_client(tmp_path / "db") as client:
        for name, rows in (("first", range(125)), ("second", range(125, 250))):
            collection = client.create_collection(name, embedding_function=None)
            collection.add(ids=[str(row) for row in rows], embeddings=truth[rows])
        client.create_collection("empty", embedding_function=None)
    migrator = ChromaMigrator(tmp_path / "db")
    migrator.migrate([CollectionJob(name, projection) for name in ("first", "second")])
    with open_client(tmp_path / "db") as client:
        for name, rows in (("young", range(250, 275)), ("empty", range(275, 300))):
            collection = client.get_or_create_collection(name, embedding_function=None)
            collection.add(ids=[str(row) for row in rows], embeddings=projection.apply(truth[rows]))
    done = migrator.rollback(written="carry")
    assert [each.kept_dimension for each in done.written] == [None, None]
    found = collections(tmp_path / "db")
    for name, rows in (("young", range(250, 275)), ("empty", range(275, 300))):
        carried = np.array([found[name][str(row)] for row in rows])
        assert carried.shape == (25, 16)
        error = np.linalg.norm(carried - truth[rows], axis=1).max()
        assert error < 0.2 * np.linalg.norm(truth[rows], axis=1).mean()


def test_where_nothing_shows_the_way_back_that_is_said(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        client.create_collection("another", embedding_function=None).add(**records(7, 12))
    done = migrator.rollback(written="carry")
    assert done.written == (ChangesSince("another", 7, 0, 0, kept_dimension=12),)
    assert {vector.shape for vector in collections(migrator.path)["another"].values()} == {(12,)}


def test_of_a_dimension_with_two_ways_back_none_is_guessed(tmp_path: Path, projection: Projection) -> None:
    """A collection of the new dimension was there before, too: whose model a new one is of, nobody knows."""
    database = make_database(tmp_path / "chroma_data")
    with open_client(database) as client:
        client.create_collection("always", embedding_function=None).add(**records(30, 24))
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    with open_client(database) as client:
        client.create_collection("young", embedding_function=None).add(**records(7, 24))
    assert migrator.rollback(written="carry").written == (ChangesSince("young", 7, 0, 0, kept_dimension=24),)


def test_a_renamed_collection_keeps_its_exact_old_vectors(migrator: ChromaMigrator) -> None:
    old = collections(migrator.backups()[-1].path)["notes"]
    with open_client(migrator.path) as client:
        notes = client.get_collection("notes", embedding_function=None)
        notes.modify(name="renamed")
        notes.add(ids=["late"], embeddings=make_vectors(1, 24))
    with pytest.raises(WrittenSinceError, match="1 records were added, 0 changed, 0 deleted, 1 collections renamed"):
        migrator.rollback()
    done = migrator.rollback(written="carry")
    assert done.written == (ChangesSince("renamed", 1, 0, 0, was="notes"),)
    found = collections(migrator.path)
    assert "notes" not in found
    assert found["renamed"].pop("late").shape == (16,)
    assert found["renamed"].keys() == old.keys()
    for record, vector in old.items():
        np.testing.assert_array_equal(found["renamed"][record], vector)


def test_two_collections_that_changed_their_names_are_told_apart(migrator: ChromaMigrator) -> None:
    before = collections(migrator.backups()[-1].path)
    with open_client(migrator.path) as client:
        notes, thoughts = (client.get_collection(n, embedding_function=None) for n in ("notes", "thought_nodes"))
        notes.modify(name="between")
        thoughts.modify(name="notes")
        notes.modify(name="thought_nodes")
    migrator.rollback(written="carry")
    found = collections(migrator.path)
    assert found["notes"].keys() == before["thought_nodes"].keys()
    assert found["thought_nodes"].keys() == before["notes"].keys()


def test_a_collection_that_was_renamed_only_is_left_behind_by_nothing(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        client.get_collection("notes", embedding_function=None).modify(name="renamed")
    kept = migrator.rollback(written="discard").displaced_path
    assert [each.reason_to_keep for each in migrator.backups() if each.path == kept] == [None]


def test_a_deleted_collection_does_not_come_back_empty(migrator: ChromaMigrator) -> None:
    with open_client(migrator.path) as client:
        client.delete_collection("notes")
    done = migrator.rollback(written="carry")
    assert done.written == (ChangesSince("notes", 0, 0, 30),)
    assert collections(migrator.path).keys() == {"thought_nodes", "other_model", "empty"}


def test_a_deleted_collection_keeps_what_was_written_to_the_backup(migrator: ChromaMigrator) -> None:
    with open_client(migrator.backups()[-1].path) as client:
        client.get_collection("notes", embedding_function=None).add(ids=["late"], embeddings=make_vectors(1))
    with open_client(migrator.path) as client:
        client.delete_collection("notes")
    migrator.rollback(written="carry")
    assert collections(migrator.path)["notes"].keys() == {"late"}
