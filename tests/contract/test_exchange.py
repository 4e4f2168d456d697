"""Versions of a collection: built beside it, put in its place, and back, losing nothing."""

from __future__ import annotations

import threading

import pytest

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import Address, Role, Store
from lightmigrate.stores.distance import measured_space
from tests.contract.makers import Maker
from tests.contract.material import (
    IDS,
    NEW,
    OLD,
    assert_same,
    build,
    everything,
    exchanged,
    filled,
    hostile,
    page,
    projected,
    stored_by,
    vectors,
)
from tests.processes import TIMEOUT

KEY, LATER = "20260101_120000", "20260101_120001"


def test_a_version_has_the_settings_of_its_source(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", metric="cosine")
    store = maker.client()
    source = store.collection(address)
    version = store.create_version(source, "k1", NEW, None)
    assert version.settings() == source.settings()
    assert version.facts().space == "cosine"
    assert version.count() == 0
    assert list(version.scan(5)) == []


def test_a_version_can_have_another_distance_and_the_backup_keeps_its_own(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", metric="l2")
    store = maker.client()
    source, before = store.collection(address), everything(store.collection(address))
    settings, wanted = source.settings(), source.settings("cosine")
    assert store.fixed_distance(address) is None
    assert settings != wanted
    assert source.settings("l2") == settings
    version = store.create_version(source, "k1", OLD, None, "cosine")
    assert version.settings() == wanted
    version.add(before)
    store.exchange(version, source, KEY)
    for client in (store, maker.client()):
        live = client.collection(address)
        assert live.settings() == wanted
        assert (live.facts().space, measured_space(live)) == ("cosine", "cosine")
        assert_same(everything(live), stored_by(client, before, "cosine"), maker.tolerance("cosine"))
        (backup,) = client.versions()
        old = client.collection(backup.address)
        assert (old.settings(), measured_space(old)) == (settings, "l2")
    store.restore(store.versions()[0], LATER)
    live = maker.client().collection(address)
    assert (live.settings(), measured_space(live)) == (settings, "l2")
    assert_same(everything(live), before)


def test_versions_are_listed_with_role_and_key_and_are_no_collections(maker: Maker, store: Store) -> None:
    address, other = filled(maker, "docs"), filled(maker, "other")
    store = maker.client()
    assert store.versions() == []
    build(store, address, "abc_123")
    assert [(kept.own, kept.role, kept.key) for kept in store.versions()] == [(address, Role.BUILDING, "abc_123")]
    store.exchange(store.collection(store.versions()[0].address), store.collection(address), KEY)
    assert [(kept.own, kept.role, kept.key) for kept in store.versions()] == [(address, Role.BACKUP, KEY)]
    assert [store.backup_of(address, KEY)] == store.versions()
    exchanged(store, address, LATER)
    build(store, other, "k2")
    backups = [(kept.own, kept.key) for kept in maker.client().versions() if kept.role is Role.BACKUP]
    assert backups == [(address, KEY), (address, LATER)]
    assert len(store.versions()) == 3
    assert [facts.address for facts in store.collections()] == [address, other]
    for kept in store.versions():
        assert store.collection(kept.address).address == kept.address


def test_a_building_version_can_be_opened_again_and_kept_up(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    build(store, address)
    before = everything(store.collection(address))
    version = maker.client().collection(store.versions()[0].address)
    new = page(maker, 20).with_vectors(projected(page(maker, 20).vectors))
    assert_same(everything(version), new, maker.tolerance("l2"))
    version.put(new.rows([3]).with_vectors(vectors(1, NEW, seed=8)))
    version.replace_vectors(["id-0004"], vectors(1, NEW, seed=9))
    version.remove(["id-0005", "no such id"])
    assert version.count() == 19
    assert list(version.records(["id-0005", "id-0006"]).ids) == ["id-0006"]
    assert version.records(["id-0003"]).vectors.tobytes() == vectors(1, NEW, seed=8).tobytes()
    assert version.records(["id-0004"]).vectors.tobytes() == vectors(1, NEW, seed=9).tobytes()
    assert_same(everything(store.collection(address)), before)


def test_what_the_model_is_comes_back(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD, model=True)
    store = maker.client()
    collection = store.collection(address)
    collection.add(page(maker, 3))
    recorded = collection.facts().embedding_function
    assert (recorded is not None) == maker.records_model
    assert (recorded or maker.model)["name"] == maker.model["name"]
    described = store.describe_model(maker.model)
    assert (described is not None) == maker.records_model
    assert store.describe_model(None) is None
    assert store.create_version(collection, "k1", NEW, None).facts().embedding_function == recorded
    changed = None if described is None else {**described, "name": "default"}
    version = store.create_version(collection, "k2", NEW, changed)
    assert version.facts().embedding_function == changed


def test_something_that_is_no_model_is_refused(maker: Maker, store: Store) -> None:
    with pytest.raises(LightmigrateError):
        store.describe_model(object())


@pytest.mark.every_maker
def test_an_exchange_replaces_vectors_and_nothing_else(maker: Maker, store: Store) -> None:
    address, other = maker.create("docs", OLD), filled(maker, "other")
    store = maker.client()
    store.collection(address).add(hostile(maker))
    before, untouched = everything(store.collection(address)), everything(store.collection(other))
    settings = store.collection(address).settings()
    exchanged(store, address, KEY)
    for client in (store, maker.client()):
        live = client.collection(address)
        assert live.facts().dimension == NEW
        assert live.settings() == settings
        assert_same(everything(live), before.with_vectors(projected(before.vectors)), maker.tolerance("l2"))
        (backup,) = client.versions()
        assert (backup.own, backup.role, backup.key) == (address, Role.BACKUP, KEY)
        assert_same(everything(client.collection(backup.address)), before)
        assert_same(everything(client.collection(other)), untouched)


@pytest.mark.every_maker
def test_a_restored_backup_is_what_it_was(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD)
    store = maker.client()
    store.collection(address).add(hostile(maker))
    before, facts = everything(store.collection(address)), store.collection(address).facts()
    settings = store.collection(address).settings()
    exchanged(store, address, KEY)
    migrated = everything(store.collection(address))
    store.restore(store.versions()[0], LATER)
    live = maker.client().collection(address)
    assert_same(everything(live), before)
    assert live.settings() == settings
    assert live.facts().to_json() | {"id": ""} == facts.to_json() | {"id": ""}
    (displaced,) = maker.client().versions()
    assert (displaced.own, displaced.role, displaced.key) == (address, Role.BACKUP, LATER)
    assert_same(everything(store.collection(displaced.address)), migrated)
    store.restore(displaced, "20260101_120002")
    assert_same(everything(store.collection(address)), migrated)


def test_settle_is_called_once_where_writers_are_held_and_sees_both(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    version, live = build(store, address), store.collection(address)
    live.replace_vectors(["id-0003"], vectors(1, seed=33))
    calls = []

    def settle() -> None:
        late = live.records(["id-0003"])
        calls.append(late.vectors.tobytes())
        version.put(late.with_vectors(projected(late.vectors)))

    store.exchange(version, live, KEY, settle=settle)
    settles = store.capabilities.holds_writers or store.capabilities.settles_again
    assert calls == ([vectors(1, seed=33).tobytes()] if settles else [])
    expected = vectors(1, seed=33) if calls else page(maker, 20).vectors[3:4]
    assert store.collection(address).records(["id-0003"]).vectors.tobytes() == projected(expected).tobytes()


def test_an_error_while_settling_leaves_the_old_one(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    version, live = build(store, address), store.collection(address)
    before, built = everything(live), everything(version)

    def fail() -> None:
        version.replace_vectors(["id-0001"], vectors(1, NEW))
        raise LightmigrateError("not settled")

    if store.capabilities.holds_writers or store.capabilities.settles_again:
        with pytest.raises(LightmigrateError, match="not settled"):
            store.exchange(version, live, KEY, settle=fail)
        assert_same(everything(store.collection(address)), before)
        assert [(kept.role, kept.key) for kept in store.versions()] == [(Role.BUILDING, "k1")]
        assert store.collection(store.versions()[0].address).count() == 20
    store.exchange(store.collection(store.versions()[0].address), store.collection(address), KEY)
    live = store.collection(address)
    assert list(everything(live).ids) == list(built.ids)
    assert live.facts().dimension == NEW


def test_an_exchange_settles_again_after_a_write(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    version, live = build(store, address), store.collection(address)
    writer = maker.client().collection(address)
    calls: list[None] = []

    def settle() -> None:
        late = live.records(["id-0003"])
        version.put(late.with_vectors(projected(late.vectors)))
        calls.append(None)
        if len(calls) <= 2:
            writer.replace_vectors(["id-0003"], vectors(1, seed=40 + len(calls)))
            writer.remove([f"id-000{len(calls) + 5}"])

    if not store.capabilities.settles_again:
        return
    store.exchange(version, live, KEY, settle=settle)
    assert len(calls) == 3
    migrated = store.collection(address)
    assert migrated.records(["id-0003"]).vectors.tobytes() == projected(vectors(1, seed=42)).tobytes()
    assert migrated.count() == 18


def test_writers_wait_while_an_exchange_settles(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    version, live = build(store, address), store.collection(address)
    writer = maker.client().collection(address)
    started, written, seen = threading.Event(), threading.Event(), []

    def write() -> None:
        started.set()
        try:
            writer.remove(["id-0007"])
        finally:
            written.set()

    thread = threading.Thread(target=write)

    def settle() -> None:
        if started.is_set():
            return
        thread.start()
        started.wait()
        # that a writer is held can only be seen by waiting; one that is not may take its time
        seen.append(written.wait(0.3 if store.capabilities.holds_writers else TIMEOUT))
        seen.append("id-0007" in live.records(["id-0007"]).ids)

    store.exchange(version, live, KEY, settle=settle)
    if store.capabilities.holds_writers:
        thread.join(TIMEOUT)
        assert seen == [False, True]
        assert written.is_set()
        assert store.collection(address).count() == 19
    elif store.capabilities.settles_again:
        thread.join(TIMEOUT)
        assert seen[0]  # the writer did not wait, and the exchange was tried again
        assert store.collection(address).count() == 19
    else:
        assert seen == []


def test_an_exchange_is_refused_when_the_collection_was_replaced_meanwhile(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    ours, live = build(store, address, "ours"), store.collection(address)
    rival = maker.client()
    exchanged(rival, address, KEY)
    replaced = everything(rival.collection(address))
    with pytest.raises(DatabaseChangedError):
        store.exchange(ours, live, LATER)
    assert_same(everything(maker.client().collection(address)), replaced)
    kept = {(version.role, version.key) for version in maker.client().versions()}
    assert kept == {(Role.BUILDING, "ours"), (Role.BACKUP, KEY)}


def test_versions_can_be_deleted_and_nothing_else_goes(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    exchanged(store, address, KEY)
    build(store, address, "k2")
    live = everything(store.collection(address))
    for version in store.versions():
        store.delete(version.address)
        with pytest.raises(CollectionNotFoundError):
            store.collection(version.address)
    assert maker.client().versions() == []
    assert_same(everything(maker.client().collection(address)), live)
    store.collection(address).add(page(maker, 2, start=100, dimension=NEW))
    assert store.collection(address).count() == 22


def test_a_collection_can_be_deleted(maker: Maker, store: Store) -> None:
    address, other = filled(maker, "docs"), filled(maker, "other")
    store = maker.client()
    store.delete(address)
    assert [facts.address for facts in maker.client().collections()] == [other]
    with pytest.raises(CollectionNotFoundError):
        store.collection(address)
    with pytest.raises(CollectionNotFoundError):
        store.delete(Address("nothing_here"))


def test_a_collection_created_like_another_is_its_own(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", metric="cosine")
    store = maker.client()
    source = store.collection(address)
    created = store.create(Address("copy"), source, NEW, None)
    assert created.settings() == source.settings()
    for records in source.scan(7):
        created.add(records.with_vectors(projected(records.vectors)))
    old = everything(source)
    new = stored_by(store, old.with_vectors(projected(old.vectors)), "cosine")
    assert_same(everything(created), new, maker.tolerance("cosine"))
    created.remove(["id-0001"])
    assert_same(everything(source), old)
    assert {facts.name for facts in store.collections()} == {"docs", "copy"}


@pytest.mark.every_maker
def test_reading_writes_nothing(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    exchanged(store, address, KEY)
    build(store, address, "k2")
    with maker.read_only() as reader:
        for facts in reader.collections():
            collection = reader.collection(facts.address)
            assert len(everything(collection)) == 20
            assert len(collection.sample(5)) > 0
            assert len(list(collection.ids())) == collection.count() == collection.facts().count
            assert len(collection.records(["id-0001", "no such id"])) == 1
            assert len(collection.nearest(vectors(1, NEW), 3)[0][0]) == 3
            assert collection.settings()
            collection.changes()
        assert len(reader.versions()) == 2
        for version in reader.versions():
            assert reader.collection(version.address).count() == 20
            if version.role is Role.BACKUP:
                reader.written_since(version)
        reader.describe_model(maker.model)
        assert not reader.interrupted_exchange()


def test_nothing_is_recovered_where_nothing_was_interrupted(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    exchanged(store, address, KEY)
    assert not store.interrupted_exchange()
    assert store.recover() is None
    assert sorted(store.collection(address).ids()) == list(page(maker, 20).ids)


def test_two_writers_at_once_lose_nothing(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", 4)
    collections = [maker.client().collection(address) for _ in range(2)]
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for start in range(100 + 500 * number, 150 + 500 * number, 10):
                collections[number].add(page(maker, 10, start=start))
        except BaseException as error:  # noqa: BLE001  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    collection = maker.client().collection(address)
    assert collection.count() == 104
    for start in (100, 600):
        for first in range(start, start + 50, 10):
            written = page(maker, 10, start=first)
            assert_same(collection.records(written.ids), written, maker.tolerance("l2"))


def test_hostile_ids_can_be_removed_from_a_version(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD)
    store = maker.client()
    store.collection(address).add(hostile(maker))
    version = build(store, address)
    version.remove(IDS[:10])
    assert sorted(version.ids()) == sorted(IDS[10:])
    assert sorted(store.collection(address).ids()) == sorted(IDS)
