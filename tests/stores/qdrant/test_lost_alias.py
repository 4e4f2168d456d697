"""Somebody drops an alias or points it elsewhere: what no mark calls unfinished is never deleted."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator, Projection
from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address, Page, Role
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.names import NAMES
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.qdrant.points import COSINE, assert_same, everything, plain, use_alias

DOCS = Address("docs")
KEY = "20260101_120000"


@pytest.fixture
def client() -> QdrantClient:
    return QdrantClient(":memory:")


@pytest.fixture
def projection() -> Projection:
    return make_projection()


def drop_alias(client: QdrantClient, alias: str = "docs") -> str:
    """Drop an alias, as an administrator does; returns the collection that it led to."""
    physical = QdrantCalls(client).aliases()[alias]
    removed = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
    client.update_collection_aliases([removed])
    return physical


def filled_version(store: QdrantStore, projection: Projection) -> Address:
    """A complete version of `docs`, which is not in place."""
    source = store.collection(DOCS)
    version = store.create_version(source, "k1", NEW_DIM, None)
    for page in source.scan(25):
        version.add(page.with_vectors(projection.apply(page.vectors)))
    return version.address


def test_a_backup_that_applications_open_again_is_none_and_stays(client: QdrantClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    before, migrator = everything(client), Migrator(client)
    migrator.migrate_collection("docs", projection)
    backup = migrator.backups()[0].name
    replaced = drop_alias(client)
    use_alias(client, "docs_v1", "docs")
    assert migrator.backups() == []
    assert migrator.clean() == []
    with pytest.raises(DatabaseChangedError, match="by the alias docs, and it was not deleted"):
        QdrantStore(client).delete(Address(backup))
    assert_same(everything(client), before)
    migrator.migrate_collection("docs", projection)
    assert len(migrator.backups()) == 1
    assert len(everything(client, replaced)) == 60
    migrator.clean()
    assert {each.name for each in client.get_collections().collections} == {
        replaced,
        QdrantCalls(client).aliases()["docs"],
    }


def test_data_that_a_rollback_left_in_a_copy_outlive_their_alias(client: QdrantClient, projection: Projection) -> None:
    plain(client)
    before, migrator = everything(client), Migrator(client)
    migrator.migrate_collection("docs", projection)
    migrator.rollback()
    copy = drop_alias(client)
    assert NAMES.state(copy) is State.COPY
    migrator = Migrator(client)
    assert migrator.unfinished is None
    assert migrator.recover() is None
    assert not migrator.undo()
    migrator.clean()
    assert_same(everything(client, copy), before)
    notice = str(migrator.exchange_notice)
    assert f"no alias leads to {copy} (60 records) any more" in notice
    assert f"client.delete_collection('{copy}')" in notice
    use_alias(client, copy, "docs")
    assert migrator.exchange_notice is None
    assert_same(everything(client), before)


def test_a_live_version_outlives_its_alias(client: QdrantClient, projection: Projection) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    migrator = Migrator(client)
    migrator.migrate_collection("docs", projection)
    after, live = everything(client), drop_alias(client)
    assert [kept.role for kept in QdrantStore(client).versions()] == [Role.BACKUP]
    assert not migrator.interrupted
    assert not migrator.undo()
    use_alias(client, "docs_v1", "docs")
    migrator.migrate_collection("docs", make_projection(seed=1))
    assert everything(client, live) == after
    assert live in str(migrator.exchange_notice)


def test_a_received_collection_outlives_its_alias(client: QdrantClient) -> None:
    store = QdrantStore(client)
    received = store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    assert store.incoming(DOCS, OLD_DIM, "cosine") is not None
    ids = [store.new_id(f"r{row}") for row in range(20)]
    received.add(Page(ids, make_vectors(20, OLD_DIM), ["text"] * 20, [None] * 20))
    store.publish(store.complete(received), DOCS)
    assert NAMES.saying(store.calls.aliases(), State.UNFINISHED) == {}
    lost = drop_alias(client)
    assert store.incoming(DOCS, OLD_DIM, "cosine") is None
    store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    assert len(everything(client, lost)) == 20


def test_a_version_that_an_earlier_lightmigrate_left_without_a_mark_is_named_and_kept(
    client: QdrantClient, projection: Projection
) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    version = filled_version(QdrantStore(client), projection).name
    drop_alias(client, NAMES.mark_of(version))
    migrator = Migrator(client)
    assert not migrator.interrupted
    assert f"{version} (60 records)" in str(migrator.exchange_notice)
    assert not migrator.undo()
    migrator.migrate_collection("docs", projection)
    migrator.clean()
    assert len(everything(client, version)) == 60


def test_a_mark_counts_only_for_the_collection_that_it_was_made_for(
    client: QdrantClient, projection: Projection
) -> None:
    plain(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    store = QdrantStore(client)
    version = filled_version(store, projection).name
    assert NAMES.unfinished(store.calls.aliases()) == {version}
    mark = NAMES.mark_of(version)
    assert NAMES.unfinished({mark: "docs_v1"}) == set()
    assert NAMES.unfinished({mark: version, "docs": version}) == set()
    assert NAMES.unfinished({mark: version, NAMES.of(DOCS, State.OLD, KEY): version}) == set()
    store.delete(Address(version))
    assert store.calls.aliases() == {"docs": "docs_v1"}


@pytest.mark.parametrize("state", [State.NEW, State.COPY])
def test_a_crash_before_the_mark_is_set_costs_an_empty_collection(
    client: QdrantClient, projection: Projection, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    plain(client)
    create_alias = QdrantCalls.create_alias

    def interrupted(calls: QdrantCalls, alias: str, collection: str) -> None:
        if NAMES.state(collection) is state:
            raise KeyboardInterrupt
        create_alias(calls, alias, collection)

    with monkeypatch.context() as patch:
        patch.setattr(QdrantCalls, "create_alias", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Migrator(client).migrate_collection("docs", projection)
    migrator = Migrator(client)
    assert migrator.recover() is None
    assert "(0 records)" in str(migrator.exchange_notice)
    assert migrator.migrate_collection("docs", projection).n_migrated == 60
    left = [each.name for each in client.get_collections().collections]
    assert len(left) == 3, "new, old, and the empty one"


def interrupted_before_the_deletion(
    client: QdrantClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange of `docs` that a crash ended after its journal was written."""
    plain(client)

    def interrupted(calls: QdrantCalls, name: str) -> None:
        assert name == "docs"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(QdrantCalls, "delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Migrator(client).migrate_collection("docs", projection)


def interrupted_in_the_deletion(
    folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> tuple[QdrantClient, dict[str, tuple[Any, dict[str, Any]]]]:
    """The client of a folder after such a crash, and what was in the collection.

    Its points are deleted before it is written down that there is none: it is there, and empty.
    """
    client = QdrantClient(path=str(folder))
    interrupted_before_the_deletion(client, projection, monkeypatch)
    before = everything(client)
    client.close()
    shutil.rmtree(folder / "collection" / "docs")
    return QdrantClient(path=str(folder)), before


def test_an_old_collection_that_is_written_to_after_a_crash_is_not_taken_for_another_one(
    client: QdrantClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_before_the_deletion(client, projection, monkeypatch)
    client.delete("docs", models.PointIdsList(points=[0, 2]))
    before, migrator = everything(client), Migrator(client)
    assert "undone" in str(migrator.recover())
    assert everything(client) == before
    (kept,) = migrator.backups()
    assert client.count(kept.name).count == 60, "what was deleted since may be what a killed client has lost"
    assert migrator.interrupted, "what was built is taken up"
    assert migrator.migrate_collection("docs", projection).n_migrated == 58
    assert everything(client).keys() == before.keys()
    assert len(migrator.backups()) == 2
    assert migrator.exchange_notice is None


def test_of_an_old_collection_that_has_all_it_had_no_copy_stays(
    client: QdrantClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_before_the_deletion(client, projection, monkeypatch)
    before, migrator = everything(client), Migrator(client)
    assert "undone" in str(migrator.recover())
    assert everything(client) == before
    assert migrator.backups() == []


def test_a_collection_that_a_killed_client_has_half_deleted_is_not_taken_for_the_old_one(
    tmp_path: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, before = interrupted_in_the_deletion(tmp_path / "qdrant", projection, monkeypatch)
    assert client.count("docs").count == 0
    migrator = Migrator(client)
    assert "finished" in str(migrator.recover())
    assert everything(client).keys() == before.keys()
    assert QdrantStore(client).collection(DOCS).facts().dimension == NEW_DIM
    (backup,) = migrator.backups()
    assert_same(everything(client, backup.name), before)
    migrator.rollback()
    assert_same(everything(client), before)
    client.close()


@pytest.mark.parametrize("same_id", [True, False])
def test_what_an_application_writes_into_one_costs_no_old_point(
    same_id: bool, tmp_path: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, before = interrupted_in_the_deletion(tmp_path / "qdrant", projection, monkeypatch)
    point = models.PointStruct(id=0 if same_id else 1000, vector=make_vectors(1)[0].tolist())
    client.upsert("docs", [point])
    migrator = Migrator(client)
    if same_id:
        assert "undone" in str(migrator.recover())
        (backup,) = migrator.backups()
        assert_same(everything(client, backup.name), before)
    else:
        with pytest.raises(DatabaseChangedError, match="created a new collection"):
            migrator.recover()
        copies = [each.name for each in client.get_collections().collections if NAMES.state(each.name) is State.COPY]
        assert [client.count(copy).count for copy in copies] == [len(before)]
    assert client.count("docs").count == 1
    client.close()


def test_an_exchange_that_an_earlier_lightmigrate_left_is_undone_and_its_copy_kept(
    client: QdrantClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_before_the_deletion(client, projection, monkeypatch)
    for alias in NAMES.saying(QdrantCalls(client).aliases(), State.LEAVING, State.UNFINISHED):
        drop_alias(client, alias)  # which it did not set
    before, migrator = everything(client), Migrator(client)
    assert "undone" in str(migrator.recover())
    assert everything(client) == before
    (backup,) = migrator.backups()
    assert_same(everything(client, backup.name), before)  # kept, as only what the two hold says which is which
    assert migrator.interrupted
    assert migrator.undo()
    assert [each.name for each in client.get_collections().collections if NAMES.state(each.name) is State.NEW] == []


def test_a_mark_is_set_before_a_collection_is_given_anything_else(
    client: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be given its indexes is deleted by the next run, then."""
    plain(client)
    store = QdrantStore(client)
    change, changes = QdrantCalls.change_aliases, list[Sequence[str]]()

    def noted(calls: QdrantCalls, *, remove: Sequence[str] = (), add: Mapping[str, str]) -> None:
        name = next(iter(add.values()))
        assert client.get_collection(name).points_count == 0
        changes.append(list(add))
        change(calls, remove=remove, add=add)

    monkeypatch.setattr(QdrantCalls, "change_aliases", noted)
    name = store.create_version(store.collection(DOCS), "k1", NEW_DIM, None).address.name
    assert changes == [[NAMES.mark_of(name)]]
    client.create_collection("other", vectors_config=models.VectorParams(size=OLD_DIM, distance=COSINE))
    store.create(Address("like"), store.collection(Address("other")), OLD_DIM, None)
    assert len(changes) == 1, "what an application asks for is not marked"
