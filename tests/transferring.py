"""A process that builds a collection in another database and is killed before the n-th step of it.

A module of its own, because such a process imports it: the real frameworks take longer to import than the transfer.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
from collections.abc import Iterator

from lightmigrate import Migrator, Projection
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import connect, open_database
from tests.contract.crashing import kill_before


@contextlib.contextmanager
def source_at(locator: str) -> Iterator[object]:
    """A database to transfer from: a path, a URL, or as JSON what `connect` takes; closed at the end."""
    database = connect(**json.loads(locator)) if locator.startswith("{") else open_database(locator)
    yield database
    if not isinstance(database, FileDatabase):
        database.close()


def transfer_and_be_killed(source: str, target: str, name: str, failpoint: str, step: int, projection: str) -> None:
    """Transfer a collection, and be killed before a call of a method (`MODULE:CLASS:METHOD` within `stores`)."""
    module, owner, method = failpoint.split(":")
    store = getattr(importlib.import_module(f"lightmigrate.stores.{module}"), owner)
    kill_before(store, method, itertools.count(), step)
    with source_at(source) as database:
        Migrator(database, page_size=7).transfer([CollectionJob(name, Projection.load(projection))], target)
