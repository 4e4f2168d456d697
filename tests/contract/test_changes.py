"""What is written meanwhile is seen by the store, or the store says that it does not see it."""

from __future__ import annotations

import pytest

from lightmigrate.stores.base import Collection, Store, WrittenRecords
from tests.contract.makers import Maker
from tests.contract.material import NEW, build, exchanged, filled, page, vectors

KEY = "20260101_120000"


def _write(collection: Collection, maker: Maker, dimension: int) -> None:
    """One record is changed, one gets another vector, one is added, one is deleted, one comes and goes."""
    collection.put(page(maker, 1, start=2, dimension=dimension, seed=50))
    collection.replace_vectors(["id-0003"], vectors(1, dimension, seed=51))
    collection.add(page(maker, 2, start=100, dimension=dimension))
    collection.remove(["id-0004", "id-0101", "no such id"])


def _assert_seen(changes: WrittenRecords | None) -> None:
    assert changes is not None
    assert len(set(changes.written)) == len(changes.written)
    written, deleted = set(changes.written), set(changes.deleted)
    assert {"id-0002", "id-0003", "id-0100"} <= written
    assert {"id-0004"} <= deleted
    assert written | deleted <= {"id-0002", "id-0003", "id-0100", "id-0004", "id-0101", "no such id"}


@pytest.mark.every_maker
def test_changes_by_another_client_are_seen_or_declared_unseen(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    collection = store.collection(address)
    store.create_version(collection, "k1", NEW, None)
    first = collection.changes()
    assert (first is not None) == store.capabilities.sees_changes
    _write(maker.client().collection(address), maker, 8)
    if first is None:
        assert collection.changes("0") is None
        return
    assert (list(first.written), list(first.deleted)) == ([], [])
    second = collection.changes(first.mark)
    _assert_seen(second)
    assert second is not None
    third = collection.changes(second.mark)
    assert third is not None
    assert (list(third.written), list(third.deleted)) == ([], [])
    again = maker.client().collection(address).changes(first.mark)
    _assert_seen(again)


def test_writing_to_a_version_is_no_change_of_its_collection(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    collection = store.collection(address)
    store.create_version(collection, "k0", NEW, None)
    first = collection.changes()
    version = build(store, address)
    version.replace_vectors(["id-0001"], vectors(1, NEW))
    version.remove(["id-0002"])
    if first is None:
        assert not store.capabilities.sees_changes
        return
    later = collection.changes(first.mark)
    assert later is not None
    assert (list(later.written), list(later.deleted)) == ([], [])


def test_what_was_written_since_an_exchange_is_seen_or_declared_unseen(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    store.collection(address).replace_vectors(["id-0009"], vectors(1, seed=3))
    exchanged(store, address, KEY)
    (backup,) = store.versions()
    nothing = store.written_since(backup)
    assert (nothing is not None) == store.capabilities.sees_changes
    _write(maker.client().collection(address), maker, NEW)
    if nothing is None:
        assert store.written_since(backup) is None
        return
    assert (list(nothing.written), list(nothing.deleted)) == ([], [])
    _assert_seen(store.written_since(backup))
    exchanged(store, address, "20260101_120001")
    older, newer = store.versions()
    _assert_seen(store.written_since(older))
    later = store.written_since(newer)
    assert later is not None
    assert (list(later.written), list(later.deleted)) == ([], [])


def test_a_backup_is_not_touched_by_what_is_written_to_the_live_one(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    exchanged(store, address, KEY)
    _write(maker.client().collection(address), maker, NEW)
    backup = store.collection(store.versions()[0].address)
    stayed = [number for number in range(20) if number != 4]
    old = page(maker, 20).rows(stayed)
    assert backup.records(old.ids).vectors.tobytes() == old.vectors.tobytes()
    there = set(backup.ids())
    assert ("id-0004" in there) == (not store.capabilities.shared_records or store.capabilities.whole_backups)
    assert "id-0100" not in there
