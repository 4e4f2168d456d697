"""Somebody drops an alias or points it elsewhere: what no mark calls unfinished is never deleted."""

from __future__ import annotations

import pytest
from pymilvus import MilvusClient

from lightmigrate import Migrator, Projection
from lightmigrate.errors import DatabaseChangedError
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address, Page, Role
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.names import NAMES
from lightmigrate.stores.milvus.store import MilvusStore
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.milvus.rows import everything
from tests.stores.milvus.test_migration import plain

DOCS = Address("docs")


@pytest.fixture
def projection() -> Projection:
    return make_projection()


def aliased(client: MilvusClient, rows: int = 30) -> None:
    """A collection that its application opens by an alias."""
    plain(client, "docs_v1", rows)
    client.create_alias("docs_v1", "docs")


def drop_alias(client: MilvusClient, alias: str = "docs") -> str:
    """Drop an alias, as an administrator does; returns the collection that it led to."""
    physical = MilvusCalls(client).aliases()[alias]
    client.drop_alias(alias)
    return physical


def filled_version(store: MilvusStore, projection: Projection) -> str:
    """The name of a complete version of `docs`, which is not in place."""
    source = store.collection(DOCS)
    version = store.create_version(source, "k1", NEW_DIM, None)
    for page in source.scan(25):
        version.add(page.with_vectors(projection.apply(page.vectors)))
    return version.address.name


def test_a_backup_that_applications_open_again_is_none_and_stays(client: MilvusClient, projection: Projection) -> None:
    aliased(client)
    before, migrator = everything(client), Migrator(client)
    migrator.migrate_collection("docs", projection)
    backup = migrator.backups()[0].name
    replaced = drop_alias(client)
    client.create_alias("docs_v1", "docs")
    assert migrator.clean() == []
    with pytest.raises(DatabaseChangedError, match="by the alias docs, and it was not deleted"):
        MilvusStore(client).delete(Address(backup))
    assert everything(client) == before
    migrator.migrate_collection("docs", projection)
    assert len(migrator.backups()) == 1
    migrator.clean()
    assert sorted(client.list_collections()) == sorted([replaced, MilvusCalls(client).aliases()["docs"]])
    assert len(everything(client, replaced)) == 30


def test_a_live_version_outlives_its_alias(client: MilvusClient, projection: Projection) -> None:
    aliased(client)
    migrator = Migrator(client)
    migrator.migrate_collection("docs", projection)
    assert NAMES.saying(MilvusCalls(client).aliases(), State.UNFINISHED, State.READY) == {}
    after, live = everything(client), drop_alias(client)
    assert [kept.role for kept in MilvusStore(client).versions()] == [Role.BACKUP]
    assert not migrator.undo()
    client.create_alias("docs_v1", "docs")
    migrator.migrate_collection("docs", make_projection(seed=1))
    assert everything(client, live) == after
    notice = str(migrator.exchange_notice)
    assert f"no alias leads to {live} (30 records) any more" in notice
    assert f"client.drop_collection('{live}')" in notice


def test_a_received_collection_outlives_its_alias(client: MilvusClient) -> None:
    store = MilvusStore(client)
    received = store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    assert store.incoming(DOCS, OLD_DIM, "cosine") is not None
    received.add(Page([f"r{row}" for row in range(9)], make_vectors(9, OLD_DIM), ["text"] * 9, [None] * 9))
    store.publish(store.complete(received), DOCS)
    lost = drop_alias(client)
    assert store.incoming(DOCS, OLD_DIM, "cosine") is None
    store.create_incoming(DOCS, OLD_DIM, "cosine", None)
    assert len(everything(client, lost, "pk")) == 9


def test_a_version_that_an_earlier_lightmigrate_left_without_a_mark_is_named_and_kept(
    client: MilvusClient, projection: Projection
) -> None:
    aliased(client)
    version = filled_version(MilvusStore(client), projection)
    drop_alias(client, NAMES.mark_of(version))
    migrator = Migrator(client)
    assert not migrator.interrupted
    assert f"{version} (30 records)" in str(migrator.exchange_notice)
    assert not migrator.undo()
    migrator.migrate_collection("docs", projection)
    migrator.clean()
    assert len(everything(client, version)) == 30


def test_a_crash_before_the_mark_is_set_costs_an_empty_collection(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(client, "docs", 9)

    def interrupted(calls: MilvusCalls, alias: str, collection: str) -> None:
        assert alias == NAMES.mark_of(collection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCalls, "create_alias", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Migrator(client).migrate_collection("docs", projection)
    migrator = Migrator(client)
    assert "(0 records)" in str(migrator.exchange_notice)
    assert migrator.migrate_collection("docs", projection).n_migrated == 9
    assert len(client.list_collections()) == 3, "new, old, and the empty one"


def test_a_version_that_was_in_place_gets_no_mark_when_its_alias_is_gone(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliased(client)
    alter = MilvusCalls.alter_alias

    def interrupted(calls: MilvusCalls, alias: str, collection: str) -> None:
        alter(calls, alias, collection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCalls, "alter_alias", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Migrator(client).migrate_collection("docs", projection)
    after, live = everything(client), drop_alias(client)
    store = MilvusStore(client)
    assert "undone" in str(store.recover())
    assert [kept.role for kept in store.versions()] == [Role.BACKUP]
    assert everything(client, live) == after


@pytest.mark.parametrize("by_alias", [True, False])
def test_what_an_undone_exchange_had_built_is_taken_up(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch, by_alias: bool
) -> None:
    aliased(client) if by_alias else plain(client, "docs", 30)

    def interrupted(calls: MilvusCalls, *names: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCalls, "alter_alias" if by_alias else "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Migrator(client).migrate_collection("docs", projection)
    store = MilvusStore(client)
    assert NAMES.unfinished(store.calls.aliases()) == set()
    assert "undone" in str(store.recover())
    (version,) = store.versions()
    assert (version.role, store.collection(version.address).count()) == (Role.BUILDING, 30)
    assert Migrator(client).undo()
    assert client.list_collections() == ["docs_v1" if by_alias else "docs"]
    assert client.list_aliases()["aliases"] == (["docs"] if by_alias else [])


def test_a_deletion_that_a_crash_ended_is_finished_by_undo(
    client: MilvusClient, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    aliased(client)
    migrator = Migrator(client)
    migrator.migrate_collection("docs", projection)
    after = everything(client)

    def interrupted(calls: MilvusCalls, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MilvusCalls, "delete", interrupted)
        patch.setattr(MilvusCalls, "drop_alias", _drop_all_but_marks)
        with pytest.raises(KeyboardInterrupt):
            migrator.clean()
    assert [kept.role for kept in MilvusStore(client).versions()] == [Role.BUILDING]
    assert migrator.undo()
    assert client.list_collections() == [MilvusCalls(client).aliases()["docs"]]
    assert everything(client) == after


def _drop_all_but_marks(calls: MilvusCalls, alias: str) -> None:
    if NAMES.state(alias) is not State.UNFINISHED:
        calls.client.drop_alias(alias)
