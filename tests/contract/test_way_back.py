"""Applications go on writing while a collection is exchanged or put back: what they write last is what there is."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Model, Projection
from lightmigrate.errors import DatabaseChangedError, WrittenSinceError
from lightmigrate.migration.shadow.late_writes import LateWrites
from lightmigrate.migration.shadow.shadows import Shadows
from lightmigrate.migration.shadow.way_back import WayBack
from lightmigrate.stores.base import Address, Collection, Page, Role, Store, Version
from lightmigrate.stores.promises import promises_of
from lightmigrate.stores.record_tables import RecordTables
from tests.contract.makers import Maker
from tests.contract.material import NEW, OLD, everything, exchanged, filled, page, vectors

PLAIN = Projection.affine(
    np.eye(OLD, NEW, dtype=np.float32), np.zeros(NEW, np.float32),
    source=Model("a", OLD, normalised=False), target=Model("b", NEW, normalised=False),
)  # fmt: skip


class Nothing:
    """This package has written no vectors since."""

    def knows(self, address: Address) -> bool:
        return False

    def held(self, address: Address, page: Page) -> Any:
        raise AssertionError


def others(maker: Maker, address: Address) -> Collection:
    """The collection as another process opens it."""
    return maker.client().collection(address)


def with_text(maker: Maker, number: int, text: str, dimension: int) -> Page:
    plain = page(maker, 1, start=number, dimension=dimension, seed=70)
    return Page(plain.ids, plain.vectors, [text], plain.payloads)


def text_of(collection: Collection, record: str) -> str | None:
    (text,) = collection.records([record]).texts
    return text


@pytest.mark.every_maker
def test_what_was_late_replaces_nothing_that_was_written_to_the_new_collection(
    maker: Maker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = filled(maker, "docs")
    store = maker.client()
    original = type(store).exchange

    def exchange(self: Any, incoming: Collection, live: Collection, key: str, **given: Any) -> int:
        monkeypatch.setattr(type(store), "exchange", original)
        old = others(maker, address)
        for number in (2, 3):
            old.put(with_text(maker, number, "late", OLD))
        old.remove(["id-0004"])
        moved = original(self, incoming, live, key, **given)
        new = others(maker, address)
        new.put(with_text(maker, 2, "newer", NEW))
        new.remove(["id-0003"])
        new.put(with_text(maker, 4, "written again", NEW))
        return moved

    monkeypatch.setattr(type(store), "exchange", exchange)
    has_texts = text_of(store.collection(address), "id-0002") is not None
    try:
        Migrator(store).migrate([CollectionJob("docs", PLAIN)], force=True)
    except DatabaseChangedError:  # a store that refuses, instead of carrying: the old collection, with all of it
        assert not store.capabilities.holds_writers
        assert len(everything(others(maker, address))) == 19
        return
    now = others(maker, address)
    assert "id-0003" not in everything(now).ids
    if has_texts:
        assert text_of(now, "id-0002") == "newer"
        assert text_of(now, "id-0004") == "written again"


def backup_of(store: Store, address: Address) -> Version:
    (kept,) = [each for each in store.versions() if each.own == address and each.role is Role.BACKUP]
    return kept


def way(store: Store, address: Address, written: Any) -> WayBack:
    late = LateWrites(store, Migrator(store).place, Shadows(store, 7, lambda _: None), 7, lambda *_: None)
    return WayBack(store, backup_of(store, address), written, Nothing(), 7, RecordTables(), late)


@pytest.mark.every_maker
def test_a_way_back_that_refuses_refuses_what_is_written_after_it_has_looked_or_says_where_it_is(
    maker: Maker, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    address = filled(maker, "docs")
    exchanged(maker.client(), address)
    store = maker.client()
    back = way(store, address, "refuse")
    assert not back.changes
    others(maker, address).put(page(maker, 2, start=100, dimension=NEW))
    try:
        with caplog.at_level(logging.WARNING):
            back.go("20260102_120000")
    except (WrittenSinceError, DatabaseChangedError):
        assert {"id-0100", "id-0101"} <= set(everything(others(maker, address)).ids)
        assert everything(others(maker, address)).vectors.shape[1] == NEW
        return
    assert not store.capabilities.holds_writers
    now = maker.client()
    kept = backup_of(now, address)
    assert {"id-0100", "id-0101"} <= set(everything(now.collection(kept.address)).ids)
    assert everything(now.collection(address)).vectors.shape[1] == OLD
    assert (
        f"2 records were written while the old collection was put back; they are only in the backup {kept.address}"
        in (caplog.text)
    )


@pytest.mark.every_maker
@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "something before"])
def test_a_way_back_that_carries_carries_what_is_written_after_it_has_looked(
    maker: Maker, store: Store, before: bool
) -> None:
    address = filled(maker, "docs", 60)
    exchanged(maker.client(), address)
    if before:
        others(maker, address).put(page(maker, 1, start=90, dimension=NEW))
        others(maker, address).remove(["id-0050"])
    store = maker.client()
    back = way(store, address, "carry")
    assert bool(back.changes) == before
    writing = others(maker, address)
    writing.put(page(maker, 2, start=100, dimension=NEW))
    writing.remove(["id-0007"])
    try:
        back.go("20260102_120000")
    except DatabaseChangedError:
        assert everything(others(maker, address)).vectors.shape[1] == NEW
        return
    now = everything(others(maker, address))
    expected = {f"id-{number:04d}" for number in range(60)} - {"id-0007"} | {"id-0100", "id-0101"}
    if before:
        expected = expected - {"id-0050"} | {"id-0090"}
    assert set(now.ids) == expected
    assert now.vectors.shape[1] == OLD
    assert np.isfinite(now.vectors).all()
    assert np.abs(now.vectors).max() < 1e3
    assert len(vectors(1)) == 1


def written_since(maker: Maker) -> tuple[Address, Store]:
    """A collection of 15 records that was exchanged and got another one since; the database as it is opened then."""
    address = filled(maker, "docs", 15)
    exchanged(maker.client(), address)
    others(maker, address).put(page(maker, 1, start=90, dimension=NEW))
    return address, maker.client()


def building(store: Store) -> list[Version]:
    return [version for version in store.versions() if version.role is Role.BUILDING]


@pytest.mark.every_maker
def test_a_way_back_that_is_refused_for_too_few_records_leaves_nothing(maker: Maker, store: Store) -> None:
    address, store = written_since(maker)
    migrator = Migrator(store)
    with pytest.raises(WrittenSinceError, match="15 records are in both databases, 20 are needed"):
        migrator.rollback(written="carry")
    assert not building(store)
    assert migrator.unfinished is None
    assert "id-0090" in everything(others(maker, address)).ids


def test_only_deletions_need_no_other_records_to_be_carried(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", 15)
    exchanged(maker.client(), address)
    others(maker, address).remove(["id-0003"])
    Migrator(maker.client()).rollback(written="carry")
    now = everything(others(maker, address))
    assert set(now.ids) == {f"id-{number:04d}" for number in range(15)} - {"id-0003"}
    assert now.vectors.shape[1] == OLD


@pytest.mark.every_maker
def test_what_a_way_back_that_was_killed_has_built_goes_with_the_next(
    maker: Maker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, store = written_since(maker)
    monkeypatch.setattr("lightmigrate.migration.changes.FEWEST_PAIRS", 1)
    way(store, address, "carry")._with_changes()
    migrator = Migrator(store)
    if building(store):  # nothing is built where versions share their records
        assert str(migrator.unfinished).startswith("a rollback was interrupted: the same rollback goes on")
    migrator.rollback(written="discard")
    assert not building(store)
    assert migrator.unfinished is None


@pytest.mark.every_maker
def test_a_vector_that_is_replaced_alone_is_seen_by_the_way_back_or_said_not_to_be(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs")
    exchanged(maker.client(), address)
    others(maker, address).replace_vectors(["id-0003"], vectors(1, NEW, seed=80))
    store = maker.client()
    said = "a rollback does not see a vector that was replaced alone" in promises_of(store.capabilities).not_promised
    assert bool(way(store, address, "refuse").changes) == (not said)
