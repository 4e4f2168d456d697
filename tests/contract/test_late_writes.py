"""A process dies after an exchange, before it has carried over what was written just before it: the next one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import DatabaseChangedError
from lightmigrate.migration.shadow.late_note import notes_in
from lightmigrate.migration.shadow.late_writes import LateWrites
from lightmigrate.migration.shadow.synchronise import _Update
from lightmigrate.migration.shadow.way_back import WayBack
from lightmigrate.stores.base import Address, Collection, Store
from tests.contract.makers import Maker
from tests.contract.material import NEW, OLD, everything, filled, page
from tests.contract.test_way_back import PLAIN, backup_of, others, text_of, with_text


class KilledError(BaseException):
    """The process ends here."""


def die(*arguments: object, **given: object) -> Any:
    raise KilledError


def dies_after(calls: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, until it has been called so often."""
    left = calls

    def counted(*arguments: Any, **given: Any) -> Any:
        nonlocal left
        if not left:
            raise KilledError
        left -= 1
        return method(*arguments, **given)

    return counted


def just_before(
    store: Store, write: Callable[[], None], monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None
) -> None:
    """Have an application write just before the next exchange or restoration, and call `then` after it."""
    for method in ("exchange", "restore"):
        original = getattr(type(store), method)

        def replaced(self: Any, *arguments: Any, original: Any = original, **given: Any) -> int:
            monkeypatch.undo()
            write()
            moved: int = original(self, *arguments, **given)
            then()
            return moved

        monkeypatch.setattr(type(store), method, replaced)


def not_refused(do: Callable[[], object]) -> bool:
    """Whether it ended or was killed; not where the store refuses, instead of carrying, and changes nothing."""
    try:
        do()
    except DatabaseChangedError:
        return False
    except KilledError:
        pass
    return True


def write_late(maker: Maker, address: Address, dimension: int) -> None:
    collection = others(maker, address)
    for number in (2, 3, 90):
        collection.put(with_text(maker, number, "late", dimension))
    collection.remove(["id-0004"])


def require_recovered(maker: Maker, address: Address, has_texts: bool) -> Collection:
    """The next run carries over what is left, once, and says so; returns the collection."""
    migrator = Migrator(maker.client())
    left = bool(notes_in(migrator.place))
    assert (migrator.unfinished is not None) == left
    if left:
        assert "is not carried over yet:  lightmigrate resume " in (migrator.unfinished or "")
    recovered = migrator.recover()
    assert (recovered is not None) == left, recovered
    assert not notes_in(migrator.place)
    assert migrator.unfinished is None
    assert Migrator(maker.client()).recover() is None
    now = others(maker, address)
    ids = everything(now).ids
    assert "id-0090" in ids
    assert "id-0004" not in ids
    if has_texts:
        assert {text_of(now, record) for record in ("id-0002", "id-0003", "id-0090")} == {"late"}
    return now


@pytest.mark.every_maker
@pytest.mark.parametrize("written", [0, 1, 2], ids=["before any", "after one", "after two"])
def test_what_a_killed_migration_had_not_carried_over_is_carried_over_by_the_next_run(
    maker: Maker, store: Store, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    address = filled(maker, "docs", 60)
    store = maker.client()
    has_texts = text_of(store.collection(address), "id-0002") is not None

    def dies_soon() -> None:
        monkeypatch.setattr(_Update, "write", dies_after(written, _Update.write))
        if not written:
            monkeypatch.setattr(LateWrites, "carry", die)

    just_before(store, lambda: write_late(maker, address, OLD), monkeypatch, dies_soon)
    if not not_refused(lambda: Migrator(store, page_size=1).migrate([CollectionJob("docs", PLAIN)], force=True)):
        assert "id-0090" in everything(others(maker, address)).ids
        assert not notes_in(Migrator(store).place)
        return
    monkeypatch.undo()
    now = require_recovered(maker, address, has_texts)
    assert everything(now).vectors.shape == (60, NEW)
    old, records = others(maker, backup_of(maker.client(), address).address), ["id-0002", "id-0003", "id-0090"]
    np.testing.assert_allclose(now.records(records).vectors, PLAIN.apply(old.records(records).vectors), atol=1e-5)
    assert len(Migrator(maker.client()).clean()) == 1


@pytest.mark.every_maker
def test_what_a_killed_run_left_replaces_nothing_that_was_written_since(
    maker: Maker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = filled(maker, "docs", 60)
    store = maker.client()
    has_texts = text_of(store.collection(address), "id-0002") is not None
    just_before(
        store,
        lambda: write_late(maker, address, OLD),
        monkeypatch,
        lambda: monkeypatch.setattr(LateWrites, "carry", die),
    )
    if not not_refused(lambda: Migrator(store).migrate([CollectionJob("docs", PLAIN)], force=True)):
        return
    monkeypatch.undo()
    new = others(maker, address)
    new.put(with_text(maker, 2, "newer", NEW))
    new.remove(["id-0003"])
    Migrator(maker.client()).recover()
    now = others(maker, address)
    assert "id-0003" not in everything(now).ids
    assert "id-0090" in everything(now).ids
    if has_texts:
        assert text_of(now, "id-0002") == "newer"


@pytest.mark.every_maker
@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "something before"])
def test_what_a_killed_rollback_had_not_carried_over_is_carried_over_by_the_next_run(
    maker: Maker, store: Store, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    address = filled(maker, "docs", 60)
    store = maker.client()
    has_texts = text_of(store.collection(address), "id-0002") is not None
    Migrator(store).migrate([CollectionJob("docs", PLAIN)], force=True)
    if before:
        others(maker, address).put(page(maker, 1, start=95, dimension=NEW))
    store = maker.client()
    just_before(
        store,
        lambda: write_late(maker, address, NEW),
        monkeypatch,
        lambda: monkeypatch.setattr(WayBack, "_look_again", die),
    )
    if not not_refused(lambda: Migrator(store).rollback(written="carry")):
        assert everything(others(maker, address)).vectors.shape[1] == NEW
        return
    monkeypatch.undo()
    now = require_recovered(maker, address, has_texts)
    assert everything(now).vectors.shape[1] == OLD
    assert np.isfinite(everything(now).vectors).all()
