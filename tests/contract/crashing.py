"""A process that exchanges or restores a collection and is killed before the n-th step of it.

Its exit status is 0 when there were fewer steps than that.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

from lightmigrate.stores.base import Address, Role
from tests.contract.opening import opened


def crash(locator: str, name: str, what: str, step: int, failpoints: list[str]) -> None:
    """Exchange or restore a collection, and be killed before a step.

    Args:
        locator: of the database; see `Maker.locator`.
        name: of the collection.
        what: `exchange`, with the version that is being built, or `restore`, of its backup.
        step: number of steps to do; the next one is not begun.
        failpoints: `MODULE:CLASS:METHOD` each; every call of these is a step.
    """
    with opened(locator) as store:
        live = store.collection(Address(name))
        version = next(kept for kept in store.versions() if kept.own == Address(name))
        steps = itertools.count()
        for failpoint in failpoints:
            module, owner, method = failpoint.split(":")
            kill_before(getattr(importlib.import_module(module), owner), method, steps, step)
        if what == "restore":
            store.restore(version, "20260101_120001")
        else:
            assert version.role is Role.BUILDING
            store.exchange(store.collection(version.address), live, "20260101_120000")
        if next(steps) == step:  # after the last step
            os.kill(os.getpid(), signal.SIGKILL)


def kill_before(owner: Any, method: str, steps: itertools.count[int], step: int) -> None:
    """Have this process killed before a call of a method, when so many steps were done."""
    original: Callable[..., Any] = getattr(owner, method)

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, method, counted)
