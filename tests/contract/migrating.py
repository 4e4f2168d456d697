"""A process that migrates, rolls back or refines the collection `docs`, and is killed before the n-th step of it.

A step is a call of the maker's failpoints or of any method that writes records, or a file operation that Python
announces in the folders of the database and of lightmigrate's files about it.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lightmigrate import Migrator
from lightmigrate.projection.model import Model
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.defaults import CollectionDefaults
from tests.contract.crashing import kill_before
from tests.contract.opening import opened
from tests.databases import make_projection
from tests.processes import is_write

PAGE = 5
DIMENSIONS = (8, 12)
WRITES = ("add", "put", "replace_vectors", "remove")


def projection(folder: Path) -> Path:
    """The file in a folder that holds the projection of every migration here; a run is taken up with the same file."""
    path = folder / "projection.npz"
    if not path.exists():
        old, new = (Model(f"model of {dimension}", dimension, normalised=False) for dimension in DIMENSIONS)
        make_projection(source=old, target=new).save(path)
    return path


def provider(folder: Path) -> Cached:
    """The new model of a refinement, with its cache in a folder."""
    from tests.budget.collections import Counting  # loads an encoder

    return Cached(Counting(), folder / "cache.sqlite3")


@contextlib.contextmanager
def migrator_of(locator: str, *, aside: bool) -> Iterator[Migrator]:
    """The database, opened as an application's client or, for one that is migrated aside, by its path."""
    if aside:
        yield Migrator(Path(locator), page_size=PAGE)
        return
    with opened(locator) as store:
        yield Migrator(store, page_size=PAGE)


def work(
    locator: str,
    aside: bool,
    what: str,
    folder: Path,
    failpoints: Sequence[tuple[str, str, str]],
    step: int | None,
    ready: Connection,
) -> None:
    """Do it.

    Args:
        locator: of the database; see `Maker.locator`.
        aside: whether it is migrated aside.
        what: `migrate`, `rollback` or `refine`.
        folder: that holds the projection, and what the model of a refinement said.
        failpoints: of the maker.
        step: number of steps to do; the next one is not begun. `None` counts none.
        ready: receives `go` before the first step, and after the last one how many there were, if they are counted.
    """
    with migrator_of(locator, aside=aside) as migrator:
        model = provider(folder) if what == "refine" else None
        steps = None if step is None else count_steps(step, failpoints, (migrator.place, _home(locator)))
        ready.send("go")
        if what == "migrate":
            migrator.migrate_collection("docs", projection(folder))
        elif what == "rollback":
            migrator.rollback()
        else:
            assert model is not None
            migrator.refine("docs", model)
        if steps is not None:
            ready.send(next(steps))


def count_steps(
    fatal: int, failpoints: Sequence[tuple[str, str, str]], folders: Sequence[Path | None]
) -> itertools.count[int]:
    """Have this process killed before step number `fatal`, from 0, for ever; returns what counts them."""
    steps = itertools.count()
    for module, owner, method in failpoints:
        kill_before(getattr(importlib.import_module(module), owner), method, steps, fatal)
    for kind in _kinds(CollectionDefaults):
        for method in WRITES:
            if method in vars(kind):
                kill_before(kind, method, steps, fatal)

    def operation(event: str, arguments: tuple[Any, ...]) -> None:
        if any(folder and is_write(event, arguments, folder) for folder in folders) and next(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(operation)
    return steps


def _kinds(base: type) -> Iterator[type]:
    kinds: list[type] = base.__subclasses__()
    for kind in kinds:
        yield kind
        yield from _kinds(kind)


def _home(locator: str) -> Path | None:
    return Path(locator).parent if Path(locator).exists() else None
