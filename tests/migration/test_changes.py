"""Records that were written after the migration: a rollback says how many, and does with them what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DatabaseError, WrittenSinceError
from lightmigrate.migration.changes import Carrying, Changes, OnWritten
from lightmigrate.migration.results import ChangesSince
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.crash.places import everything, place
from tests.databases import ADDRESSES, contents, make_vectors, records

__all__ = ["place"]


def write(database: Path) -> None:
    """Two added, one changed in its text, one in its metadata, two deleted; a new collection; one row elsewhere."""
    with open_client(database) as client:
        thoughts = client.get_collection("thought_nodes", embedding_function=None)
        ids = thoughts.get(include=[])["ids"]
        thoughts.add(
            ids=["late", "later"], embeddings=make_vectors(2, 24), documents=["one", None],
            metadatas=[{"n": 1}, None], uris=[None, "file:///later"],
        )  # fmt: skip
        thoughts.update(ids=ids[3], embeddings=make_vectors(1, 24), documents="another text")
        thoughts.update(ids=ids[4], metadatas={"more": True})
        thoughts.delete(ids=[ids[5], ids[6]])
        client.create_collection("young", embedding_function=None).add(**records(7, 24))
        other = client.get_collection("other_model", embedding_function=None)
        other.add(ids=["exact"], embeddings=make_vectors(1, 8), documents=["elsewhere"])


WRITTEN = (
    ChangesSince("other_model", 1, 0, 0),
    ChangesSince("thought_nodes", 2, 2, 2),
    ChangesSince("young", 7, 0, 0),
)


@pytest.fixture
def migrated(place: str, database: Path, projection: Projection) -> tuple[ChromaMigrator, str]:
    """A migrator whose database was migrated and then written to, and the hash of the old one."""
    before = everything(database.parent)["chroma_data"]
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    write(database)
    return migrator, before


def test_it_is_refused_with_the_numbers(migrated: tuple[ChromaMigrator, str]) -> None:
    migrator, _ = migrated
    hashes = everything(migrator.path.parent)
    with pytest.raises(WrittenSinceError, match="10 records were added, 2 changed, 2 deleted") as caught:
        migrator.rollback()
    assert (caught.value.added, caught.value.changed, caught.value.deleted) == (10, 2, 2)
    assert caught.value.exit_code == 2
    assert "late" not in str(caught.value)
    assert everything(migrator.path.parent) == hashes


def test_discarded_they_stay_in_the_database_that_was_replaced(migrated: tuple[ChromaMigrator, str]) -> None:
    migrator, before = migrated
    done = migrator.rollback(written="discard")
    assert (done.written, done.carried) == (WRITTEN, False)
    assert everything(migrator.path.parent)["chroma_data"] == before
    with open_client(done.displaced_path) as client:
        kept = client.get_collection("thought_nodes", embedding_function=None).get(ids=["late", "later"])
    assert sorted(kept["ids"]) == ["late", "later"]
    # and forward again, where nothing was written since
    migrator.rollback()
    with open_client(migrator.path) as client:
        assert client.get_collection("young", embedding_function=None).count() == 7


def rows(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {row[0]: row for row in found[f"default_tenant/default_database/{name}"]["rows"]}


def test_carried_over_nothing_is_lost(migrated: tuple[ChromaMigrator, str]) -> None:
    migrator, before = migrated
    addresses = (*ADDRESSES, ("default_tenant", "default_database", "young"))
    new = contents(migrator.path, addresses)
    done = migrator.rollback(written="carry")
    assert (done.written, done.carried) == (WRITTEN, True)
    old = contents(migrator.path, addresses)
    for name in ("thought_nodes", "other_model", "young", "notes", "empty"):
        assert rows(old, name) == rows(new, name)
    vectors = old["default_tenant/default_database/thought_nodes"]["vectors"]
    assert vectors.shape == (60, 16)
    assert np.isfinite(vectors).all()
    # one that is new comes back into the old space as the others of its dimension do
    assert old["default_tenant/default_database/young"]["vectors"].shape == (7, 16)
    for name in ("other_model",):
        key = f"default_tenant/default_database/{name}"
        np.testing.assert_allclose(old[key]["vectors"], new[key]["vectors"], atol=1e-6)
    # the backup itself stays what it was, and is still there
    hashes = everything(migrator.path.parent)
    assert before in hashes.values()
    assert len(migrator.backups()) == 2
    # and forward again: all three stay known
    migrator.rollback(done.displaced_path.name, written="discard")
    assert rows(contents(migrator.path, addresses), "young") == rows(new, "young")
    assert len(migrator.backups()) == 2


def write_late(backup: Path) -> str:
    """A record more in the backup, and another text of one that it has; returns the id of that one."""
    with open_client(backup) as client:
        thoughts = client.get_collection("thought_nodes", embedding_function=None)
        written: str = thoughts.get(limit=1)["ids"][0]
        thoughts.add(ids=["too late"], embeddings=make_vectors(1), documents=["in the backup"])
        thoughts.update(ids=[written], metadatas=[{"in": "the backup"}])
    return written


@pytest.mark.parametrize("written", ["refuse", "carry"])
def test_what_was_written_to_the_backup_was_not_deleted(
    place: str, database: Path, projection: Projection, written: OnWritten
) -> None:
    migrator = ChromaMigrator(database)
    backup = migrator.migrate_collection("thought_nodes", projection).backup_path
    assert backup is not None
    changed = write_late(backup)
    expected: tuple[ChangesSince, ...] = ()
    if written == "carry":
        with open_client(database) as client:
            thoughts = client.get_collection("thought_nodes", embedding_function=None)
            thoughts.add(ids=["carried"], embeddings=make_vectors(1, 24))
            thoughts.delete(ids=[changed])  # but it was written again where it is
        expected = (ChangesSince("thought_nodes", 1, 0, 0),)
    assert migrator.rollback(written=written).written == expected
    with open_client(database) as client:
        found = client.get_collection("thought_nodes", embedding_function=None).get(ids=["too late", changed])
    assert found["documents"][found["ids"].index("too late")] == "in the backup"
    assert (found["metadatas"][found["ids"].index(changed)] or {})["in"] == "the backup"


def test_what_a_rollback_left_in_a_backup_was_not_deleted_by_a_later_migration(
    database: Path, projection: Projection
) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection)
    with open_client(database) as client:
        thoughts = client.get_collection("thought_nodes", embedding_function=None)
        thoughts.add(ids=["left"], embeddings=make_vectors(1, 24))
    left = migrator.rollback(written="discard").displaced_path
    migrator.migrate_collection("thought_nodes", projection)
    assert migrator.rollback(left.name).written == ()
    with open_client(database) as client:
        assert client.get_collection("thought_nodes", embedding_function=None).get(ids=["left"])["ids"] == ["left"]


def test_what_is_carried_back_is_near_where_the_old_model_would_have_put_it(tmp_path: Path) -> None:
    """A map that loses nothing, so that the way back can be checked against the truth."""
    from lightmigrate import Model

    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))
    truth = make_vectors(300, 16)
    source, target = Model("old", 16, normalised=False), Model("new", 24, normalised=False)
    projection = Projection.affine(rotation[:16], np.zeros(24), source=source, target=target)
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(250)], embeddings=truth[:250]
        )
    migrator = ChromaMigrator(tmp_path / "db")
    migrator.migrate_collection("memory", projection)
    with open_client(tmp_path / "db") as client:
        client.get_collection("memory", embedding_function=None).add(
            ids=[str(row) for row in range(250, 300)], embeddings=projection.apply(truth[250:])
        )
    migrator.rollback(written="carry")
    with open_client(tmp_path / "db") as client:
        found = client.get_collection("memory", embedding_function=None).get(include=["embeddings"])
    back = dict(zip(found["ids"], np.asarray(found["embeddings"]), strict=True))
    np.testing.assert_array_equal([back[str(row)] for row in range(250)], truth[:250])
    carried = np.array([back[str(row)] for row in range(250, 300)])
    assert np.linalg.norm(carried - truth[250:], axis=1).max() < 0.2 * np.linalg.norm(truth[250:], axis=1).mean()


def test_too_few_records_to_learn_the_way_back_from(tmp_path: Path, projection: Projection) -> None:
    with open_client(tmp_path / "db") as client:
        client.create_collection("memory", embedding_function=None).add(ids=["a", "b"], embeddings=make_vectors(2))
    migrator = ChromaMigrator(tmp_path / "db")
    migrator.migrate_collection("memory", projection)
    with open_client(tmp_path / "db") as client:
        client.get_collection("memory", embedding_function=None).add(ids=["c"], embeddings=make_vectors(1, 24))
    with pytest.raises(WrittenSinceError, match="2 records are in both databases, 20 are needed"):
        migrator.rollback(written="carry")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert migrator.rollback(written="discard").restored


def test_a_database_that_fails_meanwhile_is_no_reason_to_discard_what_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*arguments: object) -> Any:
        raise DatabaseError("the server is gone")

    database = MemoryDatabase()
    database.create_collection(Address("docs"), 4, "l2", {}, None)
    collection = MemoryStore(database).collection(Address("docs"))
    monkeypatch.setattr(type(collection), "sample", gone)
    with pytest.raises(DatabaseError, match="the server is gone"):
        Carrying(10, seed=0).carry(collection, collection, Changes(Address("docs"), ["a"], changed=(), deleted=()))
