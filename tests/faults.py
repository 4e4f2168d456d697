"""Faults on purpose: the n-th file operation or store call of a migration fails, once or from then on.

File operations are those that Python announces (its audit events), so that none can be forgotten; store calls are all
methods of the Chroma store that touch the database.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore

# `make crash` leaves nothing out; the normal run takes a part of all places where a process can die.
EVERY_OPERATION = "LIGHTMIGRATE_KILLS" in os.environ

# `make contract` gives every test of the contract suite to every store; the normal run one store of a family to each.
EVERY_STORE = EVERY_OPERATION or os.environ.get("LIGHTMIGRATE_CONTRACT") == "all"

FILE_EVENTS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.link",
    "os.listdir", "os.scandir", "shutil.copyfile", "shutil.rmtree",
}  # fmt: skip
STORE_CALLS = (
    (ChromaCollection, ("count", "add", "nearest", "rename", "set_metadata")),
    (ChromaFolderStore, ("collection", "create", "delete")),
)


class Faults:
    """Counts operations on and around a folder, and lets the chosen one fail.

    Attributes:
        seen: operations so far.
        struck: whether one failed.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.struck = False
        self._home = ""
        self._first = 0
        self._for_ever = False
        self._error: Callable[[], BaseException] = OSError

    @contextlib.contextmanager
    def after(self, home: Path, first: int, error: Callable[[], BaseException], *, for_ever: bool) -> Iterator[None]:
        """Within the block operation number `first` below `home` fails, and all that follow if `for_ever`."""
        self.seen, self.struck, self._first, self._error, self._for_ever = 0, False, first, error, for_ever
        self._home = str(home)
        try:
            yield
        finally:
            self._home = ""

    def count(self, *arguments: object) -> None:
        """One more operation."""
        if not self._home:
            return
        if arguments and not str(arguments[0]).startswith(self._home):
            return
        self.seen += 1
        if self.seen == self._first or (self._for_ever and self.struck):
            self.struck = True
            raise self._error()


_FAULTS = Faults()
_INSTALLED: list[bool] = []


def _announced(event: str, arguments: tuple[Any, ...]) -> None:
    if event in FILE_EVENTS:
        _FAULTS.count(os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, os.PathLike)) else "")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """The shim, under everything."""
    if not _INSTALLED:  # audit hooks stay for the life of the process
        sys.addaudithook(_announced)
        _INSTALLED.append(True)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            _FAULTS.count()
            return function(*arguments, **keywords)

        return call

    for owner, names in STORE_CALLS:
        for name in names:
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    return _FAULTS
