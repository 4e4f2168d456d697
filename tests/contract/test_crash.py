"""A process is killed before every step of an exchange, and of the way back: old or new, whole.

A store that ends with its process has no such steps; its exchange is one step for all who share it.
"""

from __future__ import annotations

import pytest

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.stores.base import Address, Page, Role, Store
from tests.contract.crashing import crash, stopped
from tests.contract.makers import Maker
from tests.contract.material import assert_same, build, everything, exchanged, filled, page, projected
from tests.faults import EVERY_OPERATION
from tests.processes import start, was_killed

# `make crash` kills before every step; the normal run before the first, every eighth, and all around the last.
STRIDE = 1 if EVERY_OPERATION else 8


@pytest.mark.parametrize("what", ["exchange", "restore"])
def test_a_crash_between_any_two_steps_leaves_the_old_or_the_new(maker: Maker, what: str) -> None:
    if not maker.failpoints:
        address = filled(maker, "docs")
        store = maker.client()
        build(store, address) if what == "exchange" else exchanged(store, address)
        assert store.capabilities.atomic_exchange
        return
    killed, outcomes, step = 0, set(), 0
    while (outcome := _killed_before(maker, what, step)) is not None:
        outcomes.add(outcome)
        killed += 1
        step += STRIDE
    for between in range(step - STRIDE + 1, step):
        outcome = _killed_before(maker, what, between)
        if outcome is None:  # and so few steps are too few for the next one, too
            break
        outcomes.add(outcome)
        killed += 1
    assert killed >= 2
    assert outcomes == {False, True}


def _killed_before(maker: Maker, what: str, step: int) -> bool | None:
    """Kill a process before a step of an exchange or a restoration: whether it had happened; `None`: too few steps."""
    old = page(maker, 20)
    new = old.with_vectors(projected(old.vectors))
    address = filled(maker, f"docs{step}")
    store = maker.client()
    before, after = (old, new) if what == "exchange" else (new, old)
    build(store, address) if what == "exchange" else exchanged(store, address)
    if not _crashes(maker, address, what, step):
        return None
    store = maker.client()
    _assert_reading_recovers_nothing(store, address)
    store.recover()
    assert not store.interrupted_exchange()
    assert store.recover() is None
    live = everything(store.collection(address))
    now = after if live.vectors.shape == after.vectors.shape else before
    assert_same(live, now, maker.tolerance("l2"))
    (kept,) = [version for version in store.versions() if version.own == address]
    other = before if now is after else after
    _assert_whole(store, kept.address, other, maker)
    assert kept.role is (Role.BACKUP if now is after or what == "restore" else Role.BUILDING)
    return now is after


def _assert_whole(store: Store, address: Address, expected: Page, maker: Maker) -> None:
    assert_same(everything(store.collection(address)), expected, maker.tolerance("l2"))


def _assert_reading_recovers_nothing(store: Store, address: Address) -> None:
    """Listing and opening say what is there, and leave an interrupted exchange as it is."""
    interrupted = store.interrupted_exchange()
    store.collections()
    store.versions()
    try:
        store.collection(address).count()
    except CollectionNotFoundError:
        assert not store.capabilities.atomic_exchange
        assert interrupted
    assert store.interrupted_exchange() == interrupted
    assert not (interrupted and store.capabilities.atomic_exchange)


def _crashes(maker: Maker, address: Address, what: str, step: int) -> bool:
    """Whether a process of its own was killed before that step."""
    maker.let_go()
    failpoints = [":".join(failpoint) for failpoint in maker.failpoints]
    if getattr(maker, "starts_slowly", False) and not EVERY_OPERATION:  # a process of its own takes seconds to start
        return stopped(maker.locator, address.name, what, step, failpoints)
    return was_killed(start(crash, maker.locator, address.name, what, step, failpoints))
