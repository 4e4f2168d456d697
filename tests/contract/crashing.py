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

import pytest

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
    _run(locator, name, what, step, failpoints, _kill, setattr)


def stopped(locator: str, name: str, what: str, step: int, failpoints: list[str]) -> bool:
    """As `crash`, but in this process, which forgets all and goes on: whether it was stopped before that step."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            _run(locator, name, what, step, failpoints, _stop, patch.setattr)
        except _Stopped:
            return True
    return False


class _Stopped(BaseException):
    """No error handling may catch it."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    raise _Stopped


def _run(
    locator: str,
    name: str,
    what: str,
    step: int,
    failpoints: list[str],
    end: Callable[[], None],
    replace: Callable[[Any, str, Any], None],
) -> None:
    with opened(locator) as store:
        live = store.collection(Address(name))
        version = next(kept for kept in store.versions() if kept.own == Address(name))
        steps = itertools.count()
        for failpoint in failpoints:
            module, owner, method = failpoint.split(":")
            kill_before(getattr(importlib.import_module(module), owner), method, steps, step, end, replace)
        if what == "restore":
            store.restore(version, "20260101_120001")
        else:
            assert version.role is Role.BUILDING
            store.exchange(store.collection(version.address), live, "20260101_120000")
        if next(steps) == step:  # after the last step
            end()


def kill_before(
    owner: Any,
    method: str,
    steps: itertools.count[int],
    step: int,
    end: Callable[[], None] = _kill,
    replace: Callable[[Any, str, Any], None] = setattr,
) -> None:
    """Have this process killed, or otherwise ended, before a call of a method, when so many steps were done."""
    original: Callable[..., Any] = getattr(owner, method)

    def counted(*arguments: Any, **options: Any) -> Any:
        if next(steps) == step:
            end()
        return original(*arguments, **options)

    replace(owner, method, counted)
